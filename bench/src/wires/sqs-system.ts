/** SQS against ElasticMQ, which is emulated: the wire with FIFO queues, and the client of the AWS SDK by itself. */
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  SendMessageBatchCommand,
  SQSClient,
} from '@aws-sdk/client-sqs'
import { sqs } from '@quadrille/aws'
import type { RawMessage } from './wire-messages.ts'
import type { WireSystem } from './wire-systems.ts'

/** What one call takes. */
const callMax = 10
/** Calls at a time: as many keys as the messages have can be under way. */
const callsMax = 8

const clientFor = (endpoint: string) => ({
  endpoint,
  region: 'us-east-1',
  credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
  useQueueUrlAsEndpoint: false,
})

const queueOf = async (client: SQSClient, topic: string): Promise<string> => {
  const QueueName = `raw-${topic.replaceAll('.', '-')}.fifo`
  const Attributes = { FifoQueue: 'true', DeduplicationScope: 'messageGroup', FifoThroughputLimit: 'perMessageGroupId' }
  return (await client.send(new CreateQueueCommand({ QueueName, Attributes }))).QueueUrl!
}

export const sqsSystem: WireSystem = {
  broker: 'elasticmq',
  goal: 0.7,
  events: 4_000,
  wire: async (url, place) =>
    sqs({ prefix: `${place.replaceAll('.', '-')}-`, client: clientFor(url), queues: () => ['target'], wait: '1s' }),
  async rawSender(url, topic) {
    const client = new SQSClient(clientFor(url))
    const QueueUrl = await queueOf(client, topic)
    const sendSome = (messages: readonly RawMessage[]) => {
      const Entries = messages.map(({ key, attributes, body }, index) => ({
        Id: String(index),
        MessageBody: body,
        MessageGroupId: key,
        MessageDeduplicationId: attributes['id']!,
      }))
      return client.send(new SendMessageBatchCommand({ QueueUrl, Entries }))
    }
    return {
      async send(messages) {
        const calls = Array.from({ length: Math.ceil(messages.length / callMax) }, (_, at) =>
          messages.slice(at * callMax, (at + 1) * callMax),
        )
        for (let at = 0; at < calls.length; at += callsMax)
          await Promise.all(calls.slice(at, at + callsMax).map(sendSome))
      },
      close: async () => client.destroy(),
    }
  },
  async rawReceiver({ url, topic }, got) {
    const client = new SQSClient(clientFor(url))
    const QueueUrl = await queueOf(client, topic)
    let open = true
    const poll = async () => {
      while (open) {
        const fetch = new ReceiveMessageCommand({ QueueUrl, MaxNumberOfMessages: callMax, WaitTimeSeconds: 1 })
        const { Messages = [] } = await client.send(fetch)
        if (Messages.length === 0) continue
        for (const { Body = '' } of Messages) got(Buffer.from(Body))
        const Entries = Messages.map(({ ReceiptHandle }, index) => ({
          Id: String(index),
          ReceiptHandle: ReceiptHandle!,
        }))
        await client.send(new DeleteMessageBatchCommand({ QueueUrl, Entries }))
      }
    }
    const pollers = Promise.all(Array.from({ length: callsMax }, poll))
    return {
      async close() {
        open = false
        await pollers
        client.destroy()
      },
    }
  },
}
