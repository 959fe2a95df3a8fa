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
import { isKnown, QuadrilleError, type Logger, type SubscribedType, type Subscription } from 'quadrille'
import { hasAnswered, isMissing, type AwsCalls } from './aws-calls.ts'
import { nameInArn, queueName, topicName } from './aws-names.ts'
import type { AwsSettings } from './aws-options.ts'
import { parsedPolicy, policyOf, widened, type FilterPolicy } from './filter-policy.ts'

/** A queue that exists. */
export interface Queue {
  readonly name: string
  readonly url: string
}

/** A type that a queue is to be subscribed to, and what stands of it. */
interface Standing extends SubscribedType {
  /** The ARN of its topic. */
  readonly topic: string
  /** The ARN of the subscription; undefined when it is missing. */
  readonly subscription: string | undefined
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

  /** Somebody has removed something: it is looked up, and made, again. */
  forget(): void {
    this.#topics.clear()
    this.#queues.clear()
  }

  /**
   * The queue of a service that begins to receive, with what it is subscribed to; and what of that was gone although the
   * ledger knows it, or null.
   *
   * @throws QuadrilleError `WIRE_POSITION_LOST` when something was, unless that is accepted. Then nothing is made: the next
   *   start would take it for what has always been there.
   */
  async begin(wanted: Subscription): Promise<{ readonly queue: Queue; readonly gone: string | null }> {
    const { service, types, known = [], lost } = wanted
    let gone: string | null = null
    const miss = (problem: string): void => {
      if (lost !== 'accept')
        throw new QuadrilleError('WIRE_POSITION_LOST', { wire: this.#settings.name, service, problem })
      gone ??= problem
    }
    if (isKnown(wanted) && (await this.#findQueue(queueName(this.#settings, service))) === undefined) {
      miss(`the queue of ${service} is gone, and what was in it`)
      this.forget()
    }
    const queue = await this.queue(service)
    await this.#subscribeAll(queue, types, (missing) => {
      const topics = missing.filter(({ type }) => known.includes(type)).map(({ topic }) => nameInArn(topic))
      const what = `the subscription of ${service} to ${topics.join(', ')}`
      if (topics.length > 0) miss(`${what} is gone, and what was sent meanwhile did not come`)
    })
    return { queue, gone }
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

  /** Returns the topics whose subscription was missing. `check` may object before it is made. */
  async #subscribeAll(
    queue: Queue,
    types: readonly SubscribedType[],
    check: (missing: readonly Standing[]) => void = () => {},
  ): Promise<readonly string[]> {
    if (this.#settings.queues !== null) return []
    const { QueueArn: arn, Policy: policy } = await this.#attributes(queue, ['QueueArn', 'Policy'])
    const all: Standing[] = []
    for (const wanted of types) {
      const topic = await this.topic(wanted.type)
      all.push({ ...wanted, topic, subscription: await this.#findSubscription(topic, arn!) })
    }
    const missing = all.filter(({ subscription }) => subscription === undefined)
    check(missing)
    for (const { topic, subscription, patterns } of all) {
      if (policy === undefined || !policy.includes(statementId)) await this.#letIn(queue, { arn: arn!, topic, policy })
      if (subscription === undefined) await this.#subscribe(topic, arn!, policyOf(patterns))
      else await this.#widen(subscription, policyOf(patterns))
    }
    return missing.map(({ topic }) => nameInArn(topic))
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

  async #subscribe(topic: string, queueArn: string, wanted: FilterPolicy): Promise<void> {
    if (!this.#settings.create) {
      return this.#incompatible(`the subscription of ${nameInArn(queueArn)} to ${nameInArn(topic)} is missing`)
    }
    const filter: Record<string, string> = wanted
      ? { FilterPolicy: JSON.stringify(wanted), FilterPolicyScope: 'MessageBody' }
      : {}
    const Attributes = { RawMessageDelivery: String(this.#settings.raw), ...filter }
    const input = { TopicArn: topic, Protocol: 'sqs', Endpoint: queueArn, Attributes, ReturnSubscriptionArn: true }
    await this.#calls.call((abortSignal) => this.#calls.sns.send(new SubscribeCommand(input), { abortSignal }))
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

  async #widen(subscription: string, wanted: FilterPolicy): Promise<void> {
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
