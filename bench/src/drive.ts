/** Drives a system: as fast as it goes, or at a steady rate, and measures. */
import { setImmediate, setTimeout } from 'node:timers/promises'
import { meter } from './machine.ts'
import { makeOrder } from './order.ts'
import { percentile } from './statistics.ts'
import type { OrderSystem } from './systems/system.ts'

/** publish() calls in flight; in the warm-up also the orders that are open at once. */
const windowSize = 256
/** Without any notification for so long, the run has failed. */
const stuckMs = 30_000
/** setTimeout may come so much early; what is left is waited for turn by turn. */
const timerSlackMs = 1

/** Knows which orders are under way and when they were to be placed. */
export class Tracker {
  readonly #due = new Map<string, number>()
  #notified = 0
  #strays = 0
  #latencies: number[] = []
  #target = Infinity
  #reached = (): void => {}
  #freed: (() => void)[] = []

  /** To be handed to the system. */
  readonly notified = (orderId: string): void => {
    const due = this.#due.get(orderId)
    if (due === undefined) {
      this.#strays += 1
      return
    }
    this.#due.delete(orderId)
    this.#latencies.push(performance.now() - due)
    this.#notified += 1
    if (this.#notified === this.#target) this.#reached()
    this.#freed.shift()?.()
  }

  get open(): number {
    return this.#due.size
  }

  /** Notifications of orders that had been notified of before, or never placed. */
  get strays(): number {
    return this.#strays
  }

  placed(orderId: string, dueMs: number): void {
    this.#due.set(orderId, dueMs)
  }

  /** Resolves when one more order has been notified of. */
  freed(): Promise<void> {
    return new Promise((resolve) => this.#freed.push(resolve))
  }

  /** Latencies since the last call, milliseconds. */
  takeLatencies(): number[] {
    return this.#latencies.splice(0)
  }

  /** Resolves when so many more than now have been notified of. @throws Error when nothing happens any more. */
  async after(count: number): Promise<void> {
    this.#target = this.#notified + count
    const reached = new Promise<void>((resolve) => (this.#reached = resolve))
    const watch = new AbortController()
    const stuck = this.#watch(watch.signal)
    try {
      await Promise.race([reached, stuck])
    } finally {
      watch.abort()
    }
  }

  async #watch(signal: AbortSignal): Promise<void> {
    for (let last = -1; last !== this.#notified;) {
      last = this.#notified
      await setTimeout(stuckMs, undefined, { signal, ref: false }).catch(() => {})
      if (signal.aborted) return
    }
    throw new Error(`stuck: ${this.#due.size} orders are under way, and none was notified of in ${stuckMs} ms`)
  }
}

/** A system and the tracker it tells. */
export interface Driven {
  readonly system: OrderSystem
  readonly tracker: Tracker
  /** Processor time of the database server so far, seconds; undefined when there is none, or it does not tell. */
  readonly serverSeconds?: (() => number) | undefined
}

/** What a throughput run has shown. */
export interface Throughput {
  readonly ordersPerSecond: number
  readonly publishPerSecond: number
  readonly seconds: number
  /** Of this process. */
  readonly cpuSecondsPer1000: number
  /** Of the database server's processes. */
  readonly serverCpuSecondsPer1000: number
  /** Cores that others have used meanwhile; null where the machine does not tell. */
  readonly otherCores: number | null
  readonly rssBeforeMb: number
  readonly rssAfterMb: number
}

async function place(driven: Driven, which: { prefix: string; count: number; closed: boolean }): Promise<void> {
  const { system, tracker } = driven
  let next = 0
  const lane = async (): Promise<void> => {
    while (next < which.count) {
      const order = makeOrder(which.prefix, next++)
      tracker.placed(order.orderId, performance.now())
      await system.publish(order)
      if (which.closed) while (tracker.open >= windowSize) await tracker.freed()
    }
  }
  await Promise.all(Array.from({ length: Math.min(windowSize, which.count) }, lane))
}

/** Lets the system run for a while, so that code is compiled and files are there. */
export async function warmUp(driven: Driven, prefix: string, count: number): Promise<void> {
  const done = driven.tracker.after(count)
  await Promise.all([place(driven, { prefix, count, closed: true }), done])
  driven.tracker.takeLatencies()
  await setTimeout(300)
}

const megabytes = (bytes: number): number => Math.round(bytes / 1024 / 1024)

/** Places all orders at once and waits for the last notification. */
export async function throughput(driven: Driven, prefix: string, count: number): Promise<Throughput> {
  const rssBeforeMb = megabytes(process.memoryUsage.rss())
  const read = meter(driven.serverSeconds)
  const done = driven.tracker.after(count)
  const placed = place(driven, { prefix, count, closed: false }).then(() => read().seconds)
  const [publishSeconds] = await Promise.all([placed, done])
  const { seconds, cpuSeconds, serverCpuSeconds, otherCores } = read()
  return {
    ordersPerSecond: count / seconds,
    publishPerSecond: count / publishSeconds,
    seconds,
    cpuSecondsPer1000: (cpuSeconds / count) * 1000,
    serverCpuSecondsPer1000: (serverCpuSeconds / count) * 1000,
    otherCores,
    rssBeforeMb,
    rssAfterMb: megabytes(process.memoryUsage.rss()),
  }
}

/** What a run at a steady rate has shown, milliseconds from when an order was due to its notification's commit. */
export interface Latency {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly orders: number
  readonly otherCores: number | null
}

/** Places so many orders per second, however long they take. */
export async function steady(
  driven: Driven,
  prefix: string,
  pace: { readonly rate: number; readonly seconds: number },
): Promise<Latency> {
  const count = Math.round(pace.rate * pace.seconds)
  const read = meter(driven.serverSeconds)
  const done = driven.tracker.after(count)
  const publishing: Promise<void>[] = []
  const began = performance.now()
  for (let number = 0; number < count; number++) {
    const due = began + (number * 1000) / pace.rate
    await until(due)
    const order = makeOrder(prefix, number)
    driven.tracker.placed(order.orderId, due)
    publishing.push(driven.system.publish(order))
  }
  await Promise.all([...publishing, done])
  const latencies = driven.tracker.takeLatencies()
  return {
    p50Ms: percentile(latencies, 0.5),
    p99Ms: percentile(latencies, 0.99),
    maxMs: percentile(latencies, 1),
    orders: count,
    otherCores: read().otherCores,
  }
}

async function until(dueMs: number): Promise<void> {
  const waitMs = dueMs - performance.now() - timerSlackMs
  if (waitMs >= 1) await setTimeout(waitMs)
  while (performance.now() < dueMs) await setImmediate()
}
