/** Everything that is made once and used by all schedules: the choreography with its doors, the tables, the options. */
import { QuadrilleError, systemEnv } from '../base/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { emittedList, newEvents } from '../runtime/emit.ts'
import { decodeData, matches, type AnyPattern, type NewEvent } from '../contracts/index.ts'
import type { AnyService, Choreography } from '../service/index.ts'
import { autoOutside, AutoAnswers } from './auto-fake.ts'
import { counters } from './baseline.ts'
import { endsOf, type Ends, type Talk } from './book.ts'
import { Inputs } from './inputs.ts'
import { instrumented, type Doorman } from './instrument.ts'
import type { SimApp, SimulationOptions, Subject } from './options.ts'
import { standIn, type Sim } from './outside.ts'
import { Sandbox } from './sandbox.ts'
import type { FaultKind } from './schedule-types.ts'
import type { PendingCall } from './sim-calls.ts'
import { SimEnv } from './sim-env.ts'
import { partSettings, type Part } from './sim-process.ts'
import type { SimRun } from './sim-run.ts'
import { SimTables } from './sim-tables.ts'
import type { WireOrder } from './wires.ts'

/** See the top of this file. */
export class Stage {
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
  readonly refusing: ReadonlyMap<string, readonly AnyPattern[]>
  readonly #joins: ReadonlyMap<string, readonly string[]>
  #run: SimRun | undefined
  readonly #hasFakes: boolean
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
    this.refusing = refusingOf(this.choreography)
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

  /** From here on this schedule is what the doors lead to. */
  enter(run: SimRun): void {
    this.#run = run
    for (const { tables } of this.parts) tables.reset()
  }

  /** True when there is something between a call and the real world where things can get lost. */
  get hasFakes(): boolean {
    return this.#hasFakes
  }

  makeOutside(sim: Sim): unknown {
    return this.options.outside ? this.options.outside(sim) : autoOutside(sim, this.auto)
  }

  part(name: string): Part {
    const found = this.parts.find((part) => part.service.name === name)
    if (!found)
      throw new QuadrilleError('SERVICE_UNKNOWN', { service: name, known: this.parts.map((part) => part.service.name) })
    return found
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

  /** Begins a conversation. */
  async begin(run: SimRun, talk: Talk): Promise<void> {
    const app: SimApp = {
      transact: (service, work) =>
        this.#transact(run, typeof service === 'string' ? service : service.name, work as never),
      publish: async (events) => run.publish(events, 'publish()'),
    }
    if (this.options.begin) await this.options.begin(app, talk.input)
    else {
      const { contract } = this.choreography.starts[0]!
      const made = (contract as unknown as (data: unknown) => never)(talk.input)
      run.publish(made, 'publish()')
    }
  }

  async #transact(run: SimRun, name: string, work: Parameters<SimApp['transact']>[1]): Promise<void> {
    const { service, settings } = this.part(name)
    const process = run.processes.get(name)!
    const { env } = run
    const invocation = env.invocation
    await process.ledger.transact(async (tx) => {
      const context = {
        get db(): never {
          return service.db?.open(tx.handle) as never
        },
        now: () => new Date(env.now()),
        random: () => env.random(),
        uuid: () => env.uuid(),
      }
      const returned = await work(context)
      const where = `transact() of ${name}`
      const emitter = { where, source: name, reaction: null, cause: null, declared: null }
      env.invocation = invocation
      await tx.append(newEvents(emittedList(returned, where), emitter, { ...settings, env }))
    })
  }

  /** The answer of the outside to a call. */
  async answer(run: SimRun, call: PendingCall): Promise<unknown> {
    return this.auto.answer(call.invocation, () => this.guard(run, Promise.resolve(call.make())))
  }

  /**
   * Waits for what handlers do. When nothing is left to run and it is still not done, it waits for something that no
   * simulation controls.
   *
   * @throws QuadrilleError `SIMULATION_ESCAPED`.
   */
  async guard<T>(run: SimRun, promise: Promise<T>): Promise<T> {
    let settled = false
    const done = promise.finally(() => (settled = true))
    const stuck = new Promise<never>((_, reject) => {
      this.#stuck = () => {
        if (settled) return
        if (run.env.fireSoon(120_000)) return this.#watch()
        const by = run.env.invocation
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
    await systemEnv.breathe()
  }

  /** Everything that a simulation controls runs before the next turn of the event loop. */
  #watch(): void {
    if (this.#watching) return
    this.#watching = true
    void systemEnv.breathe().then(() => {
      this.#watching = false
      const stuck = this.#stuck
      stuck?.()
    })
  }

  #choreographyOf(subject: Subject): Choreography {
    if (typeof subject !== 'function') return subject
    const made = subject(
      standIn(
        () => this.#run?.outside,
        (call) => (this.#run ? this.#run.calls.reach(call) : call()),
      ),
    )
    if (typeof made?.describe !== 'function' || !Array.isArray(made.services))
      throw new QuadrilleError('SIMULATION_INVALID', { problem: 'the function did not return a choreography' })
    return made
  }

  #partOf(service: AnyService, env: SimEnv): Part {
    const doorman: Doorman = {
      enter: (at) => {
        this.#run!.enter(at)
        this.auto.unwrap(at.context)
      },
      call: (at, make) => this.#run!.call(at, make),
    }
    const tables = new SimTables()
    const routes = routesOf(service)
    const policy = this.options.policy ?? {}
    const allowed = new Set(this.options.faults)
    const isAllowed = (fault: FaultKind) => this.options.faults === undefined || allowed.has(fault)
    // Behind an end there is nothing that a dead letter could keep from ending.
    const faultsAt = (type: string, handles: boolean) =>
      deliverFaults(handles && !this.ends.has(type)).filter(isAllowed)
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

const deliverFaults = (handles: boolean): readonly FaultKind[] => [
  'duplicate', 'crash after arrival', 'crash before commit', 'crash after commit',
  ...(handles ? (['poison'] as const) : []),
] // prettier-ignore

/** Triggers of `on` reactions that may emit an end in failure, and no success. */
function refusingOf({ services, ends }: Choreography): ReadonlyMap<string, readonly AnyPattern[]> {
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
