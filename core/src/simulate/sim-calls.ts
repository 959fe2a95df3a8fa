/** Calls to the outside that are wanted and not made yet. */
import type { CallWanted } from './machine-types.ts'
import type { FaultKind, Step } from './schedule-types.ts'
import type { SimRun } from './sim-run.ts'

/** A call that can be made. */
export interface PendingCall {
  readonly service: string
  readonly wanted: CallWanted
  readonly step: Step
  /** True when nobody waits for the answer any more. */
  readonly isLate: boolean
}

const faults: readonly FaultKind[] = [
  'request lost', 'answer lost', 'timeout', 'request late', 'crash before commit', 'crash after commit',
] // prettier-ignore
const faultsWithPoison: readonly FaultKind[] = [...faults, 'poison']

/** The calls of a schedule that are not made yet. */
export class Calls {
  readonly #run: SimRun
  #pending: PendingCall[] = []

  constructor(run: SimRun) {
    this.#run = run
  }

  get pending(): readonly PendingCall[] {
    return this.#pending
  }

  /** These are the calls that a service waits for now; those of a process that has died are gone. */
  update(service: string, wanted: readonly CallWanted[]): void {
    const keys = new Set(wanted.map(({ key }) => key))
    this.#pending = this.#pending.filter((call) => call.service !== service || call.isLate || keys.has(call.wanted.key))
    for (const each of wanted) {
      if (this.#pending.some((call) => call.wanted.key === each.key && !call.isLate)) continue
      this.#pending.push({ service, wanted: each, step: this.#stepOf(each), isLate: false })
    }
  }

  take(step: Step): PendingCall {
    const index = this.#pending.findIndex((call) => call.step.order === step.order)
    return this.#pending.splice(index, 1)[0]!
  }

  /** The request is still on its way, and its sender has given up. */
  late(call: PendingCall): void {
    const step = { ...call.step, name: `${call.step.name} late`, order: this.#run.nextOrder(), faults: [] }
    this.#pending.push({ ...call, step, isLate: true })
  }

  #stepOf({ invocation }: CallWanted): Step {
    const { book } = this.#run
    const { service, reaction, role, correlationId } = invocation
    const prefix = book.prefix(book.talkOf(correlationId))
    const name = book.numbered(`${prefix}${service}/${reaction}${role === 'call' ? ' call' : ' undo call'}`)
    const order = this.#run.nextOrder()
    const isPromised = role === 'call' && this.#run.stage.choreography.withinMs !== null
    const possible = isPromised ? faultsWithPoison : faults
    return { kind: 'call', name, service, order, chain: this.#run.nextChain(order), faults: possible, early: false }
  }
}
