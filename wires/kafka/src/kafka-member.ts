/**
 * Membership in the consumer group of a service.
 *
 *   out ── join ──> joining ── the group has assigned ──> in ── asked to join again, or thrown out ──> joining
 *                      │ fails: again after a moment                      leave ──> out
 *
 * The client repeats nothing by itself here (`retries: 0`): left to itself, it joins again after a refused commit and
 * then commits the same offsets in the name of its new membership, also for partitions that others have moved on by now.
 */
import {
  Consumer,
  cooperativeStickyAssigner,
  type CommitOptionsPartition,
  type GroupAssignment,
  type GroupPartitionsAssigner,
} from '@platformatic/kafka'
import { sleep, type Env } from 'quadrille'
import * as failure from './kafka-failure.ts'
import type { KafkaSettings } from './kafka-options.ts'
import { partitionId } from './kafka-partition.ts'

const joinAgainMs = { least: 50, most: 2_000 }
const heartbeatsASession = 4

/** What a member tells. */
export interface MemberEvents {
  /** Which partitions it has now. Called before others can get what it has no longer. */
  assigned(assignments: readonly GroupAssignment[]): void
  lost(why: string): void
  alive(): void
}

/** What a member needs. */
export interface MemberParts {
  readonly settings: KafkaSettings
  readonly env: Env
  readonly group: string
  readonly topics: readonly string[]
  readonly events: MemberEvents
}

/**
 * The client's own way, for the topics of all members: by itself it shares out those of the leader only, and during a release the
 * leader may be of the old version, which has fewer.
 */
const assignAll: GroupPartitionsAssigner = (...[current, members, , metadata]) => {
  const topics = new Set([...members.values()].flatMap((member) => member.topics ?? []))
  return cooperativeStickyAssigner(current, members, topics, metadata)
}

export class KafkaMember {
  readonly #parts: MemberParts
  readonly #consumer: Consumer
  #joining: Promise<void> | undefined
  #left = false

  constructor(parts: MemberParts) {
    this.#parts = parts
    const { settings, group, topics, events } = parts
    const { client, sessionMs, requestMs } = settings
    const consumer = new Consumer({
      ...client,
      groupId: group,
      groupProtocol: 'classic',
      protocols: [{ name: 'cooperative-sticky', version: 3 }],
      partitionAssigner: assignAll,
      sessionTimeout: sessionMs,
      rebalanceTimeout: sessionMs,
      heartbeatInterval: Math.floor(sessionMs / heartbeatsASession),
      // The broker answers a request to join only when the others have joined too.
      requestTimeout: sessionMs + requestMs,
      retries: 0,
    })
    for (const topic of topics) consumer.topics.track(topic)
    const assigned = (): void => {
      if (!this.#left) events.assigned(consumer.assignments ?? [])
    }
    consumer.on('consumer:group:join', assigned)
    consumer.on('consumer:group:rebalance', assigned)
    consumer.on('consumer:heartbeat:end', () => events.alive())
    consumer.on('consumer:heartbeat:error', ({ error }) => events.lost(failure.textOf(error)))
    consumer.on('consumer:heartbeat:stalled', () => this.rejoin())
    // The client gives up joining, and has stopped its heartbeats.
    consumer.on('error', () => this.rejoin())
    this.#consumer = consumer
  }

  /** Whether it is in the group and holds no request to join. */
  get isIn(): boolean {
    return this.#joining === undefined && this.#consumer.isActive()
  }

  /** Resolves once the group has assigned. @throws what can not pass by itself. */
  join(): Promise<void> {
    this.#joining ??= this.#join().finally(() => (this.#joining = undefined))
    return this.#joining
  }

  /** Joins again, for as long as it takes. */
  rejoin(): void {
    this.join().catch((error: unknown) => this.#parts.events.lost(failure.textOf(error)))
  }

  async #join(): Promise<void> {
    const { env, events, settings } = this.#parts
    let waitMs = joinAgainMs.least
    while (!this.#left) {
      try {
        await this.#consumer.joinGroup({})
        return
      } catch (error) {
        const found = failure.asWireError(settings.name, error)
        if (!found.retryable) throw found
        // Others are joining or leaving: nothing is wrong.
        if (!failure.needsRejoin(error)) events.lost(failure.textOf(error))
      }
      await sleep(env, waitMs * (0.5 + env.random()))
      waitMs = Math.min(2 * waitMs, joinAgainMs.most)
    }
  }

  /** What the group has committed, of every partition of its topics; those without are left out. */
  async committed(counts: ReadonlyMap<string, number>): Promise<ReadonlyMap<string, bigint>> {
    const topics = [...counts].map(([topic, count]) => ({ topic, partitions: [...Array(count).keys()] }))
    const offsets = await this.#consumer.listCommittedOffsets({ topics })
    const found = new Map<string, bigint>()
    for (const [topic, partitions] of offsets)
      for (const [index, offset] of partitions.entries())
        if (offset !== undefined && offset >= 0n) found.set(partitionId(topic, index), offset)
    return found
  }

  /** In the name of the membership of this moment: the broker refuses it when there has been another one since. */
  commit(offsets: readonly Omit<CommitOptionsPartition, 'leaderEpoch'>[]): Promise<void> {
    return this.#consumer.commit({ offsets: offsets.map((each) => ({ ...each, leaderEpoch: -1 })) })
  }

  /** Leaves, so that others get its partitions at once, and ends its connections. */
  async leave(): Promise<void> {
    this.#left = true
    const { env, settings } = this.#parts
    const over = new AbortController()
    const late = sleep(env, settings.requestMs, over.signal)
    // Closing leaves the group too, but does not wait for the answer of a broker that is not there.
    const leaving = this.#consumer.leaveGroup() as unknown as Promise<void>
    await Promise.race([leaving.catch(() => {}), late])
    over.abort()
    await Promise.race([this.#consumer.close(true).catch(() => {}), sleep(env, settings.requestMs)])
  }
}
