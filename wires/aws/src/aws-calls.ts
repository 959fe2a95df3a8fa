/** Calls to AWS: each ends after a time, also on a connection that is frozen, and its errors mean something to a wire. */
import { SNSClient } from '@aws-sdk/client-sns'
import { SQSClient } from '@aws-sdk/client-sqs'
import { QuadrilleError, type Env } from 'quadrille'
import type { AwsSettings } from './aws-options.ts'

/** Fetches that wait take a connection each. */
const socketsMax = 200

/** What an error of the SDK carries. */
interface ServiceError {
  readonly name?: string
  readonly message?: string
  readonly code?: string
  readonly $fault?: 'client' | 'server'
  readonly $metadata?: { readonly httpStatusCode?: number }
}

/** Both clients, with a limit of time for every call. */
export class AwsCalls {
  readonly sns: SNSClient
  readonly sqs: SQSClient
  readonly #settings: AwsSettings
  readonly #env: Env
  readonly #closed = new AbortController()

  constructor(settings: AwsSettings, env: Env) {
    const requestHandler = { httpAgent: { maxSockets: socketsMax }, httpsAgent: { maxSockets: socketsMax } }
    const config = { requestHandler, ...settings.client }
    this.sns = new SNSClient(config)
    this.sqs = new SQSClient(config)
    this.#settings = settings
    this.#env = env
  }

  close(): void {
    this.#closed.abort()
    this.sns.destroy()
    this.sqs.destroy()
  }

  /**
   * Makes a call that gets a signal: aborted after its time (by default the option `timeout`), with `stop`, and when the
   * wire is closed. Rejects with what the SDK throws.
   */
  async call<T>(
    make: (signal: AbortSignal) => Promise<T>,
    { stop, timeMs = this.#settings.timeoutMs }: { readonly stop?: AbortSignal; readonly timeMs?: number } = {},
  ): Promise<T> {
    const late = new AbortController()
    const cancel = this.#env.timer(timeMs, () => late.abort())
    try {
      return await make(AbortSignal.any([late.signal, this.#closed.signal, ...(stop ? [stop] : [])]))
    } catch (error) {
      if (late.signal.aborted) throw this.unreachable(`no answer within ${timeMs} ms`, error)
      throw error
    } finally {
      cancel()
    }
  }

  unreachable(message: string, cause?: unknown): QuadrilleError {
    return new QuadrilleError('WIRE_UNREACHABLE', { wire: this.#settings.name, message }, cause)
  }
}

/** The topic or queue is not there (any more). */
export const isMissing = (error: unknown): boolean =>
  /NotFound|NonExistentQueue|QueueDoesNotExist/.test((error as ServiceError).name ?? '')

/** AWS answered, and said that what it was asked was wrong: asking again with the same can not help. */
export function isClientFault(error: unknown): boolean {
  const { $fault, $metadata, name = '' } = error as ServiceError
  if (/Throttl|TooMany|Credential|Token|AccessDenied|Authorization|Signature|Security|KMS/i.test(name)) return false
  return $fault === 'client' && $metadata?.httpStatusCode === 400
}

/** AWS answered at all. */
export const hasAnswered = (error: unknown): boolean => (error as ServiceError).$metadata?.httpStatusCode !== undefined

/** What an error says, in one line. */
export function messageOf(error: unknown): string {
  const { name, message, code } = error as ServiceError
  // A refused connection is an error without a message that holds others.
  return [name && name !== 'Error' ? name : '', message || code || String(error)].filter(Boolean).join(': ')
}
