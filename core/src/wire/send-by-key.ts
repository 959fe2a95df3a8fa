/** Sending in order per key where a broker takes messages one by one, and any of them may fail. */
import { QuadrilleError } from '../base/index.ts'
import type { OutgoingMessage } from './wire.ts'

/**
 * Sends messages one by one, different keys at the same time, those of one key one after the other. After a retryable
 * error of a message, the later ones of its key are not sent and carry `WIRE_SEND_HELD`.
 *
 * @param sendOne - Resolves when the broker has the message, with null or the error why it has not; never rejects.
 * @returns as `Wire.send` does: for each message null or its error.
 */
export async function sendByKey(
  messages: readonly OutgoingMessage[],
  sendOne: (message: OutgoingMessage) => Promise<QuadrilleError | null>,
): Promise<readonly (QuadrilleError | null)[]> {
  const results: (QuadrilleError | null)[] = messages.map(() => null)
  const lanes = Map.groupBy(messages.keys(), (index) => messages[index]!.event.key)
  const sendLane = async (indexes: readonly number[]): Promise<void> => {
    for (const [at, index] of indexes.entries()) {
      const error = await sendOne(messages[index]!)
      results[index] = error
      if (!error?.retryable) continue
      for (const later of indexes.slice(at + 1))
        results[later] = new QuadrilleError('WIRE_SEND_HELD', { behind: messages[index]!.event.id })
      return
    }
  }
  await Promise.all([...lanes.values()].map(sendLane))
  return results
}
