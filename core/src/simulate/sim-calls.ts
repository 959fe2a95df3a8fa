/** Calls to the outside: made when the schedule says so, and not always answered. */
import type { FaultKind, Step } from './schedule-types.ts'
import type { Invocation } from './sim-env.ts'
import type { SimRun } from './sim-run.ts'

/** A call that is wanted. */
export interface PendingCall {
  readonly service: string
  readonly step: Step
  readonly invocation: Invocation
  readonly make: () => unknown
  readonly resolve: (answer: unknown) => void
  readonly reject: (error: unknown) => void
  /** Ends the caller's patience. */
  readonly timeOut: () => void
}

const faults: readonly FaultKind[] = [
  'request lost', 'answer lost', 'timeout', 'request late', 'crash before commit', 'crash after commit', 'poison',
] // prettier-ignore

/** An answer needs a few turns of the queue of promises to get through the runtime. */
const hopsMax = 60

const lost = (): Error => new Error('simulated: there was no answer')

/** The calls of a schedule that are not made yet. */
export class Calls {
  readonly #run: SimRun
  #pending: PendingCall[] = []
  /** What gets lost on the way to the first fake that is asked. */
  #losing: 'request lost' | 'answer lost' | undefined

  constructor(run: SimRun) {
    this.#run = run
  }

  get pending(): readonly PendingCall[] {
    return this.#pending
  }

  add(invocation: Invocation, make: () => unknown): Promise<unknown> {
    const { env, book } = this.#run
    const { service, reaction, role, correlationId } = invocation
    const timer = env.lastTimer
    const prefix = book.prefix(book.talkOf(correlationId))
    const name = book.numbered(`${prefix}${service}/${reaction}${role === 'call' ? ' call' : ' undo call'}`)
    const order = this.#run.nextOrder()
    const step: Step = { kind: 'call', name, service, order, chain: order, faults, early: false }
    return new Promise((resolve, reject) => {
      this.#pending.push({ service, step, invocation, make, resolve, reject, timeOut: () => env.fire(timer) })
    })
  }

  take(step: Step): PendingCall {
    const index = this.#pending.findIndex((call) => call.step.order === step.order)
    return this.#pending.splice(index, 1)[0]!
  }

  /** The process that wanted them is gone. */
  drop(service: string): void {
    this.#pending = this.#pending.filter((call) => call.service !== service || call.step.name.endsWith(' late'))
  }

  /**
   * The way from a call to a fake. What gets lost gets lost here, so that the user's own code in between sees it, as it would
   * see a broken connection.
   */
  reach(call: () => unknown): unknown {
    const losing = this.#losing
    if (!losing) return call()
    this.#losing = undefined
    if (losing === 'request lost') return Promise.reject(lost())
    return Promise.resolve(call()).then(() => Promise.reject(lost()))
  }

  /** Makes the call, and waits until the runtime has heard what came of it. */
  async make(call: PendingCall, fault: FaultKind | undefined): Promise<void> {
    const { env } = this.#run
    if (fault === 'request late') {
      const step = { ...call.step, name: `${call.step.name} late`, order: this.#run.nextOrder(), faults: [] }
      this.#pending.push({ ...call, step, resolve: () => {}, reject: () => {}, timeOut: () => {} })
      call.timeOut()
      return this.#heard(call)
    }
    env.invocation = call.invocation
    const isLost = fault === 'request lost' || fault === 'answer lost'
    this.#losing = isLost ? fault : undefined
    if (fault === 'request lost' && !this.#run.stage.hasFakes) call.reject(lost())
    else {
      try {
        const answer = await this.#run.stage.answer(this.#run, call)
        if (isLost && this.#losing) call.reject(lost())
        else if (fault === 'timeout') call.timeOut()
        else call.resolve(answer)
      } catch (error) {
        call.reject(error)
      }
    }
    this.#losing = undefined
    env.invocation = undefined
    await this.#heard(call)
  }

  async #heard(call: PendingCall): Promise<void> {
    const process = this.#run.processes.get(call.service)!
    for (let hops = 0; hops < hopsMax && !process.hasAnswers; hops++) await Promise.resolve()
  }
}
