/** Everything that is made once and used by all schedules: the choreography with its doors, the tables, the options. */
import { QuadrilleError, systemEnv } from '../base/index.ts'
import type { Ledger } from '../ledger/index.ts'
import type { Soon } from '../runtime/soon.ts'
import { decodeData, matches, type AnyPattern, type NewEvent } from '../contracts/index.ts'
import { emitsOf, type AnyService, type Choreography } from '../service/index.ts'
import { autoOutside, AutoAnswers } from './auto-fake.ts'
import { counters } from './baseline.ts'
import { endsOf, type Ends, type Talk } from './book.ts'
import { Inputs } from './inputs.ts'
import { instrumented, type Doorman } from './instrument.ts'
import type { SimulationOptions, Subject } from './options.ts'
import { standIn, type Sim, type SimHost } from './outside.ts'
import { OutsideMachine, type OutsideRoom } from './outside-machine.ts'
import type { CallWanted, MachineRoom } from './machine-types.ts'
import { Machine } from './machine.ts'
import { Beginnings, type Begun } from './begin.ts'
import { Sandbox } from './sandbox.ts'
import type { FaultKind, Step } from './schedule-types.ts'
import { SimEnv } from './sim-env.ts'
import { partSettings, type Part } from './sim-process.ts'
import type { SimRun } from './sim-run.ts'
import { isSqliteOnly, SimTables } from './sim-tables.ts'
import type { WireOrder } from './wires.ts'

/** See the top of this file. */
export class Stage implements MachineRoom, OutsideRoom {
  readonly choreography: Choreography
  readonly options: SimulationOptions
  readonly parts: readonly Part[]
  readonly ends: Ends
  readonly emitters: ReadonlyMap<string, number>
  readonly wireOrder: WireOrder
  readonly inputs: Inputs
  readonly sandbox = new Sandbox()
  readonly beginFaults: readonly FaultKind[]
  readonly auto = new AutoAnswers()
  /** How many rows each table has before anything begins. */
  seeded: ReadonlyMap<unknown, number> = new Map()
  /** The numbers in them. */
  seededCounters = ''
  /** Event types on which a reaction may end the conversation in failure, with the reactions' triggers. */
  readonly refusing: Map<string, readonly AnyPattern[]>
  /** Services whose transactions may read before and write after another one commits. */
  readonly readCommitted: ReadonlySet<string>
  /** Events that come to a service at the same time may be taken in one turn. */
  readonly takesTogether: boolean
  /** The field that is the key of each event type. */
  readonly keyFields: ReadonlyMap<string, string>
  /** Services that only write down what they hear: where the order in which they hear it should not matter. */
  readonly views: ReadonlySet<string>
  /** What comes from outside. */
  readonly #wishes: ReadonlySet<string>
  /** Told of every step that is done, and of what could have been done in its place. */
  did: (step: Step, enabled: readonly Step[]) => void = () => {}
  readonly #joins: ReadonlyMap<string, readonly string[]>
  #run: SimRun | undefined
  readonly #hasFakes: boolean
  readonly machines: ReadonlyMap<string, Machine>
  readonly outside: OutsideMachine
  readonly #beginnings: Beginnings
  #remembers: boolean
  #watching = false
  #stuck: (() => void) | undefined

  private constructor(subject: Subject, options: SimulationOptions) {
    this.options = options
    this.#hasFakes = typeof subject === 'function'
    this.choreography = this.#choreographyOf(subject)
    const { services } = this.choreography
    this.wireOrder = options.wires?.order ?? 'type'
    this.beginFaults = options.begin ? ['crash after commit'] : []
    this.ends = endsOf(this.choreography)
    this.emitters = emittersOf(services)
    const env = new SimEnv(1)
    this.parts = services.map((service) => this.#partOf(service, env))
    this.machines = new Map(this.parts.map((part) => [part.service.name, new Machine(part, this)]))
    this.outside = new OutsideMachine(this)
    this.#beginnings = new Beginnings(this)
    this.#remembers = options.wrapLedger === undefined
    this.refusing = refusingOf(this.choreography)
    const { starts, external } = this.choreography
    this.#wishes = new Set([...starts, ...external.flatMap(({ emits }) => emits)].map(({ type }) => type))
    // A wish may come too late.
    for (const type of this.#wishes) this.refusing.delete(type)
    this.readCommitted = new Set(services.flatMap(({ name, db }) => (isReadCommitted(options, db) ? [name] : [])))
    this.takesTogether = options.faults?.includes('together') ?? true
    this.keyFields = keyFieldsOf(this.choreography)
    this.views = new Set(services.filter(isView).map(({ name }) => name))
    this.#joins = joinsOf(services)
    this.inputs = new Inputs(this.options, this)
  }

  /** Builds everything, and makes the tables. @throws QuadrilleError `SIMULATION_INVALID`, and what `setup` throws. */
  static async build(subject: Subject, options: SimulationOptions): Promise<Stage> {
    const stage = new Stage(subject, options)
    for (const part of stage.parts) await stage.#makeTables(part)
    stage.seeded = new Map(
      stage.parts.flatMap(({ tables }) =>
        tables.tables().map((table) => [table, tables.contents(table).length] as const),
      ),
    )
    stage.seededCounters = counters(stage)
    return stage
  }

  async #makeTables({ service, tables }: Part): Promise<void> {
    const { setup } = this.options
    const make = typeof setup === 'function' ? setup : setup?.[service.name]
    if (!make) return
    const more = { sqlite: tables.db, service: service.name }
    if (service.db) {
      await make(service.db.open(tables.begin()) as never, more)
      tables.end('commit')
      tables.seal()
    } else await make(tables.db as never, more)
  }

  /** Releases the tables. */
  close(): void {
    for (const { tables } of this.parts) tables.close()
  }

  readonly wrapLedger = (ledger: Ledger): Ledger => this.options.wrapLedger?.(ledger) ?? ledger

  /** False when everything must really be done every time: what a ledger under test does may follow from more than its state. */
  get remembers(): boolean {
    return this.#remembers
  }

  /** True while everything is done again, to see whether it comes to the same. */
  doubts = false

  /** True when there is something between a call and the real world where things can get lost. */
  get hasFakes(): boolean {
    return this.#hasFakes
  }

  /** A schedule begins. */
  async enter(run: SimRun): Promise<void> {
    this.#run = run
    for (const [name, machine] of this.machines) {
      const root = machine.root()
      run.states.set(name, root instanceof Promise ? await root : root)
    }
    if (!this.#remembers) await run.materialise()
    // A handler that goes to the outside by itself may be the first who does.
    else if (this.outside.fakes === undefined) await this.outside.moveTo(this.outside.root)
  }

  makeOutside(sim: Sim): unknown {
    return this.options.outside ? this.options.outside(sim) : autoOutside(sim, this.auto)
  }

  /** The answer of the outside to a call. */
  async answer(call: CallWanted, floorMs: number): Promise<unknown> {
    const { env } = this.outside
    this.sandbox.env = env
    return this.auto.answer(call.invocation, () => this.guard(env, Promise.resolve(call.make(floorMs))))
  }

  /** A handler goes to the outside past any call: then what it does follows from more than its service's state. */
  reachedByHandler(): SimHost {
    this.#remembers = false
    return this.#run!
  }

  running(machine: Machine | undefined, env: SimEnv): void {
    this.sandbox.env = machine ? env : undefined
  }

  begin(run: SimRun, talk: Talk, fault: FaultKind | undefined): Soon<Begun> {
    return this.#beginnings.begin(run, talk, fault)
  }

  /** @throws QuadrilleError `SERVICE_UNKNOWN`. */
  machine(name: string): Machine {
    const found = this.machines.get(name)
    if (found) return found
    throw new QuadrilleError('SERVICE_UNKNOWN', { service: name, known: [...this.machines.keys()] })
  }

  /** True when somebody outside has asked for it, after the conversation had begun. */
  isWish(talk: Talk, event: NewEvent): boolean {
    const causes = this.causesOf(talk, event)
    return talk.told.some(
      ({ event: { id, type } }) => causes.has(id) && id !== talk.start?.id && this.#wishes.has(type),
    )
  }

  /** True for a reaction that acts because time has passed. */
  isTimeout({ source, reaction }: NewEvent): boolean {
    const service = this.choreography.services.find(({ name }) => name === source)
    const by = service?.reactions.find(({ name }) => name === reaction)
    return by?.kind === 'deadline' || (by?.kind === 'all' && by.late !== undefined)
  }

  isStart(type: string): boolean {
    return this.choreography.starts.some((start) => start.type === type)
  }

  /** True for an event on which a reaction may end the conversation in failure. */
  refuses(event: NewEvent): boolean {
    return (this.refusing.get(event.type) ?? []).some((trigger) => {
      if (trigger.pattern === undefined) return true
      try {
        return matches(trigger, decodeData(trigger.contract, event))
      } catch {
        return false
      }
    })
  }

  /** The ids of all events that this one goes back to; for what a join has emitted, all its parts. */
  causesOf(talk: Talk, event: NewEvent): ReadonlySet<string> {
    const found = new Set<string>([event.id])
    const open = [event]
    for (let at = open.pop(); at; at = open.pop()) {
      const parts = this.#joins.get(`${at.source}/${at.reaction}`) ?? []
      for (const { event: other } of talk.told) {
        const isCause = other.id === at.causationId || parts.includes(other.type)
        if (!isCause || found.has(other.id)) continue
        found.add(other.id)
        open.push(other)
      }
    }
    return found
  }

  /**
   * Waits for what handlers do. When nothing is left to run and it is still not done, it waits for something that no
   * simulation controls.
   *
   * @throws QuadrilleError `SIMULATION_ESCAPED`.
   */
  async guard<T>(env: SimEnv, promise: Promise<T>): Promise<T> {
    let settled = false
    const done = promise.finally(() => (settled = true))
    const stuck = new Promise<never>((_, reject) => {
      this.#stuck = () => {
        if (settled) return
        if (env.fireSoon(120_000)) return this.#watch()
        const by = env.invocation
        const handler = by?.service ? `${by.service}/${by.reaction}` : 'whatever begins a conversation'
        reject(new QuadrilleError('SIMULATION_ESCAPED', { handler }))
      }
    })
    this.#watch()
    return Promise.race([done, stuck])
  }

  /** Lets everything else in the process have its turn. */
  async pause(): Promise<void> {
    this.#stuck = undefined
    await this.sandbox.aside(() => systemEnv.breathe())
  }

  /** Everything that a simulation controls runs before the next turn of the event loop. */
  #watch(): void {
    if (this.#watching) return
    this.#watching = true
    void this.sandbox
      .aside(() => systemEnv.breathe())
      .then(() => {
        this.#watching = false
        const stuck = this.#stuck
        stuck?.()
      })
  }

  #choreographyOf(subject: Subject): Choreography {
    if (typeof subject !== 'function') return subject
    const made = subject(
      standIn(
        () => this.outside?.fakes,
        (call) => this.outside.reach(call),
      ),
    )
    if (typeof made?.describe !== 'function' || !Array.isArray(made.services))
      throw new QuadrilleError('SIMULATION_INVALID', { problem: 'the function did not return a choreography' })
    return made
  }

  #partOf(service: AnyService, env: SimEnv): Part {
    const doorman: Doorman = {
      enter: (at) => {
        this.machines.get(service.name)!.enter(at)
        this.auto.unwrap(at.context)
      },
      leave: (returned) => this.machines.get(service.name)!.leave(returned),
      call: (at, make) => this.machines.get(service.name)!.call(at, make),
    }
    const tables = new SimTables()
    const routes = routesOf(service)
    const policy = this.options.policy ?? {}
    const allowed = new Set(this.options.faults)
    const isAllowed = (fault: FaultKind) => this.options.faults === undefined || allowed.has(fault)
    // A dead letter is left to people, unless an end is promised by some time; behind an end it keeps nothing from ending.
    const isPromised = this.choreography.withinMs !== null
    const faultsAt = (type: string, handles: boolean) =>
      deliverFaults(handles && isPromised && !this.ends.has(type)).filter(isAllowed)
    const faults = new Map([...routes].map(([type, handles]) => [type, faultsAt(type, handles)]))
    return {
      service: instrumented(service, doorman),
      settings: partSettings(service, env, policy),
      tables,
      types: new Set(routes.keys()),
      faultsOf: (type) => faults.get(type) ?? [],
    }
  }
}

/** Event type to whether a handler of the user may run on it. */
function routesOf(service: AnyService): ReadonlyMap<string, boolean> {
  const routes = new Map<string, boolean>()
  for (const { triggers, unless, undo, kind } of service.describe().reactions) {
    for (const { type } of triggers) routes.set(type, routes.get(type) === true || kind !== 'deadline')
    for (const { type } of [...unless, ...(undo?.on ?? [])]) routes.set(type, routes.get(type) ?? false)
  }
  return routes
}

const isReadCommitted = ({ isolation, faults }: SimulationOptions, db: AnyService['db']): boolean =>
  db !== undefined &&
  isolation !== 'serializable' &&
  (faults === undefined || faults.includes('stale read')) &&
  (isolation !== undefined || !isSqliteOnly(db))

function keyFieldsOf({ services, starts }: Choreography): ReadonlyMap<string, string> {
  const contracts = services.flatMap(({ reactions }) => reactions.flatMap((reaction) => emitsOf(reaction)))
  return new Map([...starts.map(({ contract }) => contract), ...contracts].map(({ type, key }) => [type, key]))
}

const isView = ({ db, reactions }: AnyService): boolean =>
  db !== undefined &&
  reactions.every(
    (each) =>
      each.kind === 'on' && each.emits.length === 0 && !each.call && !each.undo && !each.batch && !each.coalesce,
  )

const deliverFaults = (handles: boolean): readonly FaultKind[] => [
  'duplicate', 'takeover', 'link down', 'crash after arrival', 'crash before commit', 'crash after commit',
  ...(handles ? (['poison'] as const) : []),
] // prettier-ignore

/** Triggers of `on` reactions that may emit an end in failure, and no success. */
function refusingOf({ services, ends }: Choreography): Map<string, readonly AnyPattern[]> {
  const failures = new Set(ends.failure.map((pattern) => pattern.type))
  const successes = new Set(ends.success.map((pattern) => pattern.type))
  const triggers = services.flatMap((service) =>
    service.reactions.flatMap((reaction) => {
      const types = reaction.emits.map((contract) => contract.type)
      if (reaction.kind !== 'on' || types.some((type) => successes.has(type))) return []
      return types.some((type) => failures.has(type)) ? [reaction.trigger] : []
    }),
  )
  return Map.groupBy(triggers, (trigger) => trigger.type)
}

/** The parts of each join, by reaction. */
function joinsOf(services: readonly AnyService[]): ReadonlyMap<string, readonly string[]> {
  const joins = new Map<string, readonly string[]>()
  for (const service of services)
    for (const reaction of service.reactions)
      if (reaction.kind === 'all')
        joins.set(
          `${service.name}/${reaction.name}`,
          reaction.triggers.map((trigger) => trigger.type),
        )
  return joins
}

/** How many reactions emit each type. */
function emittersOf(services: readonly AnyService[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>()
  for (const service of services) {
    for (const { emits, undo } of service.describe().reactions)
      for (const type of [...emits, ...(undo?.emits ?? [])]) counts.set(type, (counts.get(type) ?? 0) + 1)
  }
  return counts
}
