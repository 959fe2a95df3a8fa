/**
 * Publishes to a stream: one inbox for all answers, one timer for all that wait.
 *
 * The client's own `publish` makes two errors with their stack traces, a timer and a copy of the headers for each message,
 * in case it fails: more than half of the sender's time (docs/decisions/19-relay.md).
 */
import { createInbox, type Msg, type MsgHdrs, type NatsConnection } from '@nats-io/transport-node'
import type { Cancel, Env } from 'quadrille'

/** Why the server does not have a message. */
export interface PublishFailure {
  /** The server's code of the error; 0 when there is none. */
  readonly code: number
  readonly message: string
}

/** The code for: nobody listens on the subject. */
export const nobody = 503

interface Waiting {
  readonly answer: (failure: PublishFailure | null) => void
  readonly endsMs: number
}

interface Acknowledgement {
  readonly seq?: number
  readonly error?: { readonly err_code?: number; readonly description?: string }
}

/** What a publisher works with. */
export interface NatsPublisherOptions {
  readonly connection: NatsConnection
  readonly env: Env
  readonly timeoutMs: number
  readonly inboxPrefix: string | undefined
}

export class NatsPublisher {
  readonly #options: NatsPublisherOptions
  readonly #inbox: string
  /** By token, the oldest first. */
  readonly #waiting = new Map<string, Waiting>()
  #published = 0
  #cancel: Cancel | null = null

  constructor(options: NatsPublisherOptions) {
    this.#options = options
    this.#inbox = `${createInbox(options.inboxPrefix)}.`
    options.connection.subscribe(`${this.#inbox}*`, { callback: (error, message) => this.#answered(error, message) })
  }

  /** Resolves with null when the stream has it, otherwise with the reason. Never rejects. */
  publish(subject: string, body: string, headers: MsgHdrs): Promise<PublishFailure | null> {
    const { connection, env, timeoutMs } = this.#options
    return new Promise((answer) => {
      const token = String((this.#published += 1))
      try {
        connection.publish(subject, body, { headers, reply: this.#inbox + token })
      } catch (error) {
        return answer(failureOf(error))
      }
      this.#waiting.set(token, { answer, endsMs: env.elapsed() + timeoutMs })
      this.#cancel ??= env.timer(timeoutMs, () => this.#expire())
    })
  }

  /** Nobody is answered any more. */
  close(): void {
    this.#cancel?.()
    for (const { answer } of this.#waiting.values()) answer({ code: 0, message: 'the connection was closed' })
    this.#waiting.clear()
  }

  #answered(error: Error | null, message: Msg): void {
    if (error) return
    const token = message.subject.slice(this.#inbox.length)
    const waiting = this.#waiting.get(token)
    if (!waiting) return
    this.#waiting.delete(token)
    waiting.answer(failureIn(message))
  }

  #expire(): void {
    const { env, timeoutMs } = this.#options
    this.#cancel = null
    for (const [token, { answer, endsMs }] of this.#waiting) {
      if (endsMs > env.elapsed()) {
        this.#cancel = env.timer(endsMs - env.elapsed(), () => this.#expire())
        return
      }
      this.#waiting.delete(token)
      answer({ code: 0, message: `no answer within ${timeoutMs} ms` })
    }
  }
}

function failureIn(message: Msg): PublishFailure | null {
  if (message.data.length === 0) {
    const code = message.headers?.code ?? 0
    return { code, message: code === nobody ? 'no stream listens' : 'the server has answered nothing' }
  }
  try {
    const { seq, error } = message.json<Acknowledgement>()
    if (error) return { code: error.err_code ?? 0, message: error.description ?? 'the server refuses it' }
    return seq === undefined ? { code: 0, message: 'the answer is not that of a stream' } : null
  } catch (error) {
    return failureOf(error)
  }
}

const failureOf = (error: unknown): PublishFailure => ({
  code: 0,
  message: error instanceof Error ? error.message : String(error),
})
