/**
 * The Env of a simulation. Time moves when the schedule says so; ids and random numbers follow from what asks for them
 * (which reaction, which event, which try) and not from what happened before, so that they stay the same when a
 * schedule changes elsewhere.
 */
import type { Cancel, Env } from '../base/index.ts'

/** A handler or call that is running. */
export interface Invocation {
  /** Names it for ever: service, reaction, event and how often it has run. */
  readonly name: string
  readonly service: string
  readonly reaction: string
  readonly role: 'run' | 'undo' | 'late' | 'deadline' | 'call' | 'undo call' | 'begin'
  readonly eventId: string
  readonly eventType: string
  readonly key: string
  readonly correlationId: string
  /** What time it is for the handler: a little later than its event, whatever else happens. */
  readonly timeMs: number
}

/** A source of numbers that depends on a text alone. */
class Draws {
  #a: number
  #b: number

  constructor(text: string) {
    let a = 0x811c9dc5
    let b = 0x9e3779b9
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i)
      a = Math.imul(a ^ unit, 0x01000193)
      b = Math.imul(b ^ unit, 0x85ebca6b) ^ (b >>> 15)
    }
    this.#a = a >>> 0
    this.#b = b >>> 0
  }

  /** 32 bits (SplitMix32 over both words). */
  next(): number {
    this.#a = (this.#a + 0x9e3779b9) >>> 0
    let z = (this.#a ^ this.#b) >>> 0
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b)
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35)
    this.#b = (Math.imul(this.#b, 0x01000193) + 1) >>> 0
    return (z ^ (z >>> 16)) >>> 0
  }
}

function uuidOf(next: () => number): string {
  const a = next()
  const b = next()
  const third = (a & 0xfff).toString(16).padStart(3, '0')
  const fourth = (0x8000 | ((a >>> 12) & 0x3fff)).toString(16)
  const low = (b & 0xffff).toString(16).padStart(4, '0')
  return `019b76da-a800-7${third}-${fourth}-${low}${next().toString(16).padStart(8, '0')}`
}

interface Timer {
  readonly atMs: number
  readonly run: () => void
}

/** Where every simulation begins: 2026-01-01T00:00:00Z. */
export const startMs = 1_767_225_600_000

/** See the top of this file. One for each schedule. */
export class SimEnv implements Env {
  /** The time, as far as waiting has moved it on. */
  floorMs = startMs
  /** What is running; undefined for the runtime itself. */
  invocation: Invocation | undefined
  /** The timer that was set last: a call sets its own just before it is made. */
  lastTimer: Timer | undefined
  readonly #timers = new Set<Timer>()
  #drawsOf: Invocation | undefined
  #draws: Draws
  readonly #own: Draws

  constructor(seed: number) {
    this.#own = new Draws(`runtime ${seed}`)
    this.#draws = this.#own
  }

  readonly now = (): number => {
    const { invocation, floorMs } = this
    return invocation !== undefined && invocation.timeMs > floorMs ? invocation.timeMs : floorMs
  }

  readonly elapsed = (): number => this.floorMs

  readonly timer = (delayMs: number, run: () => void): Cancel => {
    const timer = { atMs: this.floorMs + delayMs, run }
    this.#timers.add(timer)
    this.lastTimer = timer
    return () => this.#timers.delete(timer)
  }

  readonly breathe = (): Promise<void> => Promise.resolve()

  /** The runtime itself draws for jitter only: for it, every draw is the middle, so that fewer times differ. */
  readonly random = (): number => (this.invocation ? this.#next() / 2 ** 32 : 0.5)

  /** In the form of a UUIDv7. */
  readonly uuid = (): string => uuidOf(() => this.#next())

  /** An id that follows from the text alone. */
  idOf(text: string): string {
    const draws = new Draws(text)
    return uuidOf(() => draws.next())
  }

  /** Runs the earliest timer that was set by code that waits inside a step; false when there is none. */
  fireSoon(withinMs: number): boolean {
    let first: Timer | undefined
    for (const timer of this.#timers) if (!first || timer.atMs < first.atMs) first = timer
    if (!first || first.atMs > this.floorMs + withinMs) return false
    this.#timers.delete(first)
    this.floorMs = Math.max(this.floorMs, first.atMs)
    first.run()
    return true
  }

  /** Runs a timer now, if it is still set. */
  fire(timer: Timer | undefined): void {
    if (timer && this.#timers.delete(timer)) timer.run()
  }

  #next(): number {
    if (this.#drawsOf !== this.invocation) {
      this.#drawsOf = this.invocation
      this.#draws = this.invocation ? new Draws(this.invocation.name) : this.#own
    }
    return this.#draws.next()
  }
}
