/** The simulated wires: what is on its way, and what of it may come next. */
import type { NewEvent } from '../contracts/index.ts'
import type { Told } from './book.ts'
import type { FaultKind, Step } from './schedule-types.ts'

/**
 * Which order a wire keeps: `none`; `type`: events of one type and key (a Kafka topic for each type); `key`: all events
 * that one service emits for a key (one stream for all types).
 */
export type WireOrder = 'none' | 'type' | 'key'

/** An event on its way to a service. */
export interface Message {
  readonly event: NewEvent
  readonly told: Told
  readonly to: string
  readonly step: Step
  /** Messages of one lane come one after the other; null for whenever. */
  readonly lane: string | null
}

/** What is sent. */
export interface Sending {
  readonly event: NewEvent
  readonly told: Told
  readonly to: string
  readonly order: number
  readonly chain: number
  readonly faults: readonly FaultKind[]
}

/** Everything on its way. */
export class Wires {
  readonly #order: WireOrder
  #pending: Message[] = []

  constructor(order: WireOrder) {
    this.#order = order
  }

  get pending(): readonly Message[] {
    return this.#pending
  }

  send({ event, told, to, order, chain, faults }: Sending): void {
    const step: Step = {
      kind: 'deliver', name: `${told.name}→${to}`, service: to, order, chain, faults, early: false,
    } // prettier-ignore
    this.#pending.push({ event, told, to, step, lane: this.#laneOf(event, to) })
  }

  /** The same message will come once more, at any time. */
  again(message: Message, order: number): void {
    const faults = message.step.faults.filter((fault) => fault !== 'duplicate')
    const step = { ...message.step, name: `${message.step.name} again`, order, faults }
    this.#pending.push({ ...message, step, lane: null })
  }

  /** What may come next. */
  deliverable(): readonly Message[] {
    if (this.#pending.length < 2 || this.#order === 'none') return this.#pending
    const taken = new Set<string>()
    return this.#pending.filter(({ lane }) => lane === null || (!taken.has(lane) && taken.add(lane)))
  }

  take(step: Step): Message {
    const index = this.#pending.findIndex((message) => message.step.order === step.order)
    return this.#pending.splice(index, 1)[0]!
  }

  #laneOf({ source, type, key }: NewEvent, to: string): string | null {
    if (this.#order === 'none') return null
    return `${source}\n${to}\n${this.#order === 'type' ? type : ''}\n${key}`
  }
}
