/**
 * A running subscription at the broker in memory.
 *
 *     looking --something is due--> delivering --resolved--> acknowledged --> looking
 *                                              --rejected--> pause --> looking (the same again)
 *             --nothing is due, or the broker is away--> resting --woken--> looking
 *     stop: the delivery in hand ends; then the lanes are given back
 */
import { sleep, type Env } from '../../base/index.ts'
import type { Deliver, Receiver, ReceiverHealth, Subscription, WireNotice } from '../wire.ts'
import { Group, type Broker, type Member } from './memory-broker.ts'

const pauseAfterRejectMs = 20
/** Behind for longer without a delivery is a problem. */
const quietMsMax = 500

/** What a receiver shares with its wire. */
export interface Line {
  readonly env: Env
  /** True while no byte passes. */
  readonly frozen: () => boolean
  readonly notice: (notice: WireNotice) => void
}

/** Pumps messages from the broker into `deliver`. */
export class MemoryReceiver implements Receiver, Member {
  readonly instance: string
  readonly #broker: Broker
  readonly #line: Line
  readonly #subscription: Subscription
  readonly #deliver: Deliver
  readonly #stopping = new AbortController()
  #group: Group
  #crashed = false
  #wasUp = true
  #inHand = false
  #woken = false
  #resting: (() => void) | undefined
  #behindSince: number | null = null
  #loop: Promise<void>

  constructor(at: { broker: Broker; line: Line; group: Group }, subscription: Subscription, deliver: Deliver) {
    this.#broker = at.broker
    this.#line = at.line
    this.#group = at.group
    this.#subscription = subscription
    this.#deliver = deliver
    this.instance = subscription.instance
    this.#broker.watchers.add(this.#watch)
    this.#group.join(this)
    this.#loop = this.#run()
  }

  wake(): void {
    this.#woken = true
    this.#resting?.()
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    this.wake()
    await this.#loop
    this.#broker.watchers.delete(this.#watch)
    if (!this.#crashed) this.#group.leave(this)
  }

  /** As a kill -9 would: nothing is acknowledged, and the lanes stay locked for a while. */
  crash(): void {
    this.#crashed = true
    this.#stopping.abort()
    this.wake()
    this.#broker.watchers.delete(this.#watch)
    this.#line.env.timer(this.#broker.settings.lockMs, () => this.#group.leave(this))
  }

  async health(): Promise<ReceiverHealth> {
    const lag = this.#broker.lag(this.#group)
    const { env } = this.#line
    if (lag === 0 || this.#inHand) this.#behindSince = null
    else this.#behindSince ??= env.elapsed()
    const problems: string[] = []
    if (!this.#broker.up) problems.push('the broker is away')
    if (this.#group.gap) problems.push('the broker has dropped messages that were still to be received')
    if (this.#behindSince !== null && env.elapsed() - this.#behindSince > quietMsMax)
      problems.push(`${lag} messages wait at the broker, and none arrives`)
    return { lag: this.#broker.up ? lag : null, problems }
  }

  readonly #watch = (): void => {
    const { up } = this.#broker
    if (up === this.#wasUp) return
    this.#wasUp = up
    const { service } = this.#subscription
    this.#line.notice({
      kind: up ? 'restored' : 'lost',
      service,
      why: up ? 'the broker is back' : 'the broker is away',
    })
    this.wake()
  }

  async #run(): Promise<void> {
    const { env, frozen } = this.#line
    while (!this.#stopping.signal.aborted) {
      this.#woken = false
      this.#rejoin()
      const share = this.#broker.up && !frozen() && !this.#group.gap ? this.#broker.next(this.#group, this) : null
      if (share === null) {
        await this.#rest()
        continue
      }
      this.#inHand = true
      this.#group.outstanding += share.messages.length
      try {
        await this.#deliver(share.messages)
        if (!this.#crashed) this.#broker.acknowledge(this.#group, this, share)
      } catch {
        await sleep(env, pauseAfterRejectMs, this.#stopping.signal)
      } finally {
        this.#inHand = false
        this.#behindSince = null
        this.#group.outstanding -= share.messages.length
      }
    }
  }

  /** Somebody has removed the subscription: it is made again, and what was sent in between is gone. */
  #rejoin(): void {
    const { service, types } = this.#subscription
    const there = this.#broker.groups.get(service)
    if (there === this.#group) return
    this.#line.notice({ kind: 'lost', service, why: 'the subscription was removed at the broker' })
    this.#group = there ?? new Group(types, this.#broker.start('now'))
    this.#broker.groups.set(service, this.#group)
    this.#group.join(this)
    this.#line.notice({ kind: 'restored', service, why: 'the subscription was made again' })
  }

  async #rest(): Promise<void> {
    if (this.#woken || this.#stopping.signal.aborted) return
    await new Promise<void>((resolve) => (this.#resting = resolve))
    this.#resting = undefined
  }
}
