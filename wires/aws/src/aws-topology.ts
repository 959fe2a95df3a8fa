/**
 * Topics, queues and subscriptions: made when they are missing, never changed or emptied, with two exceptions that take
 * nothing away: a queue's policy gets the statement that lets the topics in, and a filter is widened.
 */
import {
  CreateTopicCommand,
  GetSubscriptionAttributesCommand,
  ListSubscriptionsByTopicCommand,
  ListTopicsCommand,
  SetSubscriptionAttributesCommand,
  SubscribeCommand,
} from '@aws-sdk/client-sns'
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  SetQueueAttributesCommand,
} from '@aws-sdk/client-sqs'
import { QuadrilleError, type Logger, type SubscribedType } from 'quadrille'
import { hasAnswered, isMissing, type AwsCalls } from './aws-calls.ts'
import { nameInArn, queueName, topicName } from './aws-names.ts'
import type { AwsSettings } from './aws-options.ts'
import { parsedPolicy, policyOf, widened } from './filter-policy.ts'

/** A queue that exists. */
export interface Queue {
  readonly name: string
  readonly url: string
}

const retentionSeconds = 1_209_600
const statementId = 'QuadrilleTopics'

/** What the policy of a queue may hold. */
interface QueuePolicy {
  readonly Version?: string
  readonly Statement?: readonly { readonly Sid?: string }[]
}

/** Finds and makes topics, queues and subscriptions. */
export class Topology {
  readonly #calls: AwsCalls
  readonly #settings: AwsSettings
  readonly #log: Logger
  readonly #topics = new Map<string, Promise<string>>()
  readonly #queues = new Map<string, Promise<Queue>>()

  constructor(calls: AwsCalls, settings: AwsSettings, log: Logger) {
    this.#calls = calls
    this.#settings = settings
    this.#log = log
  }

  /** Resolves when AWS answers at all. @throws what the SDK throws when it does not. */
  async reach(): Promise<void> {
    const QueueName = queueName(this.#settings, 'is-it-there')
    try {
      await this.#calls.call((abortSignal) =>
        this.#calls.sqs.send(new GetQueueUrlCommand({ QueueName }), { abortSignal }),
      )
    } catch (error) {
      if (!hasAnswered(error)) throw error
    }
  }

  /** The ARN of the topic of a type. */
  topic(type: string): Promise<string> {
    return remembered(this.#topics, type, () => this.#makeTopic(topicName(this.#settings, type)))
  }

  /** The queue of a service. */
  queue(service: string): Promise<Queue> {
    return remembered(this.#queues, service, () => this.#makeQueue(queueName(this.#settings, service)))
  }

  /** Whether a service has a queue; none is made. */
  async hasQueue(service: string): Promise<boolean> {
    return (await this.#findQueue(queueName(this.#settings, service))) !== undefined
  }

  /** Somebody has removed something: it is looked up, and made, again. */
  forget(): void {
    this.#topics.clear()
    this.#queues.clear()
  }

  /** The queue of a service, with what it is subscribed to. */
  async subscribed(service: string, types: readonly SubscribedType[]): Promise<Queue> {
    const queue = await this.queue(service)
    await this.#subscribeAll(queue, types)
    return queue
  }

  /** Makes the subscriptions that are missing, and their topics; returns the topics of these. */
  async mend(service: string, types: readonly SubscribedType[]): Promise<readonly string[]> {
    // A topic that was deleted is made again only when nobody remembers it.
    this.#topics.clear()
    return this.#subscribeAll(await this.queue(service), types)
  }

  async #subscribeAll(queue: Queue, types: readonly SubscribedType[]): Promise<readonly string[]> {
    const made: string[] = []
    if (this.#settings.queues !== null) return made
    const { QueueArn: arn, Policy: policy } = await this.#attributes(queue, ['QueueArn', 'Policy'])
    for (const { type, patterns } of types) {
      const topic = await this.topic(type)
      if (policy === undefined || !policy.includes(statementId)) await this.#letIn(queue, { arn: arn!, topic, policy })
      if (await this.#subscribe(topic, arn!, patterns)) made.push(nameInArn(topic))
    }
    return made
  }

  /** How many messages a queue holds: ready, handed out, and not ready yet. */
  async depth(queue: Queue): Promise<{ readonly ready: number; readonly all: number }> {
    const names = ['', 'NotVisible', 'Delayed'].map((which) => `ApproximateNumberOfMessages${which}`)
    const attributes = await this.#attributes(queue, names)
    const [ready = 0, ...others] = names.map((name) => Number(attributes[name] ?? 0))
    return { ready, all: others.reduce((sum, each) => sum + each, ready) }
  }

  async #makeTopic(name: string): Promise<string> {
    const { fifo, create } = this.#settings
    // CreateTopic answers with the topic that exists, and refuses when its attributes are others.
    if (create) {
      const Attributes: Record<string, string> = fifo ? { FifoTopic: 'true', ContentBasedDeduplication: 'false' } : {}
      try {
        const made = await this.#calls.call((abortSignal) =>
          this.#calls.sns.send(new CreateTopicCommand({ Name: name, Attributes }), { abortSignal }),
        )
        return made.TopicArn!
      } catch (error) {
        if (!/InvalidParameter/.test((error as Error).name)) throw error
      }
    }
    const found = await this.#findTopic(name)
    if (found) return found
    return this.#incompatible(`the topic ${name} is missing`)
  }

  async #findTopic(name: string): Promise<string | undefined> {
    let NextToken: string | undefined
    do {
      const input = NextToken === undefined ? {} : { NextToken }
      const page = await this.#calls.call((abortSignal) =>
        this.#calls.sns.send(new ListTopicsCommand(input), { abortSignal }),
      )
      const found = page.Topics?.find(({ TopicArn = '' }) => nameInArn(TopicArn) === name)?.TopicArn
      if (found) return found
      NextToken = page.NextToken
    } while (NextToken)
    return undefined
  }

  async #findQueue(name: string): Promise<Queue | undefined> {
    try {
      const { QueueUrl } = await this.#calls.call((abortSignal) =>
        this.#calls.sqs.send(new GetQueueUrlCommand({ QueueName: name }), { abortSignal }),
      )
      return { name, url: QueueUrl! }
    } catch (error) {
      if (!isMissing(error)) throw error
      return undefined
    }
  }

  async #makeQueue(name: string): Promise<Queue> {
    const { fifo, create, visibilityMs } = this.#settings
    const there = await this.#findQueue(name)
    if (there) return there
    if (!create) return this.#incompatible(`the queue ${name} is missing`)
    // Deduplication by group and limits by group: what AWS calls high throughput.
    const fast = { DeduplicationScope: 'messageGroup', FifoThroughputLimit: 'perMessageGroupId' }
    const Attributes = {
      VisibilityTimeout: String(Math.ceil(visibilityMs / 1000)),
      MessageRetentionPeriod: String(retentionSeconds),
      ...(fifo ? { FifoQueue: 'true', ContentBasedDeduplication: 'false', ...fast } : {}),
    }
    try {
      const made = await this.#calls.call((abortSignal) =>
        this.#calls.sqs.send(new CreateQueueCommand({ QueueName: name, Attributes }), { abortSignal }),
      )
      return { name, url: made.QueueUrl! }
    } catch (error) {
      // Somebody else has just made it, with other attributes.
      if (!/QueueNameExists|QueueAlreadyExists/.test((error as Error).name)) throw error
      const theirs = await this.#findQueue(name)
      if (!theirs) throw error
      return theirs
    }
  }

  async #attributes(queue: Queue, names: readonly string[]): Promise<Partial<Record<string, string>>> {
    const input = { QueueUrl: queue.url, AttributeNames: names as 'QueueArn'[] }
    const answer = await this.#calls.call((abortSignal) =>
      this.#calls.sqs.send(new GetQueueAttributesCommand(input), { abortSignal }),
    )
    return answer.Attributes ?? {}
  }

  /** Adds a statement to the policy of the queue: topics of this prefix may send to it. */
  async #letIn(queue: Queue, at: { arn: string; topic: string; policy: string | undefined }): Promise<void> {
    if (!this.#settings.create) return
    const standing = (at.policy ? JSON.parse(at.policy) : {}) as QueuePolicy
    const topics = `${at.topic.slice(0, at.topic.lastIndexOf(':') + 1)}${this.#settings.prefix}*`
    const statement = {
      Sid: statementId,
      Effect: 'Allow',
      Principal: { Service: 'sns.amazonaws.com' },
      Action: 'sqs:SendMessage',
      Resource: at.arn,
      Condition: { ArnLike: { 'aws:SourceArn': topics } },
    }
    const policy = { Version: '2012-10-17', ...standing, Statement: [...(standing.Statement ?? []), statement] }
    await this.#setQueue(queue, { Policy: JSON.stringify(policy) })
  }

  #setQueue(queue: Queue, Attributes: Record<string, string>) {
    const command = new SetQueueAttributesCommand({ QueueUrl: queue.url, Attributes })
    return this.#calls.call((abortSignal) => this.#calls.sqs.send(command, { abortSignal }))
  }

  /** Returns false when the subscription was there. */
  async #subscribe(topic: string, queueArn: string, patterns: SubscribedType['patterns']): Promise<boolean> {
    const wanted = policyOf(patterns)
    const standing = await this.#findSubscription(topic, queueArn)
    if (standing !== undefined) {
      await this.#widen(standing, wanted)
      return false
    }
    if (!this.#settings.create) {
      return this.#incompatible(`the subscription of ${nameInArn(queueArn)} to ${nameInArn(topic)} is missing`)
    }
    const filter: Record<string, string> = wanted
      ? { FilterPolicy: JSON.stringify(wanted), FilterPolicyScope: 'MessageBody' }
      : {}
    const Attributes = { RawMessageDelivery: String(this.#settings.raw), ...filter }
    const input = { TopicArn: topic, Protocol: 'sqs', Endpoint: queueArn, Attributes, ReturnSubscriptionArn: true }
    await this.#calls.call((abortSignal) => this.#calls.sns.send(new SubscribeCommand(input), { abortSignal }))
    return true
  }

  async #findSubscription(topic: string, queueArn: string): Promise<string | undefined> {
    let NextToken: string | undefined
    do {
      const input = { TopicArn: topic, ...(NextToken === undefined ? {} : { NextToken }) }
      const page = await this.#calls.call((abortSignal) =>
        this.#calls.sns.send(new ListSubscriptionsByTopicCommand(input), { abortSignal }),
      )
      const found = page.Subscriptions?.find(({ Endpoint }) => Endpoint === queueArn)?.SubscriptionArn
      if (found) return found
      NextToken = page.NextToken
    } while (NextToken)
    return undefined
  }

  async #widen(subscription: string, wanted: ReturnType<typeof policyOf>): Promise<void> {
    if (!this.#settings.create) return
    const SubscriptionArn = subscription
    const answer = await this.#calls.call((abortSignal) =>
      this.#calls.sns.send(new GetSubscriptionAttributesCommand({ SubscriptionArn }), { abortSignal }),
    )
    const { FilterPolicy, FilterPolicyScope } = answer.Attributes ?? {}
    const standing = parsedPolicy(FilterPolicy)
    if (standing === null) return
    const wide = FilterPolicyScope === 'MessageBody' ? widened(standing, wanted) : standing
    if (JSON.stringify(wide) === JSON.stringify(standing)) return
    this.#log.info({ subscription, from: standing, to: wide }, 'the filter of a subscription is widened')
    const AttributeValue = wide === null ? '{}' : JSON.stringify(wide)
    const input = { SubscriptionArn, AttributeName: 'FilterPolicy', AttributeValue }
    await this.#calls.call((abortSignal) =>
      this.#calls.sns.send(new SetSubscriptionAttributesCommand(input), { abortSignal }),
    )
  }

  #incompatible(problem: string): never {
    throw new QuadrilleError('WIRE_INCOMPATIBLE', { wire: this.#settings.name, problem })
  }
}

/** What was found before; a failure is not remembered. */
function remembered<T>(found: Map<string, Promise<T>>, name: string, find: () => Promise<T>): Promise<T> {
  const known = found.get(name)
  if (known) return known
  const looking = find()
  found.set(name, looking)
  looking.catch(() => found.delete(name))
  return looking
}
