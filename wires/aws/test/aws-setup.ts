/** What the tests of the AWS wires share: clients, and places for the conformance cases. */
import { ListSubscriptionsByTopicCommand, ListTopicsCommand, SNSClient, UnsubscribeCommand } from '@aws-sdk/client-sns'
import {
  DeleteQueueCommand,
  GetQueueAttributesCommand,
  GetQueueUrlCommand,
  ListQueuesCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { tcpProxy, type TcpProxy } from '@quadrille/brokers'
import { silentLogger, systemEnv, type Wire, type WireContext, type WireNotice } from 'quadrille'
import { wireCases, type WireHarness } from 'quadrille/conformance'
import type { AwsOptions, AwsWire } from '@quadrille/aws'

/** A server that speaks for AWS, and can be killed and started again on the same data. */
export interface Server {
  readonly port: number
  kill(): Promise<void>
  restart(): Promise<void>
}

/** Names of the conformance cases that kill the server, and of those that do anything to it. */
export const withKill = wireCases.filter(({ needs = [] }) => needs.includes('killBroker')).map(({ name }) => name)
export const withHooks = wireCases.filter(({ needs = [] }) => needs.length > 0).map(({ name }) => name)

const credentials = { accessKeyId: 'test', secretAccessKey: 'test' }

/** Options of a client of the SDK for a server on loopback. */
export const clientFor = (port: number) => ({
  endpoint: `http://127.0.0.1:${port}`,
  region: 'us-east-1',
  credentials,
  useQueueUrlAsEndpoint: false,
  maxAttempts: 2,
})

export const sqsClient = (port: number): SQSClient => new SQSClient(clientFor(port))
export const snsClient = (port: number): SNSClient => new SNSClient(clientFor(port))

export function contextOf(sends: readonly string[] = [], notices: WireNotice[] = []): WireContext {
  return { env: systemEnv, log: silentLogger, sends, notice: (notice) => notices.push(notice) }
}

/** A wire against a server. `services` tells who has subscribed to a type so far, at this place. */
export type MakeWire = (options: AwsOptions, services: (type: string) => readonly string[]) => AwsWire

/** The conformance cases against a server. */
export function awsHarness(given: {
  readonly name: string
  readonly server: () => Server
  readonly wire: MakeWire
  readonly senderMakesQueues?: boolean
}): WireHarness {
  return {
    name: given.name,
    capabilities: given.wire({}, () => []).capabilities,
    cannot: {
      inject: 'a message of SQS is text; what is no event is tested by itself',
      dropUnread: 'SQS forgets what is older than the retention, 14 days, and does not tell',
      ...(given.senderMakesQueues && {
        forget: 'whoever sends makes the queue again, and nothing tells it from the old one',
      }),
    },
    async create() {
      const { port } = given.server()
      const prefix = `t${systemEnv.uuid().slice(-8)}-`
      const proxies = new Map<Wire, Promise<TcpProxy>>()
      const direct = sqsClient(port)
      const urlOf = async (service: string) =>
        (await queues(direct, prefix)).find((url) => url.includes(service.replaceAll('-', '_-')))!
      const deleteQueue = async ({ service }: { readonly service: string }) => {
        await direct.send(new DeleteQueueCommand({ QueueUrl: await urlOf(service) }))
      }
      const subscribed = new Map<string, Set<string>>()
      const services = (type: string) => [...(subscribed.get(type) ?? [])]
      const lateProxies: Promise<TcpProxy>[] = []
      return {
        env: systemEnv,
        connect() {
          // The proxy gets its port before any byte is sent: the endpoint is asked for at each call.
          const proxy = tcpProxy(port)
          lateProxies.push(proxy)
          const endpoint = async () => ({
            protocol: 'http:',
            hostname: '127.0.0.1',
            port: (await proxy).port,
            path: '/',
          })
          const client = { ...clientFor(port), endpoint }
          const wire = given.wire({ prefix, client, visibility: '3s', wait: '1s', timeout: '4s' }, services)
          const receive = wire.receive.bind(wire)
          wire.receive = (subscription, deliver) => {
            for (const { type } of subscription.types) {
              subscribed.set(type, (subscribed.get(type) ?? new Set()).add(subscription.service))
            }
            return receive(subscription, deliver)
          }
          proxies.set(wire, proxy)
          return wire
        },
        hooks: {
          crash: async (wire) => (await proxies.get(wire)!).cut(),
          async freeze(wire) {
            const proxy = await proxies.get(wire)!
            proxy.freeze()
            return async () => proxy.thaw()
          },
          async killBroker() {
            await given.server().kill()
            return () => given.server().restart()
          },
          removeSubscription: deleteQueue,
          ...(given.senderMakesQueues ? {} : { forget: deleteQueue }),
          async outstanding({ service }) {
            const AttributeNames = ['ApproximateNumberOfMessagesNotVisible'] as const
            const input = { QueueUrl: await urlOf(service), AttributeNames: [...AttributeNames] }
            const { Attributes } = await direct.send(new GetQueueAttributesCommand(input))
            return Number(Attributes?.[AttributeNames[0]])
          },
        },
        async remove() {
          for (const QueueUrl of await queues(direct, prefix)) await direct.send(new DeleteQueueCommand({ QueueUrl }))
          for (const proxy of lateProxies) await (await proxy).close()
          direct.destroy()
        },
      }
    },
  }
}

async function queues(client: SQSClient, prefix: string): Promise<string[]> {
  const answer = await client.send(new ListQueuesCommand({ QueueNamePrefix: prefix, MaxResults: 100 }))
  return answer.QueueUrls ?? []
}

export async function queueUrl(client: SQSClient, name: string): Promise<string> {
  return (await client.send(new GetQueueUrlCommand({ QueueName: name }))).QueueUrl!
}

/** The ARN of the topic of that name. */
export async function topicArn(client: SNSClient, name: string): Promise<string> {
  const { Topics = [] } = await client.send(new ListTopicsCommand({}))
  return Topics.map(({ TopicArn }) => TopicArn!).find((arn) => arn.endsWith(`:${name}`))!
}

export async function subscriptionArns(client: SNSClient, topic: string): Promise<string[]> {
  const { Subscriptions = [] } = await client.send(new ListSubscriptionsByTopicCommand({ TopicArn: topic }))
  return Subscriptions.map(({ SubscriptionArn }) => SubscriptionArn!)
}

/** As somebody does who tidies up. */
export async function unsubscribeAll(client: SNSClient, topic: string): Promise<void> {
  for (const SubscriptionArn of await subscriptionArns(client, topic))
    await client.send(new UnsubscribeCommand({ SubscriptionArn }))
}
