/**
 * The world outside as a machine, like the services: what a fake answers follows from what it was asked so far, and from the
 * answers that the schedule chose. What is known is not asked again.
 */
import type { Soon } from '../runtime/soon.ts'
import { Missing } from './looking.ts'
import type { CallWanted } from './machine-types.ts'
import { simOf, type Effect, type Sim, type SimHost } from './outside.ts'
import { SimEnv } from './sim-env.ts'

/** What gets lost on the way to the first fake that is asked. */
export type Losing = 'request lost' | 'answer lost' | undefined

interface Asked {
  readonly call: CallWanted
  readonly losing: Losing
  readonly floorMs: number
  readonly outcomes: readonly string[]
}

/** What the outside has been through. */
export interface OutsideState {
  readonly name: string
  readonly before: { readonly state: OutsideState; readonly asked: Asked } | undefined
  readonly next: Map<string, Decision>
}

/** What is known of a question: that the schedule is asked first, or what comes of it. */
interface Decision {
  ask?: { readonly operation: string; readonly options: readonly string[]; readonly answers: Map<string, Decision> }
  result?: OutsideResult
}

/** What came of a call. */
export interface OutsideResult {
  readonly to: OutsideState
  readonly how: 'answer' | 'error'
  readonly value: unknown
  /** Tells it apart from other answers to this call. */
  readonly key: string
  readonly effects: readonly Effect[]
}

/** Asks the schedule which answer the outside gives. */
export type Ask = (operation: string, options: readonly string[]) => string

/** What the machine needs of its surroundings. */
export interface OutsideRoom {
  readonly remembers: boolean
  /** False when there is nothing between a call and the real world where things can get lost. */
  readonly hasFakes: boolean
  makeOutside(sim: Sim): unknown
  /** Runs the user's call, and answers what tries to get out into the real world. */
  answer(call: CallWanted, floorMs: number): Promise<unknown>
  /** A handler has gone to the outside by itself, past any call. */
  reachedByHandler(): SimHost
}

const lost = (): Error => new Error('simulated: there was no answer')

/** See the top of this file. */
export class OutsideMachine implements SimHost {
  readonly env = new SimEnv(2)
  /** The fakes as they are now. */
  fakes: unknown
  readonly #room: OutsideRoom
  readonly #root: OutsideState = { name: '', before: undefined, next: new Map() }
  #at: OutsideState | undefined
  #names = 0
  // Of the call that is being made:
  #isAsked = false
  #losing: Losing
  #ask: Ask = (_, options) => options[0]!
  #effects: Effect[] = []

  constructor(room: OutsideRoom) {
    this.#room = room
  }

  /** Before anything was asked. */
  get root(): OutsideState {
    return this.#root
  }

  /** Makes a call. */
  step(
    state: OutsideState,
    call: CallWanted,
    how: { readonly losing: Losing; readonly floorMs: number; readonly ask: Ask },
  ): Soon<OutsideResult> {
    const { losing, floorMs, ask } = how
    const key = `${call.key}|${losing ?? ''}|${floorMs}`
    const outcomes: string[] = []
    let decision = state.next.get(key)
    if (!decision || !this.#room.remembers) state.next.set(key, (decision = {}))
    while (decision.ask) {
      const outcome = ask(decision.ask.operation, decision.ask.options)
      outcomes.push(outcome)
      let then = decision.ask.answers.get(outcome)
      if (!then) decision.ask.answers.set(outcome, (then = {}))
      decision = then
    }
    return decision.result ?? this.#really(state, { call, losing, floorMs, outcomes }, { decision, ask })
  }

  async #really(state: OutsideState, asked: Asked, more: { decision: Decision; ask: Ask }): Promise<OutsideResult> {
    await this.moveTo(state)
    const outcomes = [...asked.outcomes]
    let { decision } = more
    let known = 0
    this.#at = undefined
    this.#ask = (operation, options) => {
      if (known < asked.outcomes.length) return asked.outcomes[known++]!
      const outcome = more.ask(operation, options)
      outcomes.push(outcome)
      known += 1
      const next: Decision = {}
      decision.ask = { operation, options, answers: new Map([[outcome, next]]) }
      decision = next
      return outcome
    }
    const { how, value } = await this.#make(asked)
    this.#names += 1
    const to: OutsideState = {
      name: `${this.#names}`,
      before: { state, asked: { ...asked, outcomes } },
      next: new Map(),
    }
    this.#at = to
    const key = `${how}|${asked.call.key}|${how === 'error' ? String(value) : JSON.stringify(value)}`
    decision.result = { to, how, value, key, effects: this.#effects }
    return decision.result
  }

  async #make({ call, losing, floorMs }: Asked): Promise<{ how: 'answer' | 'error'; value: unknown }> {
    this.#losing = losing
    this.#effects = []
    this.env.floorMs = floorMs
    this.env.invocation = call.invocation
    this.#isAsked = true
    try {
      if (losing === 'request lost' && !this.#room.hasFakes) return { how: 'error', value: lost() }
      const value = await this.#room.answer(call, floorMs)
      return losing && this.#losing ? { how: 'error', value: lost() } : { how: 'answer', value }
    } catch (error) {
      return { how: 'error', value: error }
    } finally {
      this.#isAsked = false
      this.#losing = undefined
      this.env.invocation = undefined
    }
  }

  /** The fakes in this state. @throws Missing when they are not there. */
  look(state: OutsideState): unknown {
    if (this.#at !== state) throw new Missing(() => this.moveTo(state))
    return this.fakes
  }

  /** Brings the fakes into this state. */
  async moveTo(state: OutsideState): Promise<void> {
    if (this.#at === state) return
    const path: Asked[] = []
    for (let at = state; at.before; at = at.before.state) path.push(at.before.asked)
    this.fakes = this.#room.makeOutside(simOf(this))
    for (const asked of path.reverse()) {
      let known = 0
      this.#ask = (_, options) => asked.outcomes[known++] ?? options[0]!
      await this.#make(asked)
    }
    this.#at = state
  }

  /**
   * The way to a fake. What gets lost gets lost here, so that the user's own code in between sees it, as it would see a
   * broken connection.
   */
  reach(call: () => unknown): unknown {
    const losing = this.#losing
    if (!losing) return call()
    this.#losing = undefined
    if (losing === 'request lost') return Promise.reject(lost())
    return Promise.resolve(call()).then(() => Promise.reject(lost()))
  }

  choose(operation: string, options: readonly string[]): string {
    return this.#isAsked ? this.#ask(operation, options) : this.#room.reachedByHandler().choose(operation, options)
  }

  effect(effect: Effect): void {
    if (this.#isAsked) this.#effects.push(effect)
    else this.#room.reachedByHandler().effect(effect)
  }
}
