/**
 * A mapping of foreign messages runs before anything of them is in the ledger. When it takes its process with it (out of memory,
 * a native crash, an endless loop), the broker gives the same messages to the next process, which would die as well. So what is
 * about to be mapped is marked in the ledger first, as ../caution.ts does it for events:
 *
 *     unmarked ------ marked with the others of its delivery, mapped --appended--> unmarked, in the same transaction
 *     found marked, by another process -- marked alone, mapped alone --appended--> unmarked, in the same transaction
 *     found marked alone, by another  -- counted, marked alone again --the third--> dead letter with its bytes
 *
 * A process that is only slow looks like one that has died. Then a message is taken alone without need; to become a dead letter
 * it would have to outlast three processes that had nothing else in hand.
 */
import { createHash } from 'node:crypto'
import { QuadrilleError } from '../../base/index.ts'
import type { Ledger, LedgerRecord, RecordKey } from '../../ledger/index.ts'
import type { IncomingMessage } from '../../wire/index.ts'
import type { Settings } from '../settings.ts'
import { receiveScope } from './intake.ts'

const kind = 'mapping'
const deathsMax = 3
/** After that a mark says nothing about why its process ended. Longer than supervisors wait between restarts. */
const keptMs = 15 * 60_000
const marksMax = 1_000

/** What a process was about to map. */
interface Mark {
  readonly by: string
  /** What identifies the messages: the broker's own numbers are not the same everywhere. */
  readonly digests: readonly string[]
  /** Set when it was the only one: so many processes have died of it before. */
  readonly deaths?: number
}

/** Messages that are taken together. */
export interface Part {
  readonly messages: readonly IncomingMessage[]
  /** Set for one that is not to be mapped any more. */
  readonly refused?: QuadrilleError<'PROCESS_DIED'>
  /** The mark that ends when they are taken. */
  readonly mark: RecordKey | null
}

/** What marking needs. */
export interface MappingMarksContext {
  readonly settings: Settings
  readonly ledger: Ledger
  /** Durable on return. */
  readonly save: (record: LedgerRecord) => Promise<void>
}

/** A process that has died, or is slow, and how many have died before it and with it when the message was alone in hand. */
interface Found {
  readonly by: string
  readonly deaths: number
}

export class MappingMarks {
  readonly #context: MappingMarksContext

  constructor(context: MappingMarksContext) {
    this.#context = context
  }

  /**
   * The parts in which to take a delivery, one after the other and in its order. Each is marked when it is handed out.
   *
   * @param isMapped - Whether a mapping runs for a message. Without one that does nothing is read or written.
   */
  async *parts(
    messages: readonly IncomingMessage[],
    isMapped: (message: IncomingMessage) => boolean,
  ): AsyncGenerator<Part> {
    if (!messages.some(isMapped)) return yield { messages, mark: null }
    const found = await this.#foundMarked()
    const digests = messages.map((message) => (isMapped(message) ? digestOf(message) : null))
    let from = 0
    for (const [at, digest] of digests.entries()) {
      const deaths = digest === null ? undefined : found.get(digest)
      if (deaths === undefined) continue
      if (from < at) yield this.#together(messages.slice(from, at), digests.slice(from, at))
      yield this.#alone(messages[at]!, digest!, deaths)
      from = at + 1
    }
    if (from < messages.length) yield this.#together(messages.slice(from), digests.slice(from))
  }

  /** What other processes were about to map. */
  async #foundMarked(): Promise<ReadonlyMap<string, Found>> {
    const { ledger, settings } = this.#context
    const records = await ledger.query({ scope: receiveScope, kind, limit: marksMax })
    const found = new Map<string, Found>()
    for (const { body, expires } of records) {
      const { by, digests, deaths } = JSON.parse(body) as Mark
      if (by === settings.instance || expires! <= settings.env.now()) continue
      const counted = deaths === undefined ? 0 : deaths + 1
      for (const digest of digests)
        if (counted >= (found.get(digest)?.deaths ?? 0)) found.set(digest, { by, deaths: counted })
    }
    return found
  }

  async #together(messages: readonly IncomingMessage[], digests: readonly (string | null)[]): Promise<Part> {
    const mapped = digests.filter((digest) => digest !== null)
    if (mapped.length === 0) return { messages, mark: null }
    const { env, instance } = this.#context.settings
    return { messages, mark: await this.#mark(env.uuid(), { by: instance, digests: mapped }) }
  }

  async #alone(message: IncomingMessage, digest: string, { by, deaths }: Found): Promise<Part> {
    const id = `alone|${digest}`
    if (deaths < deathsMax) {
      const mark = { by: this.#context.settings.instance, digests: [digest], deaths }
      return { messages: [message], mark: await this.#mark(id, mark) }
    }
    const refused = new QuadrilleError('PROCESS_DIED', { reaction: `the mapping of ${message.channel}`, process: by })
    return { messages: [message], refused, mark: { scope: receiveScope, kind, id } }
  }

  async #mark(id: string, mark: Mark): Promise<RecordKey> {
    const key = { scope: receiveScope, kind, id }
    const expires = this.#context.settings.env.now() + keptMs
    const body = JSON.stringify(mark)
    await this.#context.save({ ...key, partition: -1, lane: null, seq: 0, due: null, expires, body })
    return key
  }
}

const digestOf = ({ channel, body }: IncomingMessage): string =>
  createHash('sha256').update(`${channel}\n`).update(body).digest('hex')
