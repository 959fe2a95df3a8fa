/** SNS with SQS against fauxqs, which is emulated: the wire with FIFO topics and queues, and the clients of the AWS SDK by themselves. */
import { CreateTopicCommand, PublishBatchCommand, SNSClient, SubscribeCommand } from '@aws-sdk/client-sns'
import { GetQueueAttributesCommand, SQSClient } from '@aws-sdk/client-sqs'
import { sns } from '@quadrille/aws'
import { clientFor, fetching, queueOf, rawName, sendAll } from './aws-raw.ts'
import type { RawMessage } from './wire-messages.ts'
import type { WireSystem } from './wire-systems.ts'

const topicOf = async (client: SNSClient, topic: string): Promise<string> => {
  const Attributes = { FifoTopic: 'true', ContentBasedDeduplication: 'false' }
  return (await client.send(new CreateTopicCommand({ Name: rawName(topic), Attributes }))).TopicArn!
}

export const snsSystem: WireSystem = {
  broker: 'fauxqs',
  goal: 0.7,
  events: 4_000,
  wire: async (url, place) => sns({ prefix: `${place.replaceAll('.', '-')}-`, client: clientFor(url), wait: '1s' }),
  async rawSender(url, topic) {
    const client = new SNSClient(clientFor(url))
    const TopicArn = await topicOf(client, topic)
    const sendSome = (messages: readonly RawMessage[]) => {
      const PublishBatchRequestEntries = messages.map(({ key, attributes, body }, index) => ({
        Id: String(index),
        Message: body,
        MessageGroupId: key,
        MessageDeduplicationId: attributes['id']!,
      }))
      return client.send(new PublishBatchCommand({ TopicArn, PublishBatchRequestEntries }))
    }
    return { send: (messages) => sendAll(messages, sendSome), close: async () => client.destroy() }
  },
  async rawReceiver({ url, topic }, got) {
    const [topics, queues] = [new SNSClient(clientFor(url)), new SQSClient(clientFor(url))]
    const QueueUrl = await queueOf(queues, topic)
    const asked = new GetQueueAttributesCommand({ QueueUrl, AttributeNames: ['QueueArn'] })
    const Endpoint = (await queues.send(asked)).Attributes!['QueueArn']!
    const TopicArn = await topicOf(topics, topic)
    const Attributes = { RawMessageDelivery: 'true' }
    await topics.send(new SubscribeCommand({ TopicArn, Protocol: 'sqs', Endpoint, Attributes }))
    topics.destroy()
    return fetching(queues, QueueUrl, got)
  },
}
