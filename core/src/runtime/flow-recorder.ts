/**
 * Puts together what has happened in a conversation, from its events, the notes, what is still waiting, and the declarations
 * of all services that work on the ledger. Those of services that run here can be asked whom an event concerns; of the others
 * the ledger knows types and patterns, and where that is not enough, a delivery is shown when it has left a trace.
 */
import { decodeData, matchesPattern, partitionOf, type AnyContract, type EventRecord } from '../contracts/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { emitsOf, triggersOf } from '../service/index.ts'
import { noteScope } from './batch-tx.ts'
import { declarationOf, knownIn, readerOf, type Declared, type DeclaredTrigger } from './declared.ts'
import type { Flow, FlowDelivery, FlowNote } from './flow.ts'
import { look } from './page-tasks.ts'
import type { ReactionState, ReaderPlan } from './plan.ts'
import { noteKind, waitingKinds } from './record-kinds.ts'
import { laneOf, workId } from './work.ts'

const eventsMax = 10_000
const notesMax = 10_000

/** A way that events of a type go: to a reaction, in one of its parts. */
interface Way {
  readonly service: string
  readonly reaction: string
  readonly reader: string
  /** Events up to here are none of its business. */
  readonly since: number
  /** Later events it may not have been told. */
  readonly until: number
  readonly declared: Declared
  readonly trigger: DeclaredTrigger
  /** Set when it runs here. */
  readonly state: ReactionState | undefined
}

/** Records the flow of a conversation. */
export async function recordFlow(correlationId: string, ledger: Ledger, plans: readonly ReaderPlan[]): Promise<Flow> {
  const events = await ledger.find({ correlationId, limit: eventsMax })
  const stored = await ledger.query({
    scope: noteScope,
    kind: noteKind,
    order: 'seq',
    lane: correlationId,
    limit: notesMax,
  })
  const notes = stored.map((record): FlowNote => {
    const body = JSON.parse(record.body) as Omit<FlowNote, 'at'> & { at: number }
    return { ...body, at: new Date(body.at) }
  })
  const ways = Map.groupBy(await allWays(ledger, plans), ({ trigger }) => trigger.type)
  const story = new Story(ledger, { plans, events, notes })
  const deliveries: FlowDelivery[] = []
  for (const event of events) {
    for (const way of ways.get(event.type) ?? []) {
      const status = await story.statusOf(way, event)
      const { service, reaction, trigger } = way
      const role = trigger.role === 'trigger' ? 'run' : trigger.role
      if (status !== null) deliveries.push({ service, reaction, role, eventId: event.id, status })
    }
  }
  return { correlationId, events, deliveries, notes }
}

/** All ways of the ledger, in the same order wherever it is asked: by service, then as declared. */
async function allWays(ledger: Ledger, plans: readonly ReaderPlan[]): Promise<readonly Way[]> {
  const states = plans.flatMap((plan) => plan.states)
  const here = new Map(states.map((state) => [`${state.service.name}/${state.reaction.name}`, state]))
  const { reactions } = await knownIn(ledger)
  return [...reactions.keys()].toSorted().flatMap((service) =>
    [...reactions.get(service)!]
      .toSorted(([, a], [, b]) => (a.declared?.at ?? 0) - (b.declared?.at ?? 0))
      .flatMap(([reaction, registered]) => {
        const { since, until = Infinity, declared: kept } = registered
        const state = here.get(`${service}/${reaction}`)
        const declared = state ? declarationOf(state.reaction, 0) : kept
        const way = {
          service,
          reaction,
          reader: readerOf(service, reaction, registered),
          since,
          until,
        }
        return declared?.triggers.map((trigger) => ({ ...way, declared, trigger, state })) ?? []
      }),
  )
}

type Meant = 'yes' | 'no' | 'perhaps'

/** What is known of a conversation. */
class Story {
  readonly #ledger: Ledger
  readonly #events: readonly EventRecord[]
  readonly #notes: readonly FlowNote[]
  readonly #contracts: ReadonlyMap<string, AnyContract>
  readonly #positions = new Map<string, Promise<readonly number[]>>()
  /** Events of which a process has died: to look at them may kill this one. */
  readonly #deadly: ReadonlySet<string>

  constructor(
    ledger: Ledger,
    from: {
      readonly plans: readonly ReaderPlan[]
      readonly events: readonly EventRecord[]
      readonly notes: FlowNote[]
    },
  ) {
    this.#ledger = ledger
    this.#events = from.events
    this.#notes = from.notes
    const reactions = from.plans.flatMap(({ states }) => states.map(({ reaction }) => reaction))
    const contracts = reactions.flatMap((reaction) => [
      ...emitsOf(reaction),
      ...triggersOf(reaction).map(({ trigger }) => trigger.contract),
    ])
    this.#contracts = new Map(contracts.map((contract) => [contract.type, contract]))
    this.#deadly = new Set(from.notes.filter(isOfDeath).map(({ eventId }) => eventId))
  }

  /** How far the event has got on its way; null when it does not go there, or nobody knows. */
  async statusOf(way: Way, event: EventRecord): Promise<FlowDelivery['status'] | null> {
    if (event.position <= way.since) return null
    const meant = this.#meant(way, event)
    if (meant === 'no') return null
    const own = this.#notes.filter(
      ({ eventId, service, reaction }) => eventId === event.id && service === way.service && reaction === way.reaction,
    )
    const isSure = meant === 'yes' && event.position <= way.until
    const passed = ((await this.#positionsOf(way.reader))[partitionOf(event.key)] ?? 0) >= event.position
    if (!passed) return isSure || own.length > 0 ? 'pending' : null
    const last = own.findLast(({ kind }) => kind === 'dead' || kind === 'redriven' || kind === 'discarded')
    if (last?.kind === 'dead') return 'dead'
    if (await this.#isKept(way, event)) return 'waiting'
    return isSure || own.length > 0 || this.#hasLedToSomething(way, event) ? 'handled' : null
  }

  /** Whether the event is for the reaction, by all that can be asked here. */
  #meant({ trigger, state, declared }: Way, event: EventRecord): Meant {
    const { pattern, version, role, index } = trigger
    const sure = declared.filtered && role === 'trigger' ? 'perhaps' : 'yes'
    if (this.#deadly.has(event.id)) return pattern === undefined ? sure : 'perhaps'
    if (state) {
      const own = triggersOf(state.reaction).find((each) => each.role === role && each.index === index)!
      return look({ state, role, trigger: own.trigger }, event) === null ? 'no' : 'yes'
    }
    if (pattern === undefined) return sure
    const contract = this.#contracts.get(event.type)
    if (contract?.latest !== version && event.version !== version) return 'perhaps'
    return matchesPattern(pattern, dataOf(contract?.latest === version ? contract : undefined, event)) ? sure : 'no'
  }

  /** Whether it waits: parked, in a call, behind an earlier one, or collected. */
  async #isKept({ reader, reaction, declared, trigger }: Way, event: EventRecord): Promise<boolean> {
    const { role, index } = trigger
    const id = workId({ event, role, index })
    const kinds = waitingKinds(reaction)
    for (const kind of declared.collects === 'batch' ? [kinds.work, kinds.batch] : [kinds.work]) {
      // Those of this position stand together; there are a few at most.
      const afterId = id.slice(0, id.indexOf('|'))
      const found = await this.#ledger.query({ scope: reader, kind, afterId, limit: rolesMax })
      if (found.some((record) => record.id === id)) return true
    }
    if (declared.collects !== 'coalesce' || role !== 'trigger') return false
    const lane = laneOf(reaction, event.key)
    const found = await this.#ledger.query({
      scope: reader,
      kind: kinds.coalesce,
      order: 'seq',
      lane,
      limit: 1,
    })
    return found.some(({ seq }) => seq === event.position)
  }

  #hasLedToSomething({ service, reaction }: Way, { id }: EventRecord): boolean {
    return this.#events.some(
      (event) => event.causationId === id && event.source === service && event.reaction === reaction,
    )
  }

  #positionsOf(reader: string): Promise<readonly number[]> {
    const known = this.#positions.get(reader) ?? this.#ledger.positions(reader)
    this.#positions.set(reader, known)
    return known
  }
}

/** Notes of an older version have no code; those of ours began with it. */
const isOfDeath = ({ code, text }: FlowNote): boolean =>
  code === undefined ? /^(try \d+ failed: )?PROCESS_DIED: /.test(text) : code === 'PROCESS_DIED'

/** More than there are parts in which a reaction may take one event. */
const rolesMax = 50

/** The data for a pattern: as a reader gets it when its contract is known here, else as it was sent. */
function dataOf(contract: AnyContract | undefined, event: EventRecord): unknown {
  try {
    return contract ? decodeData(contract, event) : JSON.parse(event.data)
  } catch {
    return undefined
  }
}
