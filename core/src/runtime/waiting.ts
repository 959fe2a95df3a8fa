/** Waiting for facts: that a service has handled something, that a conversation has ended. Never by sleeping for a guess. */
import { durationMs, type Env } from '../base/index.ts'
import { partitionOf } from '../contracts/index.ts'
import type { Ledger, LedgerRecord } from '../ledger/index.ts'
import type { App, Outcome, Token } from './app.ts'
import { readerOf, registeredIn } from './declared.ts'
import { LookRounds } from './look-rounds.ts'
import { Outcomes } from './outcomes.ts'
import type { Reader } from './reader.ts'
import { standsSince } from './collect-step.ts'
import { waitingKinds } from './record-kinds.ts'
import { isLetter, laneOf } from './work.ts'

const timeoutDefault = '30s'
/** Where so many wait what is parked is read at once, as long as there is not more of it than that. */
const manyMin = 8
const parkedMax = 500

/** What waiting needs. */
export interface WaitingContext {
  readonly env: Env
  readonly ledger: Ledger
  /** Refuses what can not be done now. */
  readonly check: (operation: string) => void
  readonly readers: () => readonly Reader[]
}

/** Whose handling is asked for: a reader with its reactions, and its leases when it runs here. */
interface Who {
  readonly reader: string
  readonly names: readonly string[]
  readonly leases?: Reader['leases']
}

/** What all who wait ask the ledger in one round, asked once. */
interface RoundFacts {
  /** Whether a reader has passed an event, as things stood before anything else was asked. */
  passed(who: Who): Promise<(partition: number, position: number) => boolean>
  registered(service: string): ReturnType<typeof registeredIn>
  first(lane: Lane): Promise<LedgerRecord | undefined>
}

/** Where events of a key wait for a reaction. */
interface Lane {
  readonly scope: string
  readonly kind: string
  readonly lane: string
}

/** Somebody who waits for a handling. */
interface Wait {
  readonly isOver: (facts: RoundFacts) => Promise<boolean>
  readonly told: PromiseWithResolvers<true>
}

/** Implements the waiting methods of {@link App}. */
export class Waiting implements Pick<App, 'seen' | 'outcome'> {
  readonly #ledger: Ledger
  readonly #check: (operation: string) => void
  readonly #readers: () => readonly Reader[]
  readonly #waits = new Set<Wait>()
  readonly #rounds: LookRounds
  readonly #outcomes: Outcomes

  constructor(context: WaitingContext) {
    this.#ledger = context.ledger
    this.#check = context.check
    this.#readers = context.readers
    this.#rounds = new LookRounds(context.env, () => this.#askAll())
    this.#outcomes = new Outcomes(context.env, context.ledger)
  }

  /** Something may have changed. */
  look(): void {
    this.#outcomes.look()
    this.#rounds.look()
  }

  async seen(...[token, service, options = {}]: Parameters<App['seen']>): Promise<void> {
    this.#check('seen()')
    const name = typeof service === 'string' ? service : service.name
    const timeoutMs = durationMs(options.timeout ?? timeoutDefault, 'timeout')
    const here = Map.groupBy(this.#readers(), ({ context }) => context.plan.service.name)
    const readers = here.get(name) ?? []
    const elsewhere = `, which does not run in this app (running: ${[...here.keys()].join(', ')}),`
    const where = readers.length > 0 ? '' : elsewhere
    const waitedFor = `the handling of conversation ${token.correlationId} by ${name}${where}`
    const isOver = async (facts: RoundFacts): Promise<boolean> => {
      for (const { context, leases } of readers) {
        const { reader, states } = context.plan
        const names = states.map(({ reaction }) => reaction.name)
        if (!(await this.#isHandled(token, { reader, names, leases }, facts))) return false
      }
      return readers.length > 0 || this.#isHandledElsewhere(token, name, facts)
    }
    const wait: Wait = { isOver, told: Promise.withResolvers() }
    this.#waits.add(wait)
    try {
      const first = async () => (await isOver(this.#newFacts(false))) || undefined
      await this.#rounds.wait({ waitedFor, timeoutMs }, wait.told, first)
    } finally {
      this.#waits.delete(wait)
    }
  }

  async outcome(...[choreography, key, options = {}]: Parameters<App['outcome']>): Promise<Outcome> {
    this.#check('outcome()')
    const timeoutMs = durationMs(options.timeout ?? choreography.withinMs ?? timeoutDefault, 'timeout')
    return this.#outcomes.wait(choreography, key, timeoutMs)
  }

  async #isHandled(token: Token, who: Who, facts: RoundFacts): Promise<boolean> {
    const passed = await facts.passed(who)
    for (const { key, position } of token.events) if (!passed(partitionOf(key), position)) return false
    for (const name of who.names)
      for (const event of token.events)
        if (await isParked({ scope: who.reader, reaction: name, event }, facts)) return false
    return true
  }

  /** As far as the ledger knows the reactions of the service, which runs in another process. */
  async #isHandledElsewhere(token: Token, service: string, facts: RoundFacts): Promise<boolean> {
    const registered = await facts.registered(service)
    const running = [...registered].filter(([, { until }]) => until === undefined)
    const byReader = Map.groupBy(running, ([name, each]) => readerOf(service, name, each))
    if (byReader.size === 0) return this.#isHandled(token, { reader: service, names: [] }, facts)
    for (const [reader, reactions] of byReader)
      if (!(await this.#isHandled(token, { reader, names: reactions.map(([name]) => name) }, facts))) return false
    return true
  }

  /** Asks for all who wait, and the ledger once for what they have in common. */
  async #askAll(): Promise<void> {
    const facts = this.#newFacts(this.#waits.size >= manyMin)
    const ask = async ({ isOver, told }: Wait): Promise<void> => {
      try {
        if (await isOver(facts)) told.resolve(true)
      } catch (error) {
        told.reject(error)
      }
    }
    await Promise.all([...this.#waits].map(ask))
  }

  #newFacts(many: boolean): RoundFacts {
    const parked = once(
      (lane: Lane) => this.#parked(lane),
      ({ scope, kind }) => JSON.stringify([scope, kind]),
    )
    return {
      passed: once(
        (who) => this.#passedOf(who),
        (who) => who.reader,
      ),
      registered: once(
        (service) => registeredIn(this.#ledger, service),
        (service) => service,
      ),
      first: async (lane) => {
        const firsts = many ? await parked(lane) : null
        if (firsts) return firsts.get(lane.lane)
        return (await this.#ledger.query({ ...lane, order: 'seq', limit: 1 }))[0]
      },
    }
  }

  async #passedOf({ reader, leases }: Who): ReturnType<RoundFacts['passed']> {
    // What is none of its business a reader passes without writing that down at once.
    const here = leases?.positions
    const saved = await this.#ledger.positions(reader)
    return (partition, position) => Math.max(here?.get(partition) ?? -1, saved[partition] ?? -1) >= position
  }

  /** The first record of each lane; null when there are too many. */
  async #parked({ scope, kind }: Lane): Promise<ReadonlyMap<string, LedgerRecord> | null> {
    const records = await this.#ledger.query({ scope, kind, limit: parkedMax })
    if (records.length === parkedMax) return null
    const firsts = new Map<string, LedgerRecord>()
    // They come by their ids, and within a lane those are in the order of positions.
    for (const record of records) if (!firsts.has(record.lane!)) firsts.set(record.lane!, record)
    return firsts
  }
}

/** True when the event, or one before it in its lane, has still to be handled. */
async function isParked(
  { scope, reaction, event }: { scope: string; reaction: string; event: Token['events'][number] },
  facts: RoundFacts,
): Promise<boolean> {
  const lane = laneOf(reaction, event.key)
  const kinds = waitingKinds(reaction)
  // What was collected may become work meanwhile, and never the other way round: so work is looked at last.
  for (const kind of [kinds.batch, kinds.coalesce, kinds.work]) {
    const first = await facts.first({ scope, kind, lane })
    if (!first) continue
    // The latest event of a key stands for those before it that nobody has handled.
    const since = kind === kinds.coalesce ? standsSince(first) : first.seq
    if (since > event.position) continue
    // A dead letter that holds its lane will not be handled by waiting; what is behind it may be.
    if (first.seq < event.position || !isLetter(first)) return true
  }
  return false
}

/** The function, remembering what it has found for each name. */
function once<Subject, T>(find: (subject: Subject) => Promise<T>, nameOf: (subject: Subject) => string) {
  const found = new Map<string, Promise<T>>()
  return (subject: Subject): Promise<T> => {
    const name = nameOf(subject)
    const known = found.get(name) ?? find(subject)
    found.set(name, known)
    return known
  }
}
