/** Decodes each event once for all readers of the process: the data is frozen, so it can be shared. */
import { decodeData, type AnyContract, type EventRecord } from '../contracts/index.ts'

/** The data of an event, or why it has none. */
export type Decoded = { readonly ok: true; readonly data: unknown } | { readonly ok: false; readonly error: unknown }

const cache = new WeakMap<EventRecord, { readonly contract: AnyContract; readonly decoded: Decoded }>()

/** Never throws: what can not be decoded is an answer too. */
export function decode(contract: AnyContract, event: EventRecord): Decoded {
  const known = cache.get(event)
  if (known?.contract === contract) return known.decoded
  let decoded: Decoded
  try {
    decoded = { ok: true, data: decodeData(contract, event) }
  } catch (error) {
    decoded = { ok: false, error }
  }
  cache.set(event, { contract, decoded })
  return decoded
}
