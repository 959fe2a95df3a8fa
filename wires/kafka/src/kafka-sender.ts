/**
 * Sends events in order per key.
 *
 * A call is cut into rounds: each has at most one record batch for a partition, and a batch is no larger than a broker
 * takes. Rounds go one after the other, and so do calls that have not come together: what is acknowledged of a partition is always the beginning of
 * what was sent. The producer is idempotent, so that a try of its own leaves no double. When a round fails for good the
 * client begins a new producer id; what is sent again then may be there twice, but each event for the first time still
 * in order.
 *
 * An event whose topic can not be had (a name that Kafka does not take, one that may not be made) fails by itself.
 */
import { Producer } from '@platformatic/kafka'
import { isQuadrilleError, QuadrilleError, sleep, type Env, type OutgoingMessage } from 'quadrille'
import { javaPartition } from './java-partition.ts'
import * as failure from './kafka-failure.ts'
import type { KafkaLink } from './kafka-link.ts'
import type { KafkaSettings } from './kafka-options.ts'
import { toRecord, type OutgoingRecord } from './kafka-record.ts'
import type { KafkaTopics } from './kafka-topics.ts'

type Result = QuadrilleError | null

/** A message with its place in the call and its partition. */
interface Placed extends OutgoingRecord {
  readonly index: number
  readonly message: OutgoingMessage
  readonly partition: string
}

/** Why there is no such topic. */
interface NoTopic {
  readonly problem: string
  /** True when waiting does not help: Kafka does not take the name. */
  readonly forever: boolean
}

interface Call {
  readonly messages: readonly OutgoingMessage[]
  readonly resolve: (results: readonly Result[]) => void
  readonly reject: (error: unknown) => void
}

/** What a wire hands to its sender. */
export interface SenderParts {
  readonly settings: KafkaSettings
  readonly env: Env
  readonly topics: KafkaTopics
  readonly link: KafkaLink
}

/** Acknowledged by all replicas that are in sync. */
const acksAll = -1
/** The client takes fewer than 2 tries for "without end". */
const retries = 2
/** The header of a record batch, which counts as part of it. */
const batchOverheadBytes = 61

export class KafkaSender {
  readonly #parts: SenderParts
  #producer: Producer | undefined
  #calls: Call[] = []
  #busy = false
  #closed = false

  constructor(parts: SenderParts) {
    this.#parts = parts
  }

  /** Connects. @throws what the client throws. */
  async open(): Promise<void> {
    await this.#inTime((producer) => producer.metadata({ topics: [], forceUpdate: true }))
  }

  async close(): Promise<void> {
    this.#closed = true
    const producer = this.#producer
    this.#producer = undefined
    await producer?.close(true).catch(() => {})
  }

  /** Whether the broker answers; the reason why not otherwise. */
  async probe(): Promise<string | null> {
    try {
      await this.open()
      this.#parts.link.restored()
      return null
    } catch (error) {
      this.#parts.link.lost(failure.textOf(error))
      return failure.textOf(error)
    }
  }

  /** As `Wire.send`. Calls that come while another one is under way go on together. */
  send(messages: readonly OutgoingMessage[]): Promise<readonly Result[]> {
    return new Promise((resolve, reject) => {
      this.#calls.push({ messages, resolve, reject })
      if (!this.#busy) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#busy = true
    while (this.#calls.length > 0) {
      const calls = this.#calls.splice(0)
      try {
        const results = await this.#send(calls.flatMap(({ messages }) => messages))
        let at = 0
        for (const { messages, resolve } of calls) resolve(results.slice(at, (at += messages.length)))
      } catch (error) {
        for (const { reject } of calls) reject(error)
      }
    }
    this.#busy = false
  }

  async #send(messages: readonly OutgoingMessage[]): Promise<readonly Result[]> {
    const results: Result[] = messages.map(() => null)
    if (messages.length === 0) return results
    const { settings, link } = this.#parts
    const round = new Round(settings.name, results)
    let placed: readonly Placed[]
    try {
      placed = await this.#place(messages, round)
    } catch (error) {
      link.lost(failure.textOf(error))
      throw failure.asWireError(settings.name, error)
    }
    for (const each of roundsOf(placed, settings.messageBytesMax)) {
      const failed = await this.#sendRound(round.toSend(each), round)
      if (failed === undefined) continue
      link.lost(failure.textOf(failed))
      if (!round.isAnythingKnown) throw failure.asWireError(settings.name, failed)
    }
    if (link.problem !== null && round.isClean) link.restored()
    return results
  }

  /** Records with their partitions, but for those that have no topic or are too large: `round` is told of these. */
  async #place(messages: readonly OutgoingMessage[], round: Round): Promise<readonly Placed[]> {
    const { messageBytesMax } = this.#parts.settings
    const topics = messages.map(({ event }) => this.#topicOf(event.type))
    const partitions = await this.#partitionsOf(new Set(topics.filter((topic) => typeof topic === 'string')))
    const placed: Placed[] = []
    for (const [index, message] of messages.entries()) {
      const topic = topics[index]!
      const count = typeof topic === 'string' ? partitions.get(topic)! : topic
      if (typeof topic !== 'string' || typeof count !== 'number') {
        const { problem, forever } = count as NoTopic
        if (forever) round.refused({ index, message }, problem)
        else round.failed([{ index, message }], problem)
        continue
      }
      const { record, bytes } = toRecord(message.event, topic)
      if (bytes > messageBytesMax) {
        round.refused({ index, message }, `it is ${bytes} bytes, more than the limit of ${messageBytesMax}`)
        continue
      }
      const partition = javaPartition(record.key, count)
      placed.push({ index, message, partition: `${topic}:${partition}`, bytes, record: { ...record, partition } })
    }
    return placed
  }

  #topicOf(type: string): string | NoTopic {
    try {
      return this.#parts.settings.topicOf(type)
    } catch (error) {
      return { problem: problemOf(error), forever: true }
    }
  }

  /** How many partitions each topic has, or why there is none. Makes those that are missing. */
  async #partitionsOf(topics: ReadonlySet<string>): Promise<ReadonlyMap<string, number | NoTopic>> {
    const counts = new Map<string, number | NoTopic>()
    const ask = async (names: readonly string[]): Promise<void> => {
      const metadata = await this.#inTime((producer) => producer.metadata({ topics: [...names] }))
      for (const [topic, { partitionsCount }] of metadata.topics) counts.set(topic, partitionsCount)
    }
    try {
      await ask([...topics])
    } catch (error) {
      if (!isOfTopic(error)) throw error
      for (const topic of topics)
        await ask([topic])
          .catch(async (alone: unknown) => {
            if (!failure.isUnknownTopic(alone)) throw alone
            await this.#parts.topics.ensure([topic])
            this.#producer?.clearMetadata()
            await ask([topic])
          })
          .catch((alone: unknown) => {
            if (!isOfTopic(alone)) throw alone
            counts.set(topic, { problem: problemOf(alone), forever: failure.isIllegalTopic(alone) })
          })
    }
    return counts
  }

  /** Sends one batch for each partition. Returns the error when nothing is known of some of them. */
  async #sendRound(items: readonly Placed[], round: Round): Promise<unknown> {
    if (items.length === 0) return undefined
    try {
      await this.#produce(items)
      round.taken()
      return undefined
    } catch (error) {
      if (failure.isUnknownTopic(error)) this.#producer?.clearMetadata()
      const codes = codesOf(failure.produceResponse(error))
      let unknown: unknown
      for (const batch of Map.groupBy(items, ({ partition }) => partition).values()) {
        const code = codes.get(batch[0]!.partition)
        if (code === 0) round.taken()
        else if (code !== undefined && failure.isSizeCode(code) && batch.length > 1) await this.#oneByOne(batch, round)
        else if (code !== undefined && failure.isRefusalCode(code) && batch.length === 1)
          round.refused(batch[0]!, `the broker refuses it: ${failure.textOf(error)}`)
        else {
          round.failed(batch, failure.textOf(error))
          round.isClean = false
          if (code === undefined) unknown = error
        }
      }
      return unknown
    }
  }

  /** The topic takes less than the wire was told: only what is too large by itself is refused. */
  async #oneByOne(batch: readonly Placed[], round: Round): Promise<void> {
    for (const item of batch) await this.#sendRound(round.toSend([item]), round)
  }

  #produce(items: readonly Placed[]): Promise<unknown> {
    const messages = items.map(({ record }) => record)
    return this.#inTime((producer) => producer.send({ messages, acks: acksAll }))
  }

  /** Within twice the time of a request, which leaves room for one more try; a producer that is late is not used again. */
  async #inTime<Value>(act: (producer: Producer) => Promise<Value>): Promise<Value> {
    const { settings, env } = this.#parts
    const { client, requestMs } = settings
    if (this.#closed) throw new QuadrilleError('WIRE_UNREACHABLE', { wire: settings.name, message: 'it is closed' })
    this.#producer ??= new Producer({ ...client, requestTimeout: requestMs, idempotent: true, retries })
    const producer = this.#producer
    const over = new AbortController()
    try {
      const late = sleep(env, 2 * requestMs, over.signal).then(() => {
        if (over.signal.aborted) return null as never
        const message = `no answer within ${2 * requestMs} ms`
        throw new QuadrilleError('WIRE_UNREACHABLE', { wire: settings.name, message })
      })
      return await Promise.race([act(producer), late])
    } catch (error) {
      if (error instanceof QuadrilleError && this.#producer === producer) {
        this.#producer = undefined
        producer.close(true).catch(() => {})
      }
      throw error
    } finally {
      over.abort()
    }
  }
}

type Item = Pick<Placed, 'index' | 'message'>

/** What has become of the messages of one call so far. */
class Round {
  readonly #wire: string
  readonly #results: Result[]
  /** For each key that is held up: the first event that was not taken. */
  readonly #held = new Map<string, Item>()
  isAnythingKnown = false
  /** False when the broker did not take something that it should have taken. */
  isClean = true

  constructor(wire: string, results: Result[]) {
    this.#wire = wire
    this.#results = results
  }

  /** Those whose key is not held up. */
  toSend(items: readonly Placed[]): readonly Placed[] {
    if (this.#held.size === 0) return items
    return items.filter(({ index, message }) => {
      const first = this.#held.get(message.event.key)
      // What came before it does not wait for it, also when it is in a later round.
      const waits = first !== undefined && first.index < index
      if (waits) this.#results[index] = new QuadrilleError('WIRE_SEND_HELD', { behind: first.message.event.id })
      return !waits
    })
  }

  taken(): void {
    this.isAnythingKnown = true
  }

  refused({ index, message: { event } }: Item, problem: string): void {
    this.isAnythingKnown = true
    const { type } = event
    this.#results[index] = new QuadrilleError('WIRE_MESSAGE_REFUSED', { wire: this.#wire, type, problem })
  }

  failed(items: readonly Item[], why: string): void {
    for (const item of items) {
      const { type, key } = item.message.event
      this.#results[item.index] = new QuadrilleError('WIRE_SEND_FAILED', { wire: this.#wire, type, message: why })
      const first = this.#held.get(key)
      if (first === undefined || item.index < first.index) this.#held.set(key, item)
    }
  }
}

/** True for what is about one topic; otherwise the broker as a whole is in trouble. */
const isOfTopic = (error: unknown): boolean =>
  failure.isUnknownTopic(error) || failure.asWireError('', error).code === 'WIRE_INCOMPATIBLE'

function problemOf(error: unknown): string {
  return isQuadrilleError(error, 'WIRE_INCOMPATIBLE') ? error.details.problem : failure.textOf(error)
}

/** Cuts the messages so that each round has at most `bytesMax` for each partition, or one message. */
function roundsOf(placed: readonly Placed[], bytesMax: number): readonly (readonly Placed[])[] {
  const rounds: Placed[][] = []
  const ends = new Map<string, { round: number; bytes: number }>()
  for (const item of placed) {
    const end = ends.get(item.partition) ?? { round: 0, bytes: batchOverheadBytes }
    if (end.bytes + item.bytes > bytesMax && end.bytes > batchOverheadBytes) {
      end.round += 1
      end.bytes = batchOverheadBytes
    }
    end.bytes += item.bytes
    ends.set(item.partition, end)
    ;(rounds[end.round] ??= []).push(item)
  }
  return rounds
}

function codesOf(response: failure.ProduceResponse | undefined): ReadonlyMap<string, number> {
  const codes = new Map<string, number>()
  for (const { name, partitionResponses } of response?.responses ?? [])
    for (const { index, errorCode } of partitionResponses) codes.set(`${name}:${index}`, errorCode)
  return codes
}
