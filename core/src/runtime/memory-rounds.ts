/**
 * What is still remembered. What is kept of the past (fences, joins, deadlines that are settled, ids) is needed while
 * something that is under way may still ask for it, and how long that takes nobody knows: a service is down, an event is
 * parked. So time is also counted in **rounds**:
 *
 *     a round: begins, and notes the end of the log
 *              --all that was there when it began is done, and the shortest time of a round is over--> the next begins
 *
 * An event that waits, for however long, is over when the second round after it ends. So a chain of as many events as
 * there may be (`maxHops`) takes two rounds for each; as many again are for deadlines and the time of joins, which
 * `start()` holds to half of the memory. What is older than all these rounds, and than the memory, is forgotten.
 */
import type { EventRecord } from '../contracts/index.ts'
import type { Ledger, LedgerRecord } from '../ledger/index.ts'
import { effectivePolicy } from '../service/index.ts'
import { isGone, isLeft, readerOf, type Known } from './declared.ts'
import { waitingKinds } from './record-kinds.ts'
import type { Settings } from './settings.ts'
import { sendReaction } from './wires/relay-records.ts'

/** Two for an event that waits, and two for what waits by declaration. */
const roundsOfLink = 4
const key = { scope: '~retention', kind: 'memory', id: 'rounds' } as const

/** What is kept in the ledger: all its processes share the rounds. */
interface Kept {
  /** When each round began, the oldest first; as many as are needed, and the one that runs. */
  readonly begins: readonly number[]
  /** The end of the log when the last one began. */
  readonly head: number
  /** How many rounds what is forgotten must have outlived: the most that any process has asked for. */
  readonly rounds: number
}

export class MemoryRounds {
  readonly #ledger: Ledger
  readonly #settings: Settings
  readonly #rounds: number
  #kept: Kept | undefined
  #warned = false

  constructor(ledger: Ledger, settings: Settings) {
    this.#ledger = ledger
    this.#settings = settings
    this.#rounds = roundsOfLink * longestChain(settings)
  }

  /** Nothing that was kept later may be forgotten; 0 for nothing at all. `upTo` is how far every reader has handled the log. */
  async horizon(upTo: number, known: Known): Promise<number> {
    const { memoryMs } = this.#settings.retention
    const nowMs = this.#settings.env.now()
    if (this.#kept === undefined || this.#mayEnd(this.#kept, nowMs)) this.#kept = await this.#look(nowMs, upTo, known)
    const { begins, rounds } = this.#kept
    return Math.min(nowMs - memoryMs, begins[begins.length - 1 - rounds] ?? 0)
  }

  /** A clock that was set back ends a round too: it would wait for long. */
  #mayEnd({ begins, rounds }: Kept, nowMs: number): boolean {
    return Math.abs(nowMs - begins.at(-1)!) >= this.#settings.retention.memoryMs / rounds
  }

  async #look(nowMs: number, upTo: number, readers: Known): Promise<Kept> {
    const [stored] = await this.#ledger.query({ ...key, limit: 1 })
    const known = stored && (JSON.parse(stored.body) as Kept)
    const before = known && { ...known, rounds: Math.max(known.rounds, this.#rounds) }
    if (before && !this.#mayEnd(before, nowMs)) return before
    const places = placesOf(readers, nowMs)
    const waiting = before && (await outstanding(this.#ledger, before, { upTo, places }))
    this.#warn(before, waiting)
    if (before && waiting !== undefined) return before
    const rounds = before?.rounds ?? this.#rounds
    const { head } = await this.#ledger.health()
    const kept = { begins: [...(before?.begins ?? []), nowMs].slice(-rounds - 1), head, rounds }
    await this.#ledger.transact((tx) => tx.save([recordOf(kept)]))
    return kept
  }

  #warn(kept: Kept | undefined, waiting: string | undefined): void {
    const { env, retention, log } = this.#settings
    const isLong = kept && waiting !== undefined && env.now() - kept.begins.at(-1)! > retention.memoryMs
    if (isLong && !this.#warned)
      log.warn({ waiting }, 'nothing is forgotten any more, because something has waited for so long')
    this.#warned = isLong === true
  }
}

function longestChain({ services, policy: app }: Settings): number {
  const hops = services.flatMap((service) =>
    service.reactions.map(
      ({ name, policy }) =>
        effectivePolicy({ app, service: service.policy, reaction: policy }, `${service.name}/${name}`).maxHops,
    ),
  )
  return Math.max(1, ...hops)
}

/** What was there when the last round began and is not done, in words; undefined for nothing. */
async function outstanding(
  ledger: Ledger,
  { begins, head }: Kept,
  { upTo, places }: { readonly upTo: number; readonly places: readonly Place[] },
): Promise<string | undefined> {
  const begun = begins.at(-1)!
  if (upTo < head) return 'an event that is not handled by everyone'
  for (const { scope, reaction } of places) {
    const kinds = waitingKinds(reaction)
    // By id, which begins with the position: the oldest event, whenever it is due.
    const [work] = await ledger.query({ scope, kind: kinds.work, limit: 1 })
    if (work && eventIn(work).position <= head) return `${scope}: ${reaction} has waiting work`
    for (const kind of [kinds.timer, kinds.batch, kinds.coalesce]) {
      const [due] = await ledger.query({ scope, kind, order: 'due', dueBefore: begun, limit: 1 })
      if (due) return `${scope}: ${reaction} has not done what was due`
    }
  }
  return undefined
}

const eventIn = (work: LedgerRecord): EventRecord => (JSON.parse(work.body) as { readonly event: EventRecord }).event

/** Where something may wait. */
interface Place {
  readonly scope: string
  readonly reaction: string
}

/** Every place where something may wait, also for services that run elsewhere; not of what is gone. */
function placesOf(known: Known, nowMs: number): readonly Place[] {
  const parked = known.readers
    .filter((reader) => !isLeft(reader, known, nowMs))
    .map((scope) => ({ scope, reaction: sendReaction }))
  const reactions = [...known.reactions].flatMap(([scope, all]) =>
    [...all]
      .filter(([, registered]) => !isGone(registered, nowMs))
      .map(([reaction, registered]) => ({ scope: readerOf(scope, reaction, registered), reaction })),
  )
  return [...parked, ...reactions]
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
