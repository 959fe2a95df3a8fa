/**
 * Fetches what the broker holds for some partitions: one request at a time to each broker that leads some of them. It
 * has connections of its own, because a broker answers the requests of a connection one after the other, and one that
 * waits for new messages would hold up heartbeats and commits.
 */
import { Consumer, ListOffsetTimestamps, type ClusterMetadata } from '@platformatic/kafka'
import { sleep, type Env } from 'quadrille'
import * as failure from './kafka-failure.ts'
import type { KafkaSettings } from './kafka-options.ts'
import { partitionId, type Fetched, type Partition } from './kafka-partition.ts'
import { fromRecord } from './kafka-record.ts'

type FetchResponse = Awaited<ReturnType<Consumer['fetch']>>

const waitMsMax = 500
const requestBytesMax = 2 * 1024 * 1024
const partitionBytesMax = 1024 * 1024
const readCommitted = 1
const isControl = 0b100000
const failedMs = { least: 50, most: 2_000 }
const codes = { none: 0, offsetOutOfRange: 1 }

/** What a fetcher asks and tells. */
export interface FetcherEvents {
  /** The partitions for which there is room. */
  wanted(): readonly Partition[]
  /** Something was fetched. */
  fetched(): void
  /** A broker has answered. */
  alive(): void
  lost(why: string): void
  /** The broker does not have the position of this partition any more. */
  outOfRange(partition: Partition): void
  /** A topic is gone, or is another one under the same name. */
  topicsChanged(): void
}

/** What a fetcher needs. */
export interface FetcherParts {
  readonly settings: KafkaSettings
  readonly env: Env
  readonly group: string
  readonly topics: readonly string[]
  readonly events: FetcherEvents
}

/** The first offset that the broker has, and the one behind the last. */
export interface Range {
  readonly start: bigint
  readonly end: bigint
}

export class KafkaFetcher {
  readonly #parts: FetcherParts
  #consumer: Consumer
  #busy = new Set<number>()
  #pumping = false
  #pumpAgain = false
  #closed = false
  #failures = 0

  constructor(parts: FetcherParts) {
    this.#parts = parts
    this.#consumer = this.#connect()
  }

  #connect(): Consumer {
    const { settings, group, topics } = this.#parts
    // It never joins the group.
    const consumer = new Consumer({
      ...settings.client,
      groupId: group,
      requestTimeout: settings.requestMs,
      isolationLevel: readCommitted,
      retries: 0,
    })
    for (const topic of topics) consumer.topics.track(topic)
    return consumer
  }

  /** Begins again with new connections: the old ones look alive and bring nothing. */
  replace(): void {
    const old = this.#consumer
    this.#consumer = this.#connect()
    this.#busy = new Set()
    old.close(true).catch(() => {})
    this.pump()
  }

  async close(): Promise<void> {
    this.#closed = true
    const { env, settings } = this.#parts
    await Promise.race([this.#consumer.close(true).catch(() => {}), sleep(env, settings.requestMs)])
  }

  metadata(forceUpdate = false): Promise<ClusterMetadata> {
    return this.#consumer.metadata({ topics: [...this.#parts.topics], forceUpdate })
  }

  /** What the broker holds of each partition of the topics. */
  async ranges(): Promise<ReadonlyMap<string, Range>> {
    const topics = [...this.#parts.topics]
    const [starts, ends] = [
      await this.#consumer.listOffsets({ topics, timestamp: ListOffsetTimestamps.EARLIEST }),
      await this.#consumer.listOffsets({ topics, timestamp: ListOffsetTimestamps.LATEST }),
    ]
    const ranges = new Map<string, Range>()
    for (const [topic, offsets] of ends)
      for (const [index, end] of offsets.entries())
        ranges.set(partitionId(topic, index), { start: starts.get(topic)?.[index] ?? 0n, end })
    return ranges
  }

  /** Fetches for everything that is wanted and not being fetched. */
  pump(): void {
    this.#pumpAgain = true
    if (this.#pumping) return
    this.#pumping = true
    void this.#pump().finally(() => (this.#pumping = false))
  }

  async #pump(): Promise<void> {
    while (this.#pumpAgain && !this.#closed) {
      this.#pumpAgain = false
      const wanted = this.#parts.events.wanted()
      if (wanted.length === 0) return
      try {
        const metadata = await this.metadata()
        const leaderOf = ({ topic, index }: Partition) => metadata.topics.get(topic)?.partitions[index]?.leader ?? -1
        for (const [node, partitions] of Map.groupBy(wanted, leaderOf)) {
          if (node < 0) this.#consumer.clearMetadata()
          else if (!this.#busy.has(node)) void this.#fetch(node, partitions, metadata)
        }
      } catch (error) {
        await this.#failed(error)
        this.#pumpAgain = true
      }
    }
  }

  async #fetch(node: number, partitions: readonly Partition[], metadata: ClusterMetadata): Promise<void> {
    const { events } = this.#parts
    const busy = this.#busy
    busy.add(node)
    const asked = new Map<string, { readonly partition: Partition; readonly position: bigint }>()
    const topicIds = new Map<string, string>()
    const topics = [...Map.groupBy(partitions, ({ topic }) => topic)].map(([topic, some]) => {
      const topicId = metadata.topics.get(topic)!.id
      topicIds.set(topicId, topic)
      return { topicId, partitions: some.map((partition) => this.#ask(partition, asked)) }
    })
    try {
      const response = await this.#consumer.fetch({
        node,
        topics,
        minBytes: 1,
        maxBytes: requestBytesMax,
        maxWaitTime: Math.min(waitMsMax, this.#parts.settings.requestMs / 2),
      })
      if (this.#closed || busy !== this.#busy) return
      this.#failures = 0
      events.alive()
      if (take(response, asked, topicIds)) events.fetched()
    } catch (error) {
      if (this.#closed || busy !== this.#busy) return
      this.#tellRanges(error, asked, topicIds)
      await this.#failed(error)
    }
    busy.delete(node)
    this.pump()
  }

  #ask(partition: Partition, asked: Map<string, { partition: Partition; position: bigint }>) {
    asked.set(partition.id, { partition, position: partition.position })
    return {
      partition: partition.index,
      fetchOffset: partition.position,
      partitionMaxBytes: partitionBytesMax,
      currentLeaderEpoch: -1,
      lastFetchedEpoch: -1,
    }
  }

  #tellRanges(
    error: unknown,
    asked: ReadonlyMap<string, { readonly partition: Partition }>,
    topicIds: ReadonlyMap<string, string>,
  ): void {
    for (const { topicId, partitions } of fetchResponse(error)?.responses ?? [])
      for (const { partitionIndex, errorCode } of partitions) {
        const found = asked.get(partitionId(topicIds.get(topicId) ?? '', partitionIndex))
        if (found && errorCode === codes.offsetOutOfRange) this.#parts.events.outOfRange(found.partition)
      }
  }

  async #failed(error: unknown): Promise<void> {
    const { env, events } = this.#parts
    if (this.#closed) return
    this.#consumer.clearMetadata()
    if (failure.isUnknownTopic(error)) events.topicsChanged()
    else if (fetchResponse(error) === undefined) events.lost(failure.textOf(error))
    const waitMs = Math.min(failedMs.least * 2 ** this.#failures, failedMs.most)
    this.#failures += 1
    await sleep(env, waitMs * (0.5 + env.random()))
  }
}

/** Puts what came into the partitions; true when there was something. */
function take(
  response: FetchResponse,
  asked: ReadonlyMap<string, { readonly partition: Partition; readonly position: bigint }>,
  topicIds: ReadonlyMap<string, string>,
): boolean {
  let anything = false
  for (const { topicId, partitions } of response.responses) {
    const topic = topicIds.get(topicId)
    for (const { partitionIndex, records } of topic === undefined ? [] : partitions) {
      const found = asked.get(partitionId(topic!, partitionIndex))
      // A partition that was moved meanwhile asks again; one that was not asked for lingers in the session of the broker.
      if (!found || !records?.length || found.partition.position !== found.position || !found.partition.canFetch)
        continue
      const messages: Fetched[] = []
      for (const batch of records) {
        if ((batch.attributes & isControl) !== 0) continue
        for (const record of batch.records) {
          const offset = batch.firstOffset + BigInt(record.offsetDelta)
          if (offset >= found.position)
            messages.push({ offset, bytes: record.length, message: fromRecord(record, found.partition.channel) })
        }
      }
      const last = records.at(-1)!
      found.partition.take(messages, last.firstOffset + BigInt(last.lastOffsetDelta) + 1n)
      anything = true
    }
  }
  return anything
}

function fetchResponse(error: unknown): FetchResponse | undefined {
  const { response, errors } = (error ?? {}) as { response?: FetchResponse; errors?: readonly unknown[] }
  if (response !== undefined && 'sessionId' in response) return response
  for (const each of errors ?? []) {
    const found = fetchResponse(each)
    if (found !== undefined) return found
  }
  return undefined
}
