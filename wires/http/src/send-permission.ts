/** Asks a receiver for its permission to send (CloudEvents webhooks, "abuse protection"), and keeps to the rate it allows. */
import { QuadrilleError, sleep, type Env } from 'quadrille'
import type { Target } from './http-options.ts'

const minuteMs = 60_000

/**
 * The permission of one address. Nothing is sent before it is given; asked once in the life of the wire, and again after
 * a refusal. Where no origin is given, there is nothing to ask.
 */
export class Permission {
  readonly #target: Target
  readonly #env: Env
  #asked: Promise<number | null> | undefined
  #nextAt = 0

  constructor(target: Target, env: Env) {
    this.#target = target
    this.#env = env
  }

  /** Resolves when a request may go. Throws what the request for permission throws. */
  async wait(signal: AbortSignal): Promise<void> {
    const { origin } = this.#target
    if (origin === null) return
    this.#asked ??= this.#ask(origin, signal)
    let gapMs: number | null
    try {
      gapMs = await this.#asked
    } catch (error) {
      this.#asked = undefined
      throw error
    }
    if (gapMs === null) return
    const at = Math.max(this.#nextAt, this.#env.elapsed())
    this.#nextAt = at + gapMs
    const waitMs = at - this.#env.elapsed()
    if (waitMs > 0) await sleep(this.#env, waitMs, signal)
  }

  /** The time between two requests, milliseconds; null for no limit. */
  async #ask(origin: string, signal: AbortSignal): Promise<number | null> {
    const { url, fetch, headers, timeoutMs } = this.#target
    const timeout = new AbortController()
    const cancel = this.#env.timer(timeoutMs, () => timeout.abort(`no answer within ${timeoutMs} ms`))
    try {
      const answer = await fetch(url, {
        method: 'OPTIONS',
        headers: { ...(await headers()), 'webhook-request-origin': origin },
        redirect: 'manual',
        signal: AbortSignal.any([timeout.signal, signal]),
      })
      await answer.arrayBuffer()
      const allowed = answer.headers.get('webhook-allowed-origin')
      if (allowed !== '*' && allowed?.toLowerCase() !== origin.toLowerCase()) {
        const message = `it does not allow ${origin} to send: it answered ${answer.status} to OPTIONS`
        throw new QuadrilleError('WIRE_UNREACHABLE', { wire: url.host, message })
      }
      const rate = Number(answer.headers.get('webhook-allowed-rate') ?? NaN)
      return Number.isFinite(rate) && rate > 0 ? minuteMs / rate : null
    } finally {
      cancel()
    }
  }
}
