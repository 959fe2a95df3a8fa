/**
 * The sending half: posts events to one address.
 *
 * What an answer means for an event: 2xx, it is taken. 400, 413 and 422: never as it is, it is refused. 404: nobody
 * receives it (yet). Everything else, and no answer: later again; 429 and 503 may say when, 410 is asked again rarely.
 * The status alone decides: a body that can not be read changes nothing.
 * A request that ran into the timeout may have arrived: the receiving ledger drops what comes twice.
 */
import { cloudEventText, QuadrilleError, sendByKey, type OutgoingMessage, type WireContext } from 'quadrille'
import { encodeBatch, encodeBinary, encodeStructured, unfitHeader, type Encoded } from './http-binding.ts'
import type { Target } from './http-options.ts'
import { Permission } from './send-permission.ts'
import { signWebhook, webhookId } from './webhook-signature.ts'

type Result = QuadrilleError | null

const refusedStatus = new Set([400, 413, 422])
/** Gone, too many requests, and what a gateway or a service that can not work now says. */
const awayStatus = new Set([410, 429, 502, 503, 504])
/** How long an address that is gone is left alone. */
const gonePauseMs = 300_000
/** The longest pause that a receiver can ask for. */
const pauseMsMax = 3_600_000
/** How much of an answer is told. */
const answerCharsMax = 300
/** How much of an answer is read, so that its connection can be used again; one that says more loses it. */
const answerBytesMax = 65_536

/** What the sending half has seen, for `health()`. */
export interface TargetFacts {
  sent: number
  failed: number
  refused: number
  /** Why the last request failed; null when it did not. */
  problem: string | null
}

/** What counts of an answer. */
interface Answer {
  readonly status: number
  readonly retryAfter: string | null
  /** The status, and the beginning of the body where it is of interest. */
  readonly said: string
}

/** Posts events to the address of a wire. */
export class WebhookTarget {
  readonly facts: TargetFacts = { sent: 0, failed: 0, refused: 0, problem: null }
  readonly #wire: string
  readonly #target: Target
  readonly #context: WireContext
  readonly #permission: Permission
  readonly #closed = new AbortController()
  readonly #waiting: (() => void)[] = []
  #running = 0
  #pausedUntil = 0

  constructor(wire: string, target: Target, context: WireContext) {
    this.#wire = wire
    this.#target = target
    this.#context = context
    this.#permission = new Permission(target, context.env)
  }

  close(): void {
    this.#closed.abort()
  }

  async send(messages: readonly OutgoingMessage[]): Promise<readonly Result[]> {
    const unreachable = new Set<QuadrilleError>()
    const post = (batch: readonly OutgoingMessage[], encoded: Encoded) => this.#post(batch, encoded, unreachable)
    const single = (message: OutgoingMessage) => this.#sendOne(message, post)
    const results =
      this.#target.mode === 'batch'
        ? await this.#sendBatches(messages, post, single)
        : await sendByKey(messages, single)
    const heard = results.some(
      (error) => error === null || !(unreachable.has(error) || error.code === 'WIRE_SEND_HELD'),
    )
    if (!heard && unreachable.size > 0) throw [...unreachable][0]!
    return results
  }

  async #sendOne(message: OutgoingMessage, post: Post): Promise<Result> {
    const encoded = this.#target.mode === 'binary' ? encodeBinary(message.event) : encodeStructured(message.event)
    const header = unfitHeader(encoded)
    if (header !== undefined) return this.#unfit(message, `${JSON.stringify(header)} can be no header`)
    if (encoded.body.length <= this.#target.bodyBytesMax) return post([message], encoded)
    return this.#tooLarge(message, encoded.body.length)
  }

  #tooLarge(message: OutgoingMessage, length: number): QuadrilleError {
    return this.#unfit(message, `its body has ${length} bytes, more than ${this.#target.bodyBytesMax}`)
  }

  #unfit(message: OutgoingMessage, problem: string): QuadrilleError {
    this.facts.refused += 1
    return new QuadrilleError('WIRE_MESSAGE_REFUSED', { wire: this.#wire, type: message.event.type, problem })
  }

  /** One request after the other, so that every key stays in order: other calls have other keys. What is refused as a whole is sent one by one. */
  async #sendBatches(
    messages: readonly OutgoingMessage[],
    post: Post,
    single: (message: OutgoingMessage) => Promise<Result>,
  ): Promise<readonly Result[]> {
    const results = new Map<OutgoingMessage, Result>()
    let stopped: Result = null
    for (const { batch, texts } of this.#batches(messages, results)) {
      if (stopped) {
        for (const message of batch) results.set(message, stopped)
        continue
      }
      const error = await post(batch, encodeBatch(texts))
      const one = error && (!error.retryable || error.code === 'WIRE_UNROUTABLE') && batch.length > 1
      const each = one ? await sendByKey(batch, single) : batch.map(() => error)
      batch.forEach((message, index) => results.set(message, each[index]!))
      stopped = each.find((result) => result?.retryable) ?? null
    }
    return messages.map((message) => results.get(message)!)
  }

  *#batches(messages: readonly OutgoingMessage[], results: Map<OutgoingMessage, Result>) {
    let batch: OutgoingMessage[] = []
    let texts: string[] = []
    let size = 2
    for (const message of messages) {
      const text = cloudEventText(message.event)
      const length = Buffer.byteLength(text) + 1
      if (length + 2 > this.#target.bodyBytesMax) {
        results.set(message, this.#tooLarge(message, length))
        continue
      }
      if (batch.length === this.#target.batchMax || size + length > this.#target.bodyBytesMax) {
        yield { batch, texts }
        batch = []
        texts = []
        size = 2
      }
      batch.push(message)
      texts.push(text)
      size += length
    }
    if (batch.length > 0) yield { batch, texts }
  }

  async #post(batch: readonly OutgoingMessage[], encoded: Encoded, unreachable: Set<QuadrilleError>): Promise<Result> {
    await this.#enter()
    try {
      const { env } = this.#context
      const { type } = batch[0]!.event
      const first = [...unreachable][0]
      if (first) return first
      const pauseMs = this.#pausedUntil - env.elapsed()
      let failure: QuadrilleError
      if (pauseMs > 0) failure = this.#away(`the receiver asked to wait another ${Math.ceil(pauseMs / 1000)} s`)
      else {
        try {
          await this.#permission.wait(this.#closed.signal)
          const answer = await this.#request(batch, encoded)
          if (!awayStatus.has(answer.status)) return this.#read(type, answer, batch.length)
          failure = this.#asksToWait(answer)
        } catch (error) {
          failure = this.#unreachable(error)
        }
      }
      unreachable.add(failure)
      return failure
    } finally {
      this.#leave()
    }
  }

  async #request(batch: readonly OutgoingMessage[], { headers, body }: Encoded): Promise<Answer> {
    const { env } = this.#context
    const target = this.#target
    const timeout = new AbortController()
    const cancel = env.timer(target.timeoutMs, () => timeout.abort(`no answer within ${target.timeoutMs} ms`))
    try {
      const id = webhookId(batch.map(({ dedupeId }) => dedupeId).join(' '))
      const timestamp = Math.floor(env.now() / 1000)
      const own = await target.headers()
      const signature = target.keys.length > 0 ? signWebhook(target.keys, { id, timestamp, body }) : null
      const signed = { 'webhook-timestamp': String(timestamp), 'webhook-signature': signature ?? '' }
      const answer = await target.fetch(target.url, {
        method: 'POST',
        headers: { ...own, ...headers, 'webhook-id': id, ...(signature ? signed : {}) },
        body,
        redirect: 'manual',
        signal: AbortSignal.any([timeout.signal, this.#closed.signal]),
      })
      // Under the same timeout. What was taken is taken, and does not wait for it.
      const reading = beginningOf(answer).finally(cancel)
      const text = answer.ok ? '' : await reading
      const said = `it answered ${answer.status}${text ? `: ${text}` : ''}`
      return { status: answer.status, retryAfter: answer.headers.get('retry-after'), said }
    } catch (error) {
      cancel()
      throw error
    }
  }

  #read(type: string, { status, said: message }: Answer, events: number): Result {
    if (status >= 200 && status < 300) {
      this.facts.sent += events
      this.#reached()
      return null
    }
    if (refusedStatus.has(status)) {
      this.#reached()
      this.facts.refused += events
      return new QuadrilleError('WIRE_MESSAGE_REFUSED', { wire: this.#wire, type, problem: message })
    }
    if (status === 404) {
      this.facts.problem = message
      return new QuadrilleError('WIRE_UNROUTABLE', { wire: this.#wire, type })
    }
    return this.#failed(type, message)
  }

  #asksToWait({ status, retryAfter, said }: Answer): QuadrilleError {
    const { env } = this.#context
    const isGone = status === 410
    const pauseMs = isGone ? gonePauseMs : retryAfterMs(retryAfter, env.now())
    if (pauseMs > 0) this.#pausedUntil = env.elapsed() + Math.min(pauseMs, pauseMsMax)
    const gone = isGone ? '; it is gone: take this wire out of start() when that is meant' : ''
    return this.#away(said + gone)
  }

  #failed(type: string, message: string): QuadrilleError {
    this.facts.failed += 1
    this.facts.problem = message
    return new QuadrilleError('WIRE_SEND_FAILED', { wire: this.#wire, type, message })
  }

  #unreachable(error: unknown): QuadrilleError {
    const { cause } = (error ?? {}) as { cause?: unknown }
    const reason = cause instanceof Error ? cause : error
    return this.#away(reason instanceof Error ? reason.message || reason.name : String(reason), error)
  }

  #away(message: string, cause?: unknown): QuadrilleError {
    if (this.facts.problem === null) this.#context.notice({ kind: 'lost', service: null, why: message })
    this.facts.failed += 1
    this.facts.problem = message
    return new QuadrilleError('WIRE_UNREACHABLE', { wire: this.#wire, message }, cause)
  }

  #reached(): void {
    if (this.facts.problem !== null) this.#context.notice({ kind: 'restored', service: null, why: 'it answers again' })
    this.facts.problem = null
  }

  async #enter(): Promise<void> {
    if (this.#running >= this.#target.concurrency) await new Promise<void>((go) => this.#waiting.push(go))
    else this.#running += 1
  }

  /** The place goes to whoever waits longest. */
  #leave(): void {
    const next = this.#waiting.shift()
    if (next) next()
    else this.#running -= 1
  }
}

/** The beginning of the body, as far as it can be read. Never rejects. */
async function beginningOf({ body }: Response): Promise<string> {
  const decoder = new TextDecoder()
  let text = ''
  let size = 0
  try {
    for await (const part of (body ?? []) as AsyncIterable<Uint8Array>) {
      if (text.length < answerCharsMax) text += decoder.decode(part, { stream: true })
      size += part.length
      if (size > answerBytesMax) break
    }
  } catch {
    // The status has said what counts.
  }
  return text.slice(0, answerCharsMax)
}

type Post = (batch: readonly OutgoingMessage[], encoded: Encoded) => Promise<Result>

/** The wait that `retry-after` asks for, as seconds or as a date; 0 for none. */
export function retryAfterMs(value: string | null, nowMs: number): number {
  if (value === null) return 0
  if (/^\d+$/.test(value.trim())) return Number(value) * 1000
  const at = Date.parse(value)
  return Number.isNaN(at) ? 0 : Math.max(0, at - nowMs)
}
