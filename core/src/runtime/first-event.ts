/** The first event behind a position, however many others stand before it. */
import type { EventRecord } from '../contracts/index.ts'
import type { Ledger } from '../ledger/index.ts'

/** A page may be empty and not the last one: a ledger looks at so many events at a time. Undefined when there is none. */
export async function firstEvent(
  ledger: Ledger,
  { after, types }: { readonly after: number; readonly types?: readonly string[] },
): Promise<EventRecord | undefined> {
  for (let from = after; ;) {
    const page = await ledger.read({ after: from, limit: 1, ...(types && { types }) })
    if (page.events.length > 0 || page.end) return page.events[0]
    from = page.upTo
  }
}
