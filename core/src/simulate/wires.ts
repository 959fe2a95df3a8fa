/** The simulated wires: what is on its way, and what of it may come next. */
import type { NewEvent } from '../contracts/index.ts'
import type { Told } from './book.ts'
import type { FaultKind, Step } from './schedule-types.ts'
import { repeatedFaults } from './steps.ts'

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
  /** True for one that may come whenever, whatever the order of the wire. */
  readonly isLoose: boolean
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

const linkOf = ({ event, to }: Message): string => `${event.source}→${to}`

/** Everything on its way. */
export class Wires {
  readonly #order: WireOrder
  #pending: Message[] = []
  /** Between which two nothing comes through. */
  readonly #down = new Set<string>()

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
    this.#pending.push({ event, told, to, step, isLoose: false })
  }

  /** The same message will come once more, at any time. */
  again(message: Message, order: number): void {
    const faults = repeatedFaults(message.step.faults)
    const step = { ...message.step, name: `${message.step.name} again`, order, faults }
    this.#pending.push({ ...message, step, isLoose: true })
  }

  /** The wire on which this message is goes down: it is still on its way, and so is all that comes after it. */
  cut(message: Message): void {
    const faults = message.step.faults.filter((fault) => fault !== 'link down')
    this.#pending.unshift({ ...message, step: { ...message.step, faults } })
    this.#down.add(linkOf(message))
  }

  /** Wires that are down. */
  get down(): ReadonlySet<string> {
    return this.#down
  }

  heal(link: string): void {
    this.#down.delete(link)
  }

  /** What may come next. */
  deliverable(): readonly Message[] {
    const open = this.#down.size === 0 ? this.#pending : this.#pending.filter((each) => !this.#down.has(linkOf(each)))
    if (open.length < 2 || this.#order === 'none') return open
    return open.filter((message, index) => {
      for (let before = 0; before < index; before++) if (this.#isBehind(message, open[before]!)) return false
      return true
    })
  }

  /** True when more than this one is on its way to where it goes. */
  hasMore({ to }: Message): boolean {
    return this.#pending.filter((each) => each.to === to).length > 1
  }

  /** All that can come to a service now, in the order in which it would. */
  takeAll(to: string): Message[] {
    const taken: Message[] = []
    for (;;) {
      const next = this.deliverable().find((message) => message.to === to)
      if (!next) return taken
      taken.push(this.take(next.step))
    }
  }

  take(step: Step): Message {
    const index = this.#pending.findIndex((message) => message.step.order === step.order)
    return this.#pending.splice(index, 1)[0]!
  }

  /** True when the wire keeps the order of the two. */
  #isBehind(message: Message, earlier: Message): boolean {
    const { source, type, key } = message.event
    const { event } = earlier
    if (message.to !== earlier.to || source !== event.source || key !== event.key) return false
    return (this.#order === 'key' || type === event.type) && !message.isLoose && !earlier.isLoose
  }
}
