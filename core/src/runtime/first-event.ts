/** The first event behind a position, however many others stand before it. */
import type { EventRecord } from '../contracts/index.ts'
import type { Ledger } from '../ledger/index.ts'

/** Events that are looked at together, where it is not the types alone that decide. */
const pageMax = 1_000

/** Which event. */
interface Wanted {
  readonly after: number
  readonly types?: readonly string[] | undefined
  readonly where?: (event: EventRecord) => boolean
}

/** A page may be empty and not the last one: a ledger looks at so many events at a time. Undefined when there is none. */
export async function firstEvent(ledger: Ledger, { after, types, where }: Wanted): Promise<EventRecord | undefined> {
  for (let from = after; ;) {
    const page = await ledger.read({ after: from, limit: where ? pageMax : 1, ...(types && { types }) })
    const found = where ? page.events.find(where) : page.events[0]
    // What is behind the end of what can be read, as it is just being committed, is not waited for.
    if (found !== undefined || page.end || page.upTo === from) return found
    from = page.upTo
  }
}
