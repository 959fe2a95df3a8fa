/** SQS against ElasticMQ, which is emulated: the wire with FIFO queues, and the client of the AWS SDK by itself. */
import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs'
import { sqs } from '@quadrille/aws'
import { clientFor, fetching, queueOf, sendAll } from './aws-raw.ts'
import type { RawMessage } from './wire-messages.ts'
import type { WireSystem } from './wire-systems.ts'

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
    return { send: (messages) => sendAll(messages, sendSome), close: async () => client.destroy() }
  },
  async rawReceiver({ url, topic }, got) {
    const client = new SQSClient(clientFor(url))
    return fetching(client, await queueOf(client, topic), got)
  },
}
