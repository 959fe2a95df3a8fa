/**
 * Decodes an event once for the readers of the process that come to it within a short time: the data is frozen, so it can
 * be shared. What was decoded is forgotten soon, and not with its event, which stays in memory for much longer: a map by
 * event would hold on to all of it, and the garbage collector would carry it around.
 */
import { decodeData, type AnyContract, type EventRecord } from '../contracts/index.ts'

/** The data of an event, or why it has none. */
export type Decoded = { readonly ok: true; readonly data: unknown } | { readonly ok: false; readonly error: unknown }

/** What decoding needs of an event. */
export type Encoded = Pick<EventRecord, 'position' | 'type' | 'version' | 'data'>

interface Kept {
  readonly event: Encoded
  readonly contract: AnyContract
  readonly decoded: Decoded
}

/** How many are kept, each at the place that the end of its position names: a power of two. Readers are a few batches apart. */
const keptMax = 4_096
/** Longer ones are decoded for each reader, so that what is kept stays small. */
const charsMax = 8_192

const kept: (Kept | undefined)[] = Array.from({ length: keptMax }, () => undefined)

/** Never throws: what can not be decoded is an answer too. */
export function decode(contract: AnyContract, event: Encoded): Decoded {
  const place = event.position & (keptMax - 1)
  const known = kept[place]
  if (known !== undefined && known.event === event && known.contract === contract) return known.decoded
  let decoded: Decoded
  try {
    decoded = { ok: true, data: decodeData(contract, event) }
  } catch (error) {
    decoded = { ok: false, error }
  }
  if (event.data.length <= charsMax) kept[place] = { event, contract, decoded }
  return decoded
}
