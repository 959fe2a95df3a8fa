/**
 * One service as a machine: from a state, with an input, to the next state, always the same. Everything is really done once,
 * by the real runtime and the user's handlers; after that it is known. A schedule mostly goes through what is known: that is
 * why so many of them can be tried.
 *
 *     known state --known input--> known state                        nothing runs
 *     known state --new input--> go there (do again what led there), run it, and know it from now on
 */
import { isQuadrilleError, messageOf, NonRetryable } from '../base/index.ts'
import { isEmitted, type EventRecord, type NewEvent } from '../contracts/index.ts'
import type { Hooks } from '../runtime/hooks.ts'
import type { Soon } from '../runtime/soon.ts'
import type { Doorman } from './instrument.ts'
import type { FaultKind } from './schedule-types.ts'
import { SimEnv, startMs } from './sim-env.ts'
import { SimProcess, type Part } from './sim-process.ts'
import { Missing } from './looking.ts'
import type { CallWanted, Dead, Input, MachineRoom, State, Transition } from './machine-types.ts'
import type { Snapshot } from './sim-statements.ts'
import { stateText } from './state-text.ts'
import { Transitions } from './transitions.ts'

interface Flight extends CallWanted {
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
  readonly timeOut: () => void
}

/** Emitted events with ids of their own; everything else as it is. */
export function withIds(returned: unknown, name: string, env: SimEnv): unknown {
  if (Array.isArray(returned)) return returned.map((each, index) => withIds(each, `${name}[${index}]`, env))
  if (!isEmitted(returned) || returned.id !== undefined) return returned
  return { ...returned, id: env.idOf(`${name} ${returned.type} ${JSON.stringify(returned.payload)}`) }
}

/** Thrown inside a process that dies at this moment. */
class Crash {}
const crash = new Crash()

const turnsMax = 300
/** An answer needs a few turns of the queue of promises to get through the runtime. */
const hopsMax = 60

/** See the top of this file. */
export class Machine implements Doorman {
  readonly part: Part
  readonly #room: MachineRoom
  readonly #states = new Map<string, State>()
  #root: State | undefined
  /** Where the process and the tables stand; undefined when that is unknown. */
  #at: State | undefined
  #env = new SimEnv(1)
  #process!: SimProcess
  #flights = new Map<string, Flight>()
  #runs = new Map<string, number>()
  // Of the input that is being done:
  #fault: FaultKind | undefined
  #emitted: NewEvent[] = []
  #dead: Dead[] = []
  #failed = false
  #restless = false
  readonly #snapshots = new WeakMap<State, Snapshot>()

  constructor(part: Part, room: MachineRoom) {
    this.part = part
    this.#room = room
  }

  /** The state before anything has happened. */
  root(): Soon<State> {
    return this.#root ?? this.#begin()
  }

  async #begin(): Promise<State> {
    await this.#restart()
    this.#root = this.#intern(undefined)
    this.#at = this.#root
    return this.#root
  }

  /** How many states are known. */
  get size(): number {
    return this.#states.size
  }

  /** Does the input. @param always - Also when it is known what it leads to: something else follows from doing it. */
  step(state: State, input: Input, always = false): Soon<Transition> {
    const known = this.#room.remembers && !always ? state.next.get(input) : undefined
    return known ?? this.#learn(state, input)
  }

  async #learn(state: State, input: Input): Promise<Transition> {
    if (input.readsFrom) await this.#keep(input.readsFrom)
    await this.moveTo(state)
    this.#at = undefined
    const crashed = await this.#do(input)
    const to = this.#intern({ state, input })
    this.#at = to
    const transition = {
      to,
      emitted: this.#emitted,
      dead: this.#dead,
      failed: this.#failed,
      crashed,
      restless: this.#restless,
    }
    state.next.set(input, transition)
    return transition
  }

  /**
   * What the tables hold in this state: as found before, or as they are, when that is where they stand.
   *
   * @throws Missing when they do not.
   */
  look<T>(state: State, question: string, ask: (tables: Part['tables']) => T): T {
    if (state.answers.has(question)) return state.answers.get(question) as T
    if (this.#at !== state) throw new Missing(() => this.moveTo(state))
    const answer = ask(this.part.tables)
    state.answers.set(question, answer)
    return answer
  }

  /** The next step is really done, from the beginning, by a new process. */
  distrust(): void {
    this.#at = undefined
  }

  async #keep(state: State): Promise<void> {
    if (this.#snapshots.has(state)) return
    await this.moveTo(state)
    this.#snapshots.set(state, this.part.tables.snapshot())
  }

  /** Brings the tables into this state. */
  async moveTo(state: State): Promise<void> {
    if (this.#at === state) return
    const path: Input[] = []
    let from: State = state
    while (from.before && from !== this.#at) {
      path.push(from.before.input)
      from = from.before.state
    }
    if (from !== this.#at) await this.#restart()
    this.#at = undefined
    for (const input of path.reverse()) await this.#do(input)
    this.#at = state
  }

  async #restart(): Promise<void> {
    this.part.tables.reset()
    this.#env = new SimEnv(1)
    this.#flights = new Map()
    this.#runs = new Map()
    const process = new SimProcess(this.part, this.#env, { hooks: this.#hooks, wrap: this.#room.wrapLedger })
    process.store.watch = { committing: () => this.#committing(), committed: (events) => this.#committed(events) }
    this.#process = process
    this.#env.floorMs = startMs
    await process.boot()
    await this.#drain()
  }

  readonly #hooks: Hooks = { dead: (letter) => this.#bury(letter), failed: () => (this.#failed = true) }

  readonly #bury: NonNullable<Hooks['dead']> = ({ service, reaction, role, event, code, error }) => {
    const problem = messageOf(error).slice(0, 200)
    this.#failed = true
    this.#dead.push({ service, reaction, role, code, problem, correlationId: event.correlationId })
  }

  /** The state in which the process is now. */
  #intern(before: State['before']): State {
    const calls = [...this.#flights.values()]
    const { nextAt } = this.#process
    const hash = stateText(this.#process, [...calls.map(({ key }) => key).sort(), String(nextAt)])
    const known = this.#states.get(hash)
    if (known) return known
    const wanted = calls.map(({ key, invocation, make }) => ({ key, invocation, make }))
    const name = this.#states.size.toString(36)
    const state: State = { name, before, next: new Transitions(), calls: wanted, nextAt, answers: new Map() }
    this.#states.set(hash, state)
    return state
  }

  async #do(input: Input): Promise<boolean> {
    const env = this.#env
    this.#emitted = []
    this.#dead = []
    this.#failed = false
    this.#restless = false
    this.#fault = input.fault
    this.part.tables.readFrom(input.readsFrom && this.#snapshots.get(input.readsFrom))
    env.floorMs = input.floorMs
    env.invocation = undefined
    this.#room.running(this, env)
    let crashed = false
    try {
      if (input.kind === 'work') crashed = await this.#work(input)
      if (input.kind === 'receive') await this.#receive(input)
      if (input.kind === 'answer') await this.#answer(input)
      await this.#drain(input.more && 1 + input.more.length)
    } finally {
      env.invocation = undefined
      this.part.tables.readFrom(undefined)
      this.#fault = undefined
      this.#room.running(undefined, env)
    }
    return crashed
  }

  async #work({ work, name }: Input): Promise<boolean> {
    const none = { service: '', reaction: '', eventId: '', eventType: '', key: '', correlationId: '' }
    this.#env.invocation = { ...none, name: name!, role: 'begin', timeMs: this.#env.floorMs }
    try {
      await this.#room.guard(this.#env, work!(this.#process, this.#env))
      return false
    } catch (error) {
      if (error !== crash) throw error
      await this.#die()
      return true
    }
  }

  async #receive({ event, more = [], fault }: Input): Promise<void> {
    await this.#process.receive([event!, ...more])
    if (fault === 'crash after arrival') await this.#die()
    if (fault === 'takeover') await this.#takeOver()
  }

  /** The process stands still before it commits; another one takes over its leases and its work; then it goes on. */
  async #takeOver(): Promise<void> {
    const zombie = this.#process
    if (!zombie.isBusy) return
    const { promise, resolve } = Promise.withResolvers<void>()
    zombie.hold(promise)
    const turn = zombie.turn().catch((error: unknown) => {
      if (!isQuadrilleError(error, 'LEASE_LOST')) throw error
    })
    for (let hops = 0; hops < hopsMax; hops++) await Promise.resolve()
    zombie.store.endLeases()
    this.#process = new SimProcess(this.part, this.#env, {
      hooks: this.#hooks,
      wrap: this.#room.wrapLedger,
      heirOf: zombie,
    })
    await this.#process.boot()
    await this.#drain()
    resolve()
    await this.#room.guard(this.#env, turn)
  }

  async #answer({ call, how, value }: Input): Promise<void> {
    const flight = this.#flights.get(call!)
    if (!flight) return
    this.#flights.delete(call!)
    if (how === 'timeout') flight.timeOut()
    else if (how === 'error') flight.reject(value)
    else flight.resolve(value)
    for (let hops = 0; hops < hopsMax && !this.#process.hasAnswers; hops++) await Promise.resolve()
  }

  /** The process works until it has nothing to do now. @param atMost - How many events it takes in the first turn. */
  async #drain(atMost?: number): Promise<void> {
    const process = this.#process
    for (let turns = 0; process.isBusy; turns++) {
      if (turns === turnsMax) {
        this.#restless = true
        return
      }
      try {
        await this.#room.guard(this.#env, process.turn(turns === 0 ? atMost : undefined))
      } catch (error) {
        const isOver = isQuadrilleError(error, 'LEASE_LOST') || isQuadrilleError(error, 'LEDGER_CONFLICT')
        if (error !== crash && !isOver) throw error
        await this.#die()
      }
    }
    process.look()
  }

  /** The process dies and another one takes over: what it had not committed is gone, and so are the calls under way. */
  async #die(): Promise<void> {
    this.#flights.clear()
    this.#env.invocation = undefined
    await this.#process.boot()
  }

  #committing(): void {
    if (this.#fault !== 'crash before commit' || !this.#env.invocation) return
    this.#fault = undefined
    throw crash
  }

  #committed(events: readonly EventRecord[]): void {
    for (const event of events) {
      this.#process.arrived(event.position, event.type)
      if (event.source === this.part.service.name) this.#emitted.push(event)
    }
    if (this.#fault !== 'crash after commit' || !this.#env.invocation) return
    this.#fault = undefined
    throw crash
  }

  // What stands at the doors.

  enter({ reaction, role, context }: Parameters<Doorman['enter']>[0]): void {
    const { event } = context
    const ran = `${reaction.service}/${reaction.name}/${role}:${event.id}`
    const count = (this.#runs.get(ran) ?? 0) + 1
    this.#runs.set(ran, count)
    this.#env.invocation = {
      name: `${ran}#${count}`, role, service: reaction.service, reaction: reaction.name,
      eventId: event.id, eventType: event.type, key: event.key, correlationId: event.correlationId,
      timeMs: event.time.getTime() + 1,
    } // prettier-ignore
    if (this.#fault !== 'poison' || (role !== 'run' && role !== 'call')) return
    this.#fault = undefined
    throw new NonRetryable('the simulation has made this event one that can not be handled')
  }

  /** Events get ids that follow from who emits them and what they say: the same event has the same id in every schedule. */
  leave(returned: unknown): unknown {
    const env = this.#env
    const { name } = env.invocation!
    const later = (returned as { readonly then?: unknown } | null | undefined)?.then
    if (typeof later !== 'function') return withIds(returned, name, env)
    return Promise.resolve(returned).then((value) => {
      return withIds(value, name, env)
    })
  }

  call(...[at, make]: Parameters<Doorman['call']>): Promise<unknown> {
    const env = this.#env
    const timer = env.lastTimer
    try {
      this.enter(at)
    } catch (error) {
      return Promise.reject(error)
    }
    const invocation = env.invocation!
    env.invocation = undefined
    const { done } = at.context
    const key = done === undefined ? invocation.name : `${invocation.name} ${JSON.stringify(done)}`
    const atTime = (floorMs: number): unknown => {
      env.floorMs = Math.max(env.floorMs, floorMs)
      env.invocation = invocation
      return make()
    }
    return new Promise((resolve, reject) => {
      const flight = { key, invocation, make: atTime, resolve, reject, timeOut: () => env.fire(timer) }
      this.#flights.set(key, flight)
    })
  }
}
