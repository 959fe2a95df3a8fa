/**
 * The partitions that this process has of a subscription, and how far each is: in the ledger, and at the broker.
 *
 *   assigned ── position unknown ── the group says where it is ──> fetching, delivering, committing ── taken away ──> gone
 *                                └─ the broker has dropped what comes next ──> stands still, unless the gap is accepted
 *
 * An offset is committed only after the delivery of everything before it, only while the partition is ours, and only
 * forwards.
 */
import type { GroupAssignment } from '@platformatic/kafka'
import { QuadrilleError, sleep, type Subscription, type WireContext } from 'quadrille'
import * as failure from './kafka-failure.ts'
import { KafkaFetcher } from './kafka-fetcher.ts'
import { KafkaLink } from './kafka-link.ts'
import { KafkaMember } from './kafka-member.ts'
import type { KafkaSettings } from './kafka-options.ts'
import { Partition, partitionId } from './kafka-partition.ts'
import { decidePositions, gapOf, type BrokerPositions } from './kafka-positions.ts'
import type { KafkaTopics } from './kafka-topics.ts'

/** What a wire hands to the holdings of a receiver. */
export interface HoldingsParts {
  readonly settings: KafkaSettings
  readonly context: WireContext
  readonly topics: KafkaTopics
  readonly subscription: Subscription
  /** Called when messages have been fetched. */
  fetched(): void
}

/** More is not fetched while so much waits for the ledger: together with one answer of a broker, the bound on memory. */
const waitingMax = 1_000
const waitingBytesMax = 4 * 1024 * 1024
const settleMs = 100
const commitAgainMs = 100

export class KafkaHoldings {
  readonly topics: readonly string[]
  readonly #known: ReadonlySet<string>
  readonly link: KafkaLink
  readonly member: KafkaMember
  readonly fetcher: KafkaFetcher
  readonly #parts: HoldingsParts
  readonly #owned = new Map<string, Partition>()
  readonly #topicIds = new Map<string, string>()
  readonly #reborn = new Set<string>()
  readonly #over = new AbortController()
  readonly #settled = Promise.withResolvers<void>()
  #counts: ReadonlyMap<string, number> = new Map()
  #settling = false
  #settleAgain = false
  #topicsGone = false
  #committing: Promise<void> | undefined
  #isStarted = false
  #lastError = ''

  constructor(parts: HoldingsParts) {
    this.#parts = parts
    const { settings, context, subscription } = parts
    this.topics = [...new Set(subscription.types.map(({ type }) => settings.topicOf(type)))]
    this.#known = new Set((subscription.known ?? []).map(settings.topicOf))
    this.link = new KafkaLink(context, subscription.service)
    const group = settings.groupOf(subscription.service)
    const shared = { settings, env: context.env, group, topics: this.topics }
    // Until it has come together nothing can be lost: what goes wrong is told by `receive`.
    const lost = (why: string): void => {
      this.#lastError = why
      if (this.#isStarted) this.link.lost(why)
    }
    this.member = new KafkaMember({
      ...shared,
      events: {
        assigned: (assignments) => this.#assigned(assignments),
        lost,
        alive: () => {
          if (this.#owned.size === 0) this.link.restored()
        },
      },
    })
    this.fetcher = new KafkaFetcher({
      ...shared,
      events: {
        wanted: () => this.#wanted(),
        fetched: () => parts.fetched(),
        alive: () => this.link.restored(),
        lost,
        outOfRange: (partition) => this.#outOfRange(partition),
        topicsChanged: () => this.topicsGone(),
      },
    })
  }

  /** Resolves when every partition of the topics has a position. @throws QuadrilleError as `Wire.receive` says. */
  async start(): Promise<void> {
    const { topics, settings, context } = this.#parts
    await topics.ensure(this.topics)
    const withinMs = 4 * settings.sessionMs
    const late = sleep(context.env, withinMs, this.#over.signal).then(() => {
      const message = `the group did not come together within ${withinMs} ms${this.#lastError && `: ${this.#lastError}`}`
      throw new QuadrilleError('WIRE_UNREACHABLE', { wire: settings.name, message })
    })
    for (const each of [late, this.#settled.promise]) each.catch(() => {})
    // Errors that pass are met again and again until the time is over: a coordinator may still be loading.
    await Promise.race([Promise.all([this.member.join(), this.#settled.promise]), late])
    const gaps = this.partitions().flatMap(({ gap }) => gap ?? [])
    if (gaps.length > 0) throw this.positionLost(gaps)
    this.#isStarted = true
  }

  /** Commits what is in the ledger, and leaves the group. */
  async leave(): Promise<void> {
    const { context, settings } = this.#parts
    this.#over.abort()
    const committed = (this.#committing ?? Promise.resolve()).then(() => this.#commitOnce()).catch(() => {})
    await Promise.race([committed, sleep(context.env, settings.requestMs)])
    for (const partition of this.#owned.values()) partition.revoked = true
    this.#owned.clear()
    await Promise.all([this.member.leave(), this.fetcher.close()])
  }

  /** The partitions that this process has now. */
  partitions(): readonly Partition[] {
    return [...this.#owned.values()]
  }

  #partition(topic: string, index: number): Partition {
    const { settings, subscription } = this.#parts
    const types = subscription.types.filter(({ type }) => settings.topicOf(type) === topic)
    return new Partition(topic, index, types.length === 1 ? types[0]!.type : undefined)
  }

  positionLost(gaps: readonly string[]): QuadrilleError {
    const { settings, subscription } = this.#parts
    const details = { wire: settings.name, service: subscription.service, problem: gaps.join('; ') }
    return new QuadrilleError('WIRE_POSITION_LOST', details)
  }

  /** A topic is missing, or is another one. */
  topicsGone(): void {
    this.#topicsGone = true
    this.#settle()
  }

  /** Looks whether topics have more partitions than before, or were made anew, and sees to it. */
  async look(): Promise<BrokerPositions> {
    const counts = this.#counts
    const reborn = this.#reborn.size
    const broker = await this.ask(true)
    if (counts.size > 0 && [...this.#counts].some(([topic, count]) => counts.get(topic) !== count)) this.member.rejoin()
    if (this.#reborn.size > reborn) this.#settle()
    return broker
  }

  #assigned(assignments: readonly GroupAssignment[]): void {
    const ids = new Set<string>()
    for (const { topic, partitions } of assignments)
      for (const index of partitions) {
        const id = partitionId(topic, index)
        ids.add(id)
        if (!this.#owned.has(id)) this.#owned.set(id, this.#partition(topic, index))
      }
    const gone = [...this.#owned.values()].filter(({ id }) => !ids.has(id))
    for (const partition of gone) {
      partition.revoked = true
      this.#owned.delete(partition.id)
    }
    // Nobody has them yet: the group gives them on when this member has joined again, and this goes out before that.
    const last = gone.filter(isAhead)
    if (last.length > 0) this.member.commit(last.map(offsetOf)).catch(() => {})
    this.#settle()
  }

  /** Finds out where the partitions are. Called again while it runs, it does so once more. */
  #settle(): void {
    this.#settleAgain = true
    if (this.#settling || this.#over.signal.aborted) return
    this.#settling = true
    void this.#settleAll().finally(() => (this.#settling = false))
  }

  async #settleAll(): Promise<void> {
    const { env, log } = this.#parts.context
    const began = env.elapsed()
    while (this.#settleAgain && !this.#over.signal.aborted) {
      this.#settleAgain = false
      try {
        const isWaiting = await this.#settleOnce(env.elapsed() - began > 2 * this.#parts.settings.sessionMs)
        if (!isWaiting) continue
      } catch (error) {
        const found = failure.asWireError(this.#parts.settings.name, error)
        log.debug({ error: found.message }, 'kafka: positions are not known yet')
        this.#lastError = found.message
        if (!found.retryable) this.#settled.reject(found)
      }
      this.#settleAgain = true
      await sleep(env, settleMs, this.#over.signal)
    }
  }

  /** True when it has to be asked again. */
  async #settleOnce(impatient: boolean): Promise<boolean> {
    const { log } = this.#parts.context
    if (this.#topicsGone) await this.#parts.topics.ensure(this.topics)
    const broker = await this.ask(true)
    this.#topicsGone = false
    const owned = new Map(this.#owned)
    const { subscription } = this.#parts
    const answer = decidePositions({
      ...broker,
      subscription,
      known: this.#known,
      owned,
      reborn: this.#reborn,
      impatient,
    })
    for (const gap of answer.accepted) log.warn({ service: subscription.service, gap }, 'kafka: goes on behind a gap')
    if (answer.starts.length > 0) await this.member.commit(answer.starts)
    // What the group knows is never behind us for long: another process may have had the partition in between.
    for (const [id, offset] of broker.committed) {
      const partition = owned.get(id)
      if (partition?.acked === undefined || this.#reborn.has(partition.topic)) continue
      if (offset > partition.committed) partition.committed = offset
      partition.forwardTo(offset)
    }
    for (const [partition, offset] of answer.known) startAt(partition, offset)
    for (const { topic, partition: index, offset } of answer.starts) {
      const partition = owned.get(partitionId(topic, index))
      if (partition !== undefined && partition.acked === undefined) startAt(partition, offset)
    }
    for (const [partition, gap] of answer.gaps) this.#stopsAt(partition, gap)
    for (const topic of this.#reborn)
      if (answer.starts.some((start) => start.topic === topic)) this.#reborn.delete(topic)
    if (answer.waitsFor.length > 0 || this.#owned.size < owned.size) return true
    this.#settled.resolve()
    this.fetcher.pump()
    void this.commit()
    return false
  }

  /** What the broker says of topics and positions. */
  async ask(fresh: boolean): Promise<BrokerPositions> {
    const metadata = await this.fetcher.metadata(fresh)
    const counts = new Map<string, number>()
    for (const topic of this.topics) {
      const found = metadata.topics.get(topic)
      if (found === undefined) continue
      counts.set(topic, found.partitionsCount)
      const before = this.#topicIds.get(topic)
      this.#topicIds.set(topic, found.id)
      if (before !== undefined && before !== found.id) this.#rebirth(topic)
    }
    this.#counts = counts
    const [ranges, committed] = await Promise.all([this.fetcher.ranges(), this.member.committed(counts)])
    return { counts, ranges, committed }
  }

  /** Somebody has removed a topic, and it was made again: all that is in it is new. */
  #rebirth(topic: string): void {
    this.link.lost(`the topic ${topic} was removed; what it held is lost, and the subscription begins again with it`)
    this.#reborn.add(topic)
    for (const [id, partition] of this.#owned) {
      if (partition.topic !== topic) continue
      partition.revoked = true
      this.#owned.set(id, this.#partition(topic, partition.index))
    }
  }

  #outOfRange(partition: Partition): void {
    if (this.#owned.get(partition.id) !== partition) return
    void this.ask(false)
      .then(({ ranges }) => {
        const range = ranges.get(partition.id)
        if (range === undefined || this.#owned.get(partition.id) !== partition) return
        const gap = gapOf(partition.id, partition.position, range)
        if (gap !== null) this.#stopsAt(partition, gap)
      })
      .catch(() => {})
  }

  #stopsAt(partition: Partition, gap: string): void {
    if (this.#parts.subscription.lost === 'accept' && partition.acked !== undefined) {
      // Known again from the broker, with the gap accepted as at the start.
      partition.revoked = true
      this.#owned.set(partition.id, this.#partition(partition.topic, partition.index))
      return this.#settle()
    }
    partition.gap = gap
    if (this.#isStarted) this.link.lost(this.positionLost([gap]).message)
  }

  #wanted(): readonly Partition[] {
    if (this.#over.signal.aborted) return []
    let waiting = 0
    let bytes = 0
    for (const { fetched, fetchedBytes } of this.#owned.values()) {
      waiting += fetched.length
      bytes += fetchedBytes
    }
    if (waiting >= waitingMax || bytes >= waitingBytesMax) return []
    return [...this.#owned.values()].filter(({ canFetch }) => canFetch)
  }

  /** Tells the group, one request at a time, until nothing is left to tell. */
  commit(): Promise<void> {
    this.#committing ??= this.#commitAll().finally(() => (this.#committing = undefined))
    return this.#committing
  }

  async #commitAll(): Promise<void> {
    const { env } = this.#parts.context
    while (!this.#over.signal.aborted) {
      try {
        if (!(await this.#commitOnce())) return
      } catch (error) {
        // A new membership settles its positions, and then comes here again.
        if (failure.needsRejoin(error)) return
        await sleep(env, commitAgainMs, this.#over.signal)
      }
    }
  }

  /** False when there was nothing to tell. */
  async #commitOnce(): Promise<boolean> {
    const ahead = [...this.#owned.values()].filter(isAhead)
    if (ahead.length === 0) return false
    const offsets = ahead.map(offsetOf)
    await this.member.commit(offsets)
    for (const [index, partition] of ahead.entries()) {
      const { offset } = offsets[index]!
      if (offset > partition.committed) partition.committed = offset
    }
    return true
  }
}

const isAhead = ({ acked, committed }: Partition): boolean => acked !== undefined && acked > committed

const offsetOf = ({ topic, index, acked }: Partition) => ({ topic, partition: index, offset: acked! })

function startAt(partition: Partition, offset: bigint): void {
  partition.startAt(offset)
  partition.committed = offset
}
