/**
 * Sends events in order per key.
 *
 * A call is cut into rounds: each has at most one record batch for a partition, and a batch is no larger than a broker
 * takes. Rounds go one after the other, and so do calls that have not come together: what is acknowledged of a partition is always the beginning of
 * what was sent. The producer is idempotent, so that a try of its own leaves no double. When a round fails for good the
 * client begins a new producer id; what is sent again then may be there twice, but each event for the first time still
 * in order.
 */
import { Producer } from '@platformatic/kafka'
import { QuadrilleError, sleep, type Env, type OutgoingMessage } from 'quadrille'
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
    let placed: readonly Placed[]
    try {
      placed = await this.#place(messages, results)
    } catch (error) {
      link.lost(failure.textOf(error))
      throw failure.asWireError(settings.name, error)
    }
    const round = new Round(settings.name, results)
    for (const each of roundsOf(placed, settings.messageBytesMax)) {
      const failed = await this.#sendRound(round.toSend(each), round)
      if (failed === undefined) continue
      link.lost(failure.textOf(failed))
      if (!round.isAnythingKnown) throw failure.asWireError(settings.name, failed)
    }
    if (link.problem !== null && round.failures === 0) link.restored()
    return results
  }

  /** Records with their partitions, but for those that are too large. */
  async #place(messages: readonly OutgoingMessage[], results: Result[]): Promise<readonly Placed[]> {
    const { name, topicOf, messageBytesMax } = this.#parts.settings
    const topics = messages.map(({ event }) => topicOf(event.type))
    const partitions = await this.#partitionsOf([...new Set(topics)])
    const placed: Placed[] = []
    for (const [index, message] of messages.entries()) {
      const topic = topics[index]!
      const { record, bytes } = toRecord(message.event, topic)
      if (bytes > messageBytesMax) {
        const problem = `it is ${bytes} bytes, more than the limit of ${messageBytesMax}`
        results[index] = refusal(name, message, problem)
        continue
      }
      const partition = javaPartition(record.key, partitions.get(topic)!)
      placed.push({ index, message, partition: `${topic}:${partition}`, bytes, record: { ...record, partition } })
    }
    return placed
  }

  /** How many partitions each topic has. Makes those that have gone. */
  async #partitionsOf(topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const ask = () => this.#inTime((producer) => producer.metadata({ topics: [...topics] }))
    const metadata = await ask().catch(async (error: unknown) => {
      if (!failure.isUnknownTopic(error)) throw error
      await this.#parts.topics.ensure(topics)
      this.#producer?.clearMetadata()
      return ask()
    })
    return new Map([...metadata.topics].map(([topic, { partitionsCount }]) => [topic, partitionsCount]))
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

/** What has become of the messages of one call so far. */
class Round {
  readonly #wire: string
  readonly #results: Result[]
  /** For each key that is held up: the id of the event that it waits for. */
  readonly #held = new Map<string, string>()
  isAnythingKnown = false
  failures = 0

  constructor(wire: string, results: Result[]) {
    this.#wire = wire
    this.#results = results
    this.isAnythingKnown = results.some((result) => result !== null)
  }

  /** Those whose key is not held up. */
  toSend(items: readonly Placed[]): readonly Placed[] {
    if (this.#held.size === 0) return items
    return items.filter(({ index, message }) => {
      const behind = this.#held.get(message.event.key)
      if (behind !== undefined) this.#results[index] = new QuadrilleError('WIRE_SEND_HELD', { behind })
      return behind === undefined
    })
  }

  taken(): void {
    this.isAnythingKnown = true
  }

  refused({ index, message }: Placed, problem: string): void {
    this.isAnythingKnown = true
    this.#results[index] = refusal(this.#wire, message, problem)
  }

  failed(items: readonly Placed[], why: string): void {
    this.failures += items.length
    for (const { index, message } of items) {
      const { type, key, id } = message.event
      this.#results[index] = new QuadrilleError('WIRE_SEND_FAILED', { wire: this.#wire, type, message: why })
      if (!this.#held.has(key)) this.#held.set(key, id)
    }
  }
}

const refusal = (wire: string, { event }: OutgoingMessage, problem: string): QuadrilleError =>
  new QuadrilleError('WIRE_MESSAGE_REFUSED', { wire, type: event.type, problem })

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
