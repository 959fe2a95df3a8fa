/**
 * A running subscription.
 *
 *   fetch ──> fetched (bounded) ──> deliver ──> in the ledger ──> committed
 *
 * Of each partition, what is delivered is always the continuation of what the group has committed, without a hole. So
 * the events of a key reach the ledger in order also where two processes have the same partition for a moment: what the
 * later one delivers first is in the ledger already.
 */
import {
  byName,
  sleep,
  wantedOf,
  type Deliver,
  type IncomingMessage,
  type Receiver,
  type ReceiverHealth,
} from 'quadrille'
import * as failure from './kafka-failure.ts'
import { KafkaHoldings, type HoldingsParts } from './kafka-holdings.ts'
import type { Partition } from './kafka-partition.ts'
import { lagOf, type BrokerPositions } from './kafka-positions.ts'

/** What a wire hands to a receiver. */
export interface ReceiverParts extends Omit<HoldingsParts, 'fetched'> {
  readonly deliver: Deliver
}

const deliveryMax = 500
const againMs = { least: 100, most: 5_000 }
const slowLedgerMs = 30_000
const lookMs = 5_000

/** Some messages of a partition, on their way into the ledger. */
interface Slice {
  readonly partition: Partition
  readonly messages: readonly IncomingMessage[]
  /** The offset behind the last of them. */
  readonly next: bigint
}

export class KafkaReceiver implements Receiver {
  readonly #parts: ReceiverParts
  readonly #holdings: KafkaHoldings
  readonly #over = new AbortController()
  #wake: () => void = () => {}
  #running: Promise<void> | undefined
  #stopped: Promise<void> | undefined
  #deliveringSince: number | null = null
  #lastRefusal: string | null = null
  #outsideSince: number | null = null
  /** Where each partition stood at the last look that had something to fetch and nothing in hand. */
  #behind: ReadonlyMap<string, bigint> = new Map()
  #isStuck = false
  #first = 0

  constructor(parts: ReceiverParts) {
    this.#parts = parts
    this.#holdings = new KafkaHoldings({ ...parts, fetched: () => this.#wake() })
  }

  /** Resolves when every partition of the topics has a position. @throws QuadrilleError as `Wire.receive` says. */
  async start(): Promise<void> {
    try {
      await this.#holdings.start()
    } catch (error) {
      await this.stop()
      throw failure.asWireError(this.#parts.settings.name, error)
    }
    this.#running = this.#run()
    void this.#watch()
  }

  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    this.#over.abort()
    this.#wake()
    await this.#running
    await this.#holdings.leave()
  }

  async #run(): Promise<void> {
    let waitMs = againMs.least
    const { env } = this.#parts.context
    while (!this.#over.signal.aborted) {
      const slices = this.#next()
      if (slices.length === 0) {
        await new Promise<void>((resolve) => (this.#wake = resolve))
        continue
      }
      if (await this.#deliver(slices)) waitMs = againMs.least
      else {
        await sleep(env, waitMs * (0.5 + env.random()), this.#over.signal)
        waitMs = Math.min(2 * waitMs, againMs.most)
      }
    }
  }

  /** The next messages of the partitions, each time beginning with another one, so that none waits for long. */
  #next(): readonly Slice[] {
    const all = this.#holdings.partitions()
    const slices: Slice[] = []
    let room = deliveryMax
    this.#first += 1
    for (let at = 0; at < all.length && room > 0; at++) {
      const partition = all[(this.#first + at) % all.length]!
      if (partition.fetched.length === 0 || !partition.canFetch) continue
      const some = partition.fetched.slice(0, room)
      room -= some.length
      const messages = some.map(({ message }) => message)
      slices.push({ partition, messages, next: some.at(-1)!.offset + 1n })
    }
    return slices
  }

  /** True when the ledger has taken them. */
  async #deliver(slices: readonly Slice[]): Promise<boolean> {
    const { deliver, context } = this.#parts
    const all = slices.flatMap((slice) => slice.messages)
    this.#deliveringSince = context.env.elapsed()
    try {
      const messages = await wantedOf(this.#parts.subscription, all, (message) => this.#typeOf(message))
      if (messages.length > 0) await deliver(messages)
      this.#lastRefusal = null
    } catch (error) {
      this.#lastRefusal = failure.textOf(error)
      return false
    } finally {
      this.#deliveringSince = null
    }
    for (const { partition, next } of slices) partition.forwardTo(next)
    this.#holdings.fetcher.pump()
    void this.#holdings.commit()
    return true
  }

  /** The type, where it shares its topic with a wanted one. What is unknown here is for the ledger to say. */
  readonly #typeHere = byName((type) => {
    try {
      return this.#holdings.topics.includes(this.#parts.settings.topicOf(type)) ? type : null
    } catch {
      return null
    }
  })

  #typeOf({ attributes }: IncomingMessage): string | undefined {
    const type = attributes?.['type']
    return type === undefined ? undefined : (this.#typeHere(type) ?? undefined)
  }

  async health(): Promise<ReceiverHealth> {
    const { env } = this.#parts.context
    let lag: number | null = null
    try {
      const late = sleep(env, this.#parts.settings.requestMs).then(() => null)
      const broker = await Promise.race([this.#holdings.ask(false), late])
      if (broker === null) this.#holdings.link.lost(`no answer within ${this.#parts.settings.requestMs} ms`)
      else lag = lagOf(broker)
    } catch (error) {
      this.#holdings.link.lost(failure.textOf(error))
    }
    return { lag, problems: this.#problems() }
  }

  #problems(): readonly string[] {
    const { settings, subscription, context } = this.#parts
    const who = `${subscription.service} on ${settings.name}`
    const now = context.env.elapsed()
    const problems: string[] = []
    if (this.#holdings.link.problem !== null) problems.push(`${who} is cut off: ${this.#holdings.link.problem}`)
    for (const { gap } of this.#holdings.partitions())
      if (gap !== null) problems.push(`${who} stands still: ${this.#holdings.positionLost([gap]).message}`)
    if (this.#isStuck) problems.push(`${who} is behind and gets nothing; its connections are made anew`)
    if (this.#outsideSince !== null && now - this.#outsideSince > 2 * settings.sessionMs)
      problems.push(`${who} has been outside of its group for ${Math.round((now - this.#outsideSince) / 1000)} s`)
    if (this.#lastRefusal !== null) problems.push(`the ledger refuses what ${who} delivers: ${this.#lastRefusal}`)
    if (this.#deliveringSince !== null && now - this.#deliveringSince > slowLedgerMs)
      problems.push(`the ledger has not taken a delivery of ${who} for ${slowLedgerMs / 1000} s`)
    return problems
  }

  /** Looks now and then for what no error tells: new partitions, and a connection that is open and brings nothing. */
  async #watch(): Promise<void> {
    const { env } = this.#parts.context
    for (;;) {
      await sleep(env, lookMs, this.#over.signal)
      if (this.#over.signal.aborted) return
      this.#outsideSince = this.#holdings.member.isIn ? null : (this.#outsideSince ?? env.elapsed())
      try {
        this.#lookForStuck(await this.#holdings.look())
      } catch (error) {
        if (failure.isUnknownTopic(error)) this.#holdings.topicsGone()
      }
    }
  }

  #lookForStuck({ ranges }: BrokerPositions): void {
    const behind = new Map<string, bigint>()
    for (const { id, canFetch, fetched, position } of this.#holdings.partitions())
      if (canFetch && fetched.length === 0 && (ranges.get(id)?.end ?? 0n) > position) behind.set(id, position)
    // Twice at the same place, with something to fetch, and nothing in hand.
    this.#isStuck = [...behind].some(([id, position]) => this.#behind.get(id) === position)
    this.#behind = this.#isStuck ? new Map() : behind
    if (!this.#isStuck) return
    this.#holdings.link.lost(`nothing came for ${lookMs} ms, although the broker has messages; connecting anew`)
    this.#holdings.fetcher.replace()
  }
}
