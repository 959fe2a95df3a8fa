/**
 * For how long forgetting has stood still. What is remembered (fences, joins, deadlines that are settled, ids) is needed
 * while something that is under way may still ask for it, and how long that takes nobody knows: a service is down, an
 * event is parked. So the time of memory runs only while nothing waits for long:
 *
 *     a look: what waits is younger than a step --> the time since the last look has passed, at most a step of it
 *             something waits longer            --> no time has passed
 *
 * A step is a hundredth of the memory. An event that waits lets no more than two steps pass, so a chain of 25 (`maxHops`)
 * takes half of the memory, however long it really takes; the other half is for deadlines and the time of joins,
 * which `start()` holds to that.
 */
import type { EventRecord } from '../contracts/index.ts'
import type { Ledger, LedgerRecord } from '../ledger/index.ts'
import { reactionKind } from './registration.ts'
import type { Settings } from './settings.ts'
import { parkedKind } from './wires/relay-records.ts'

const stepsOfMemory = 100
const key = { scope: '~retention', kind: 'memory', id: 'clock' } as const
const reactionsMax = 10_000

/** What is kept in the ledger: all processes share one clock. */
interface Kept {
  /** Before this nothing is known. */
  readonly since: number
  readonly lookedAt: number
  /** When it stood still, oldest first. */
  readonly stills: readonly (readonly [from: number, to: number])[]
}

/** The clock of a ledger's memory. */
export class MemoryClock {
  readonly #ledger: Ledger
  readonly #settings: Settings
  #kept: Kept | undefined
  #warned = false

  constructor(ledger: Ledger, settings: Settings) {
    this.#ledger = ledger
    this.#settings = settings
  }

  /**
   * How long it has stood still within the last stretch in which as much time as the memory has passed; Infinity when no
   * such stretch is known. `upTo` is how far every reader has handled the log.
   */
  async stillMs(upTo: number): Promise<number> {
    const { memoryMs } = this.#settings.retention
    const nowMs = this.#settings.env.now()
    const isDue = this.#kept === undefined || nowMs - this.#kept.lookedAt >= memoryMs / stepsOfMemory / 2
    const kept = isDue ? await this.#look(nowMs, upTo) : this.#kept!
    this.#kept = kept
    return stillWithin(kept, nowMs, memoryMs).stillMs
  }

  async #look(nowMs: number, upTo: number): Promise<Kept> {
    const { memoryMs } = this.#settings.retention
    const stepMs = memoryMs / stepsOfMemory
    const [stored] = await this.#ledger.query({ ...key, limit: 1 })
    const before = stored && (JSON.parse(stored.body) as Kept)
    if (before && Math.abs(nowMs - before.lookedAt) < stepMs / 2) return before
    const waiting = await longWaiting(this.#ledger, { upTo, nowMs, stepMs })
    const kept = advanced(before, { nowMs, memoryMs, passes: waiting === undefined ? stepMs : 0 })
    await this.#ledger.transact((tx) => tx.save([recordOf(kept)]))
    this.#warn(kept, waiting)
    return kept
  }

  #warn(kept: Kept, waiting: string | undefined): void {
    const last = kept.stills.at(-1)
    const isLong = waiting !== undefined && last !== undefined && last[1] - last[0] > this.#settings.retention.memoryMs
    if (isLong && !this.#warned)
      this.#settings.log.warn({ waiting }, 'nothing is forgotten any more, because something has waited for so long')
    this.#warned = isLong
  }
}

/** The clock after a look, at which so much time may pass. What is too old to matter is left out. */
function advanced(
  before: Kept | undefined,
  at: { readonly nowMs: number; readonly memoryMs: number; readonly passes: number },
): Kept {
  const { nowMs, memoryMs, passes } = at
  if (before === undefined) return { since: nowMs, lookedAt: nowMs, stills: [] }
  const stoodUntil = nowMs - passes
  const stills = stoodUntil > before.lookedAt ? joined(before.stills, [before.lookedAt, stoodUntil]) : before.stills
  const kept = { ...before, lookedAt: Math.max(nowMs, before.lookedAt), stills }
  const { from } = stillWithin(kept, nowMs, memoryMs)
  return { ...kept, stills: stills.filter(([, to]) => to > from) }
}

function joined(stills: Kept['stills'], next: readonly [number, number]): Kept['stills'] {
  const last = stills.at(-1)
  return last?.[1] === next[0] ? [...stills.slice(0, -1), [last[0], next[1]]] : [...stills, next]
}

/** Goes back until as much time as the memory has passed. What was not looked at yet counts as standing still. */
function stillWithin(kept: Kept, nowMs: number, memoryMs: number): { readonly stillMs: number; readonly from: number } {
  let stillMs = Math.max(0, nowMs - kept.lookedAt)
  let wantedMs = memoryMs
  let at = kept.lookedAt
  for (const [from, to] of kept.stills.toReversed()) {
    if (at - to >= wantedMs) break
    wantedMs -= at - to
    stillMs += to - from
    at = from
  }
  const from = at - wantedMs
  return from >= kept.since ? { stillMs, from } : { stillMs: Infinity, from: kept.since }
}

/** What has waited for longer than a step, in words; undefined for nothing. */
async function longWaiting(
  ledger: Ledger,
  at: { readonly upTo: number; readonly nowMs: number; readonly stepMs: number },
): Promise<string | undefined> {
  const before = at.nowMs - at.stepMs
  const [unread] = (await ledger.read({ after: at.upTo, limit: 1 })).events
  if (unread && unread.time < before) return `event ${unread.id} is not handled by everyone`
  for (const { scope, reaction } of await allReactions(ledger)) {
    // By id, which begins with the position: the oldest event, whenever it is due.
    const [work] = await ledger.query({ scope, kind: `work/${reaction}`, limit: 1 })
    if (work && eventIn(work).time < before) return `${scope}: ${reaction} has waiting work`
    for (const kind of ['timer', 'batch', 'coalesce']) {
      const [due] = await ledger.query({
        scope,
        kind: `${kind}/${reaction}`,
        order: 'due',
        dueBefore: before,
        limit: 1,
      })
      if (due) return `${scope}: ${reaction} has not done what was due`
    }
  }
  return undefined
}

const eventIn = (work: LedgerRecord): EventRecord => (JSON.parse(work.body) as { readonly event: EventRecord }).event

/** Every place where something may wait, also for services that run elsewhere. */
async function allReactions(ledger: Ledger): Promise<readonly { readonly scope: string; readonly reaction: string }[]> {
  const places: { scope: string; reaction: string }[] = []
  for (const reader of await ledger.readers()) {
    places.push({ scope: reader, reaction: parkedKind.slice('work/'.length) })
    for (const { id } of await ledger.query({ scope: reader, kind: reactionKind, limit: reactionsMax }))
      places.push({ scope: reader, reaction: id }, { scope: `${reader}/${id}`, reaction: id })
  }
  return places
}

const recordOf = (kept: Kept): LedgerRecord => ({
  ...key,
  partition: -1,
  lane: null,
  seq: 0,
  due: null,
  expires: null,
  body: JSON.stringify(kept),
})
