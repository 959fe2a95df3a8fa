/**
 * One schedule: what happens, in an order that a chooser decides.
 *
 *     what can happen next? --chooser--> do it, with a fault or without --> what can happen next? ...
 *         \--nothing, not even by waiting--> quiescent
 *
 * A step is: a service takes in one message and works until it has read its log to the end; a call is made and what it
 * answers is worked off; time passes to when something is due. What happens inside a step can not be told apart by
 * anyone outside; where a process can die within, there are faults.
 */
import type { NewEvent } from '../contracts/index.ts'
import { whenThere, type Soon } from '../runtime/soon.ts'
import type { Begun } from './begin.ts'
import { Book, type Talk } from './book.ts'
import { judgeOverlap, type Overlap } from './isolation.ts'
import { looking } from './looking.ts'
import type { Dead, Input, State, Transition } from './machine-types.ts'
import { judgeStep, problemsOf } from './oracles.ts'
import type { Effect, SimHost } from './outside.ts'
import type { OutsideResult, OutsideState } from './outside-machine.ts'
import { RunView } from './run-view.ts'
import type { Chooser, Choice, FaultKind, Step, TraceEntry, Violation } from './schedule-types.ts'
import { Calls, type PendingCall } from './sim-calls.ts'
import { SimEnv, startMs, type Invocation } from './sim-env.ts'
import type { Stage } from './stage.ts'
import { insert, timedFaults, timedNames, withStaleRead, withTogether } from './steps.ts'
import { Wires, type Message } from './wires.ts'

/** More steps than this mean that it never comes to rest. */
const stepsMaxDefault = 400
/** How far time may pass: what is due later is left alone. */
const horizonMs = 400 * 86_400_000
const violationsMax = 20

/** See the top of this file. */
export class SimRun implements SimHost {
  /** For what happens outside of all services. */
  readonly env = new SimEnv(1)
  readonly stage: Stage
  readonly book: Book
  readonly trace: TraceEntry[] = []
  readonly violations: Violation[] = []
  readonly wires: Wires
  readonly calls: Calls
  /** The faults that were used. */
  readonly faults: FaultKind[] = []
  /** Answers of the outside that were not the normal ones. */
  outcomes = 0
  readonly dead: Dead[] = []
  /** How many of them have been judged. */
  judgedLetters = 0
  /** Where every service stands. */
  readonly states = new Map<string, State>()
  outside: OutsideState
  floorMs = startMs
  /** For each service, what it did last, if that was a handling. */
  readonly last = new Map<string, Overlap>()
  /** For each view, the events that have come, in that order. */
  readonly arrivals = new Map<string, string[]>()
  readonly #hoped: Set<string>
  #view: RunView | undefined
  #order = 0
  #chain: number | undefined
  readonly #begins: { readonly talk: Talk; readonly step: Step }[]
  readonly #chooser: Chooser

  constructor(stage: Stage, chooser: Chooser, inputs: readonly unknown[]) {
    this.stage = stage
    this.#chooser = chooser
    this.book = new Book({ ends: stage.ends, emitters: stage.emitters, inputs })
    this.wires = new Wires(stage.wireOrder)
    this.calls = new Calls(this)
    this.outside = stage.outside.root
    this.#hoped = new Set(Object.keys(stage.options.eventually ?? {}))
    this.#begins = this.book.talks.map((talk) => ({ talk, step: this.#beginning(talk) }))
  }

  #beginning({ label }: Talk): Step {
    const order = this.nextOrder()
    const faults = this.stage.beginFaults
    return { kind: 'begin', name: `begin ${label}`, service: null, order, chain: order, faults, early: false }
  }

  nextOrder(): number {
    return ++this.#order
  }

  /** The chain of causes for something new: the first child of a step goes on with the step's chain. */
  nextChain(order: number): number {
    const chain = this.#chain ?? order
    this.#chain = undefined
    return chain
  }

  /** Runs until nothing more can happen, the chooser stops, or something is wrong. Returns true at quiescence. */
  async run(): Promise<boolean> {
    await this.stage.enter(this)
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
      this.stage.did(choice.step, enabled)
      const doing = this.#perform(choice)
      if (doing instanceof Promise) await doing
      const judging = judgeStep(this)
      if (judging) await judging
      if (this.#hoped.size > 0) await this.#hope()
      if (this.violations.length > 0) return false
    }
  }

  violate(code: string, subject: string, message: string): void {
    if (this.violations.length < violationsMax) this.violations.push({ code, subject, message })
  }

  /** Brings tables and fakes into the state that this schedule has reached. */
  async materialise(): Promise<void> {
    for (const machine of this.stage.machines.values())
      await machine.moveTo(this.states.get(machine.part.service.name)!)
    await this.stage.outside.moveTo(this.outside)
  }

  /** The state of everything, as far as anyone can see it. */
  get seen(): string {
    let text = this.outside.name
    for (const { name } of this.states.values()) text += ` ${name}`
    return text
  }

  /** As invariants see it. */
  get view(): RunView {
    return (this.#view ??= new RunView(this))
  }

  /** What should have been true at some time and never was. */
  hoped(): Iterable<string> {
    return this.#hoped
  }

  async #hope(): Promise<void> {
    for (const name of this.#hoped) {
      const problems = await looking(() => problemsOf(() => this.stage.options.eventually![name]!(this.view)))
      if (problems.length === 0) this.#hoped.delete(name)
    }
  }

  /** What has not been begun. */
  get unbegun(): readonly string[] {
    return this.#begins.map(({ talk }) => talk.label)
  }

  /** What can happen next, oldest first. */
  enabled(): Step[] {
    const steps: Step[] = []
    for (const { step } of this.#begins) steps.push(step)
    for (const message of this.wires.deliverable())
      insert(steps, this.#overlapping(this.#together(message), message.event.key))
    for (const { step, wanted } of this.calls.pending) insert(steps, this.#overlapping(step, wanted.invocation.key))
    let next: string | undefined
    let nextAt = this.floorMs + horizonMs
    for (const { service } of this.stage.parts) {
      const state = this.states.get(service.name)!
      if (state.nextAt <= this.floorMs) insert(steps, this.#timed('due', service.name))
      else if (state.nextAt < nextAt) {
        next = service.name
        nextAt = state.nextAt
      }
    }
    const early = steps.length > 0
    for (const link of this.wires.down) steps.push({ ...this.#timed('heal', link), service: null, faults: [] })
    if (next !== undefined) steps.push(this.#timed('time', next, early))
    return steps
  }

  /** What comes to a service while more is on its way to it may be taken together with that. */
  #together(message: Message): Step {
    const { step } = message
    if (!this.stage.takesTogether || step.faults.length === 0 || !this.wires.hasMore(message)) return step
    return { ...step, faults: withTogether(step.faults) }
  }

  /** A step that could have begun before the last one of its service has committed. */
  #overlapping(step: Step, key: string): Step {
    const last = this.last.size > 0 && this.last.get(step.service!)
    if (!last || last.key === key || step.order > last.order || step.faults.length === 0) return step
    return { ...step, faults: withStaleRead(step.faults) }
  }

  #timed(kind: 'due' | 'time' | 'heal', service: string, early = false): Step {
    const name = timedNames[kind](service)
    return { kind, name, service, order: this.#order, chain: 0, faults: timedFaults, early }
  }

  /** A promise only when something has to be really done. */
  #perform({ step, fault }: Choice): Soon<void> {
    const { name, kind, service, early } = step
    this.#chain = step.chain
    const shown = early ? 'early timer' : fault
    if (shown !== undefined) this.faults.push(shown)
    this.trace.push({ name, kind, service, fault: shown })
    if (kind === 'begin') return this.#begin(step, fault)
    if (kind === 'deliver') return this.#deliver(this.wires.take(step), fault)
    if (kind === 'heal') return this.wires.heal(name.replace(/ is up again$/, ''))
    if (kind === 'call') return this.#call(this.calls.take(step), fault)
    this.floorMs = Math.max(this.floorMs, this.states.get(service!)!.nextAt)
    return this.#feed(service!, { kind: 'tick', key: 'tick', fault })
  }

  #begin(step: Step, fault: FaultKind | undefined): Soon<void> {
    const index = this.#begins.findIndex((each) => each.step === step)
    const { talk } = this.#begins.splice(index, 1)[0]!
    return whenThere(this.stage.begin(this, talk, fault), (begun) => this.#begun(talk, begun))
  }

  #begun(talk: Talk, begun: Begun): void {
    for (const { service, transition } of begun.transitions) {
      talk.begun = true
      this.last.delete(service)
      this.#apply(service, transition, talk)
    }
    for (const event of begun.published) this.#emitted(event, { from: null, beginning: talk })
  }

  #deliver(message: Message, fault: FaultKind | undefined): Soon<void> {
    const { event, to } = message
    if (fault === 'link down') return this.wires.cut(message)
    if (fault === 'duplicate') this.wires.again(message, this.nextOrder())
    if (this.stage.views.has(to)) this.#arrived(to, event.id)
    if (fault === 'together') return this.#deliverAll(message)
    const passed = fault === 'duplicate' ? undefined : fault
    return this.#feed(to, { kind: 'receive', key: event.id, event, fault: passed }, event.key)
  }

  /** It comes with all else that is on its way to the service, and all of it is taken in one turn. */
  #deliverAll({ event, to }: Message): Soon<void> {
    const others = this.wires.takeAll(to)
    for (const { step, event: other } of others) {
      if (this.stage.views.has(to)) this.#arrived(to, other.id)
      this.trace.push({ name: step.name, kind: 'deliver', service: to, fault: undefined })
    }
    const more = others.map((other) => other.event)
    const key = [event, ...more].map(({ id }) => id).join()
    return this.#feed(to, { kind: 'receive', key, event, more, fault: undefined })
  }

  #arrived(view: string, id: string): void {
    const before = this.arrivals.get(view)
    if (!before) this.arrivals.set(view, [id])
    else if (!before.includes(id)) before.push(id)
  }

  #call(call: PendingCall, fault: FaultKind | undefined): Soon<void> {
    const { wanted } = call
    if (fault === 'request late') {
      this.calls.late(call)
      return this.#timeout(call)
    }
    const losing = fault === 'request lost' || fault === 'answer lost' ? fault : undefined
    const ask = (operation: string, options: readonly string[]) =>
      this.#outcome(operation, { options, by: wanted.invocation })
    const { floorMs } = this
    const result = this.stage.outside.step(this.outside, wanted, { losing, floorMs, ask })
    return whenThere(result, (made) => this.#called(call, losing === undefined ? fault : undefined, made))
  }

  #called(
    call: PendingCall,
    fault: FaultKind | undefined,
    { to, how, value, effects, key }: OutsideResult,
  ): Soon<void> {
    const { service, wanted, isLate } = call
    this.outside = to
    for (const effect of effects) this.#effect(effect, wanted.invocation)
    if (isLate) return undefined
    if (fault === 'timeout') return this.#timeout(call)
    return this.#feed(service, { kind: 'answer', call: wanted.key, key, how, value, fault }, wanted.invocation.key)
  }

  /** Whoever has called gives up. */
  #timeout({ service, wanted: { key } }: PendingCall): Soon<void> {
    return this.#feed(service, { kind: 'answer', call: key, key: `timeout|${key}`, how: 'timeout', fault: undefined })
  }

  /**
   * Hands an input to a service, and takes in what comes of it.
   *
   * @param of - The key of the event that is handled, where another one's handling could overlap with it.
   */
  #feed(service: string, plain: Omit<Input, 'floorMs'>, of?: string): Soon<void> {
    const { floorMs } = this
    const { doubts } = this.stage
    const overlap = plain.fault === 'stale read' ? this.last.get(service) : undefined
    const input: Input = overlap
      ? { ...plain, floorMs, fault: undefined, readsFrom: overlap.before }
      : { ...plain, floorMs }
    const machine = this.stage.machines.get(service)!
    const state = this.states.get(service)!
    const known = doubts ? state.next.get(input) : undefined
    if (doubts) machine.distrust()
    return whenThere(machine.step(state, input, doubts), (transition) => {
      if (known && !isSame(known, transition)) this.#differs(service, plain)
      this.last.delete(service)
      const canOverlap = of !== undefined && plain.fault === undefined && this.stage.readCommitted.has(service)
      if (canOverlap && state !== transition.to)
        this.last.set(service, { key: of, order: this.#order, before: state, input, transition })
      if (!overlap) return this.#apply(service, transition)
      const second = { service, overlap, state, transition, input: { ...plain, floorMs, fault: undefined } }
      return judgeOverlap(this, second).then(() => this.#apply(service, transition))
    })
  }

  #differs(service: string, { kind, event }: Omit<Input, 'floorMs'>): void {
    const what = event ? (this.book.told.get(event.id)?.name ?? event.id) : kind === 'tick' ? 'a timer' : 'an answer'
    this.violate(
      'NOT_REPEATABLE',
      service,
      `${service} does not do the same again from the same rows, on ${what}: it keeps something in memory, or reads something that no schedule decides`,
    )
  }

  #apply(service: string, transition: Transition, beginning?: Talk): void {
    const before = this.states.get(service)!
    this.states.set(service, transition.to)
    for (const event of transition.emitted) this.#emitted(event, { from: service, beginning })
    for (const letter of transition.dead) this.dead.push(letter)
    if (before !== transition.to) this.calls.update(service, transition.to.calls)
    if (transition.restless) this.violate('NO_REST', service, `${service} never comes to rest`)
  }

  /** An event has come into the world: everyone else whom it concerns is told. */
  #emitted(event: NewEvent, { from, beginning }: { from: string | null; beginning?: Talk | undefined }): void {
    const told = this.book.tell(event, beginning)
    if (!told) return
    for (const part of this.stage.parts) {
      const to = part.service.name
      if (to === from || !part.types.has(event.type)) continue
      const order = this.nextOrder()
      const chain = this.nextChain(order)
      this.wires.send({ event, told, to, order, chain, faults: part.faultsOf(event.type) })
    }
  }

  #outcome(operation: string, { options, by }: { options: readonly string[]; by: Invocation | undefined }): string {
    const talk = by && this.book.talkOf(by.correlationId)
    const whose = by?.service ? `${by.service}/${by.reaction} ` : ''
    const name = this.book.numbered(`${this.book.prefix(talk)}${whose}${operation}`)
    const outcome = this.#chooser.outcome(name, options)
    if (outcome !== options[0]) {
      this.outcomes += 1
      this.trace.push({ name, kind: 'outcome', service: by?.service ?? null, fault: undefined, outcome })
    }
    return outcome
  }

  #effect(effect: Effect, by: Invocation): void {
    const talk = this.book.talkOf(by.correlationId) ?? this.book.talks[0]!
    talk.effects.push({ effect, by })
  }

  // What a handler asks for that goes to the outside by itself.

  choose(operation: string, options: readonly string[]): string {
    return this.#outcome(operation, { options, by: this.stage.sandbox.env?.invocation })
  }

  effect(effect: Effect): void {
    const by = this.stage.sandbox.env?.invocation
    if (by) this.#effect(effect, by)
  }
}

const isSame = (a: Transition, b: Transition): boolean =>
  a.to === b.to &&
  a.emitted.length === b.emitted.length &&
  a.emitted.every(({ id }, index) => id === b.emitted[index]!.id)
