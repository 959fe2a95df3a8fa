/**
 * One schedule: the real runtime, turn by turn, in an order that a chooser decides.
 *
 *     boot all --> what can happen next? --chooser--> do it, with a fault or without --> what can happen next? ...
 *                      \--nothing, not even by waiting--> quiescent
 *
 * A step is: a service takes in one message and works until it has read its log to the end; a call is made and what it
 * answers is worked off; time passes to when something is due. What happens inside a step can not be told apart by
 * anyone outside; where a process can die within, there are faults.
 */
import { isQuadrilleError, NonRetryable, QuadrilleError } from '../base/index.ts'
import type { EventRecord, NewEvent } from '../contracts/index.ts'
import { emittedList, newEvents } from '../runtime/emit.ts'
import type { Returned } from '../service/index.ts'
import { Book, type Talk } from './book.ts'
import type { Doorman } from './instrument.ts'
import { judgeStep, problemsOf, viewOf } from './oracles.ts'
import { simOf, type Effect, type SimHost } from './outside.ts'
import type { Chooser, Choice, FaultKind, Step, TraceEntry, Violation } from './schedule-types.ts'
import { Calls, type PendingCall } from './sim-calls.ts'
import { SimEnv, type Invocation } from './sim-env.ts'
import { SimProcess } from './sim-process.ts'
import type { Stage } from './stage.ts'
import { Wires, type Message } from './wires.ts'

/** Thrown inside a process that dies at this moment. */
class Crash {}
const crash = new Crash()

/** More steps than this mean that it never comes to rest. */
const stepsMaxDefault = 400
const turnsMax = 300
/** How far time may pass: what is due later is left alone. */
const horizonMs = 400 * 86_400_000

/** See the top of this file. */
export class SimRun implements SimHost, Doorman {
  readonly env: SimEnv
  readonly stage: Stage
  readonly book: Book
  readonly trace: TraceEntry[] = []
  readonly violations: Violation[] = []
  readonly processes = new Map<string, SimProcess>()
  readonly wires: Wires
  readonly calls: Calls
  /** The faults that were used. */
  readonly faults: FaultKind[] = []
  /** Answers of the outside that were not the normal ones. */
  outcomes = 0
  /** What the outside has been told so far: its state follows from that. */
  readonly outsideLog: string[] = []
  outside: unknown
  readonly dead: {
    readonly service: string
    readonly reaction: string
    readonly role: string
    readonly correlationId: string
  }[] = []
  readonly view = viewOf(this)
  readonly #hoped: Set<string>
  #order = 0
  readonly #begins: { readonly talk: Talk; readonly order: number }[]
  readonly #chooser: Chooser
  readonly #runs = new Map<string, number>()
  #beginning: Talk | undefined
  #fault: FaultKind | undefined
  #faultUsed = false

  constructor(stage: Stage, chooser: Chooser, inputs: readonly unknown[]) {
    this.stage = stage
    this.#chooser = chooser
    this.env = new SimEnv(1)
    this.book = new Book({ ends: stage.ends, emitters: stage.emitters, inputs })
    this.wires = new Wires(stage.wireOrder)
    this.calls = new Calls(this)
    this.#hoped = new Set(Object.keys(stage.options.eventually ?? {}))
    this.#begins = this.book.talks.map((talk) => ({ talk, order: this.nextOrder() }))
    const dead = (facts: { service: string; reaction: string; role: string; event: EventRecord }) =>
      void this.dead.push({ ...facts, correlationId: facts.event.correlationId })
    for (const part of stage.parts) {
      const process = new SimProcess(part, this.env, { hooks: { dead }, wrap: stage.wrapLedger })
      process.store.watch = {
        committing: () => this.#committing(),
        committed: (events) => this.#committed(process, events),
      }
      this.processes.set(process.name, process)
    }
  }

  nextOrder(): number {
    return ++this.#order
  }

  /** Runs until nothing more can happen, the chooser stops, or something is wrong. Returns true at quiescence. */
  async run(): Promise<boolean> {
    this.stage.enter(this)
    this.outside = this.stage.makeOutside(simOf(this))
    for (const process of this.processes.values()) await process.boot()
    const stepsMax = stepsMaxDefault * this.book.talks.length
    for (let steps = 0; ; steps++) {
      const enabled = this.enabled()
      if (enabled.length === 0) return true
      if (steps === stepsMax) {
        this.violate('NO_REST', '', `it does not come to rest: ${stepsMax} steps, and still something happens`)
        return false
      }
      const choice = this.#chooser.step(enabled)
      if (!choice) return false
      await this.#perform(choice)
      this.env.invocation = undefined
      judgeStep(this)
      this.#hope()
      if (this.violations.length > 0) return false
    }
  }

  /** What should have been true at some time and never was. */
  hoped(): Iterable<string> {
    return this.#hoped
  }

  #hope(): void {
    if (this.#hoped.size === 0) return
    for (const name of this.#hoped)
      if (problemsOf(() => this.stage.options.eventually![name]!(this.view)).length === 0) this.#hoped.delete(name)
  }

  violate(code: string, subject: string, message: string): void {
    if (this.violations.length < 20) this.violations.push({ code, subject, message })
  }

  /** What has not been begun. */
  get unbegun(): readonly string[] {
    return this.#begins.map(({ talk }) => talk.label)
  }

  /** What can happen next, oldest first. */
  enabled(): Step[] {
    const steps: Step[] = this.#begins.map(({ talk, order }) => ({
      kind: 'begin', name: `begin ${talk.label}`, service: null, order, chain: order, faults: this.stage.beginFaults,
      early: false,
    })) // prettier-ignore
    for (const message of this.wires.deliverable()) steps.push(message.step)
    for (const call of this.calls.pending) steps.push(call.step)
    for (const process of this.processes.values())
      if (process.nextAt <= this.env.floorMs) steps.push(this.#timed('due', process))
    steps.sort((a, b) => a.order - b.order)
    const next = this.#nextTimed()
    if (next && next.nextAt <= this.env.floorMs + horizonMs)
      steps.push({ ...this.#timed('time', next), early: steps.length > 0 })
    return steps
  }

  #nextTimed(): SimProcess | undefined {
    let first: SimProcess | undefined
    for (const process of this.processes.values())
      if (process.nextAt > this.env.floorMs && process.nextAt < (first?.nextAt ?? Infinity)) first = process
    return first
  }

  #timed(kind: 'due' | 'time', process: SimProcess): Step {
    const name = kind === 'due' ? `due ${process.name}` : `time passes to ${process.name}`
    const faults = ['crash before commit', 'crash after commit'] as const
    return { kind, name, service: process.name, order: this.#order, chain: 0, faults, early: false }
  }

  async #perform({ step, fault }: Choice): Promise<void> {
    this.#fault = fault
    this.#faultUsed = fault === undefined || fault === 'early timer'
    if (step.kind === 'begin') await this.#begin(step)
    else if (step.kind === 'deliver') await this.#deliver(this.wires.take(step), fault)
    else if (step.kind === 'call') await this.#call(this.calls.take(step), fault)
    else await this.#time(step)
    if (fault !== undefined) this.faults.push(fault)
    const { name, kind, service } = step
    this.trace.push({ name, kind, service, fault: step.early ? 'early timer' : fault })
    if (step.early) this.faults.push('early timer')
    this.#fault = undefined
  }

  async #begin(step: Step): Promise<void> {
    const index = this.#begins.findIndex(({ order }) => order === step.order)
    const { talk } = this.#begins.splice(index, 1)[0]!
    this.#beginning = talk
    this.#enter({ name: `begin ${talk.label}`, role: 'begin' })
    try {
      await this.stage.guard(this, this.stage.begin(this, talk))
    } catch (error) {
      if (error !== crash) throw error
      for (const process of this.processes.values()) await process.boot()
    }
    this.env.invocation = undefined
    this.#beginning = undefined
    for (const process of this.processes.values()) await this.drain(process)
  }

  async #deliver(message: Message, fault: FaultKind | undefined): Promise<void> {
    const process = this.processes.get(message.to)!
    if (fault === 'duplicate') this.wires.again(message, this.nextOrder())
    await process.receive(message.event)
    if (fault === 'crash after arrival') await process.boot()
    await this.drain(process)
  }

  async #call(call: PendingCall, fault: FaultKind | undefined): Promise<void> {
    if (fault !== 'request lost' && fault !== 'request late') this.outsideLog.push(call.invocation.name)
    const process = this.processes.get(call.service)!
    await this.calls.make(call, fault)
    await this.drain(process)
  }

  async #time(step: Step): Promise<void> {
    const process = this.processes.get(step.service!)!
    this.env.floorMs = Math.max(this.env.floorMs, process.nextAt)
    await this.drain(process)
    for (const other of this.processes.values()) other.look()
  }

  /** The process works until it has nothing to do now. */
  async drain(process: SimProcess): Promise<void> {
    for (let turns = 0; process.isBusy; turns++) {
      if (turns === turnsMax) return this.violate('NO_REST', process.name, `${process.name} never comes to rest`)
      try {
        await this.stage.guard(this, process.turn())
      } catch (error) {
        if (error === crash) await this.kill(process)
        else if (isQuadrilleError(error, 'LEASE_LOST') || isQuadrilleError(error, 'LEDGER_CONFLICT'))
          await process.boot()
        else throw error
      }
    }
    process.look()
  }

  /** The process dies and another one takes over: what it had not committed is gone, and so are the calls under way. */
  async kill(process: SimProcess): Promise<void> {
    this.calls.drop(process.name)
    await process.boot()
  }

  #committing(): void {
    if (this.#fault !== 'crash before commit' || this.#faultUsed || !this.env.invocation) return
    this.#faultUsed = true
    throw crash
  }

  #committed(process: SimProcess, events: readonly EventRecord[]): void {
    const inHandler = this.env.invocation !== undefined
    if (this.#beginning && inHandler) this.#beginning.begun = true
    for (const event of events) {
      process.arrived(event.position, event.type)
      this.emitted(event, process.name)
    }
    if (this.#fault !== 'crash after commit' || this.#faultUsed || !inHandler) return
    this.#faultUsed = true
    throw crash
  }

  /** An event has come into the world: everyone else whom it concerns is told. */
  emitted(event: NewEvent, from: string | null): void {
    const told = this.book.tell(event, this.#beginning)
    if (!told) return
    for (const process of this.processes.values()) {
      if (process.name === from || !process.part.types.has(event.type)) continue
      this.wires.send({
        event,
        told,
        to: process.name,
        order: this.nextOrder(),
        faults: process.part.faultsOf(event.type),
      })
    }
  }

  /** Publishes for whoever begins a conversation, or for a fake. */
  publish(returned: Returned, where: string): void {
    const { settings } = this.stage.parts[0]!
    const emitter = { where, source: 'outside', reaction: null, cause: null, declared: null }
    const events = newEvents(emittedList(returned, where), emitter, { ...settings, env: this.env })
    for (const event of events) this.emitted(event, null)
  }

  // What stands at the doors.

  enter({ reaction, role, context }: Parameters<Doorman['enter']>[0]): void {
    const { event } = context
    const ran = `${reaction.service}/${reaction.name}/${role}:${event.id}`
    const count = (this.#runs.get(ran) ?? 0) + 1
    this.#runs.set(ran, count)
    this.#enter({
      name: `${ran}#${count}`, role, service: reaction.service, reaction: reaction.name,
      eventId: event.id, eventType: event.type, key: event.key, correlationId: event.correlationId,
      timeMs: event.time.getTime() + 1,
    }) // prettier-ignore
    if (this.#fault !== 'poison' || this.#faultUsed || (role !== 'run' && role !== 'call')) return
    this.#faultUsed = true
    throw new NonRetryable('the simulation has made this event one that can not be handled')
  }

  call(...[at, make]: Parameters<Doorman['call']>): Promise<unknown> {
    try {
      this.enter(at)
    } catch (error) {
      return Promise.reject(error)
    }
    return this.calls.add(this.env.invocation!, make)
  }

  #enter(what: Partial<Invocation> & Pick<Invocation, 'name' | 'role'>): void {
    const none = {
      service: '',
      reaction: '',
      eventId: '',
      eventType: '',
      key: '',
      correlationId: '',
      timeMs: this.env.floorMs,
    }
    this.env.invocation = { ...none, ...what }
  }

  // What fakes ask for.

  choose(operation: string, options: readonly string[]): string {
    const by = this.env.invocation
    const talk = by && (this.book.talkOf(by.correlationId) ?? this.#beginning)
    const name = this.book.numbered(
      `${this.book.prefix(talk)}${by?.service ? `${by.service}/${by.reaction} ` : ''}${operation}`,
    )
    const outcome = this.#chooser.outcome(name, options)
    this.outsideLog.push(`${name}=${outcome}`)
    if (outcome !== options[0]) {
      this.outcomes += 1
      this.trace.push({ name, kind: 'outcome', service: by?.service ?? null, fault: undefined, outcome })
    }
    return outcome
  }

  effect(effect: Effect): void {
    const by = this.env.invocation
    if (!by) throw new QuadrilleError('INTERNAL', { sentence: 'an effect has a cause' })
    const talk = this.book.talkOf(by.correlationId) ?? this.#beginning ?? this.book.talks[0]!
    talk.effects.push({ effect, by })
  }
}
