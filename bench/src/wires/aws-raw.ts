/** What the bare clients of SQS alone, and of SNS with SQS, have in common. */
import {
  CreateQueueCommand,
  DeleteMessageBatchCommand,
  ReceiveMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs'
import type { RawMessage } from './wire-messages.ts'
import type { RawReceiver } from './wire-systems.ts'

/** What one call takes. */
const callMax = 10
/** Calls at a time: as many keys as the messages have can be under way. */
const callsMax = 8

/** Options of a client of the SDK for a server on this machine. */
export const clientFor = (endpoint: string) => ({
  endpoint,
  region: 'us-east-1',
  credentials: { accessKeyId: 'x', secretAccessKey: 'x' },
  useQueueUrlAsEndpoint: false,
})

/** The name of a queue or topic that the wire does not use. */
export const rawName = (topic: string): string => `raw-${topic.replaceAll('.', '-')}.fifo`

/** The URL of the queue; it is made where it is missing. */
export const queueOf = async (client: SQSClient, topic: string): Promise<string> => {
  const Attributes = { FifoQueue: 'true', DeduplicationScope: 'messageGroup', FifoThroughputLimit: 'perMessageGroupId' }
  return (await client.send(new CreateQueueCommand({ QueueName: rawName(topic), Attributes }))).QueueUrl!
}

/** Sends as many messages as there are, a few calls at a time. */
export async function sendAll(
  messages: readonly RawMessage[],
  sendSome: (messages: readonly RawMessage[]) => Promise<unknown>,
): Promise<void> {
  const calls = Array.from({ length: Math.ceil(messages.length / callMax) }, (_, at) =>
    messages.slice(at * callMax, (at + 1) * callMax),
  )
  for (let at = 0; at < calls.length; at += callsMax) await Promise.all(calls.slice(at, at + callsMax).map(sendSome))
}

/** Fetches and deletes until it is closed, and closes the client. */
export function fetching(client: SQSClient, QueueUrl: string, got: (body: Uint8Array) => void): RawReceiver {
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
}
