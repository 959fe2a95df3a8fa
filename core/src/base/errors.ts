/** The error class of this library, and how to recognise it. The list of codes is in error-catalogue.ts. */
import { errorCatalogue, type ErrorSpec } from './error-catalogue.ts'

/** Every code an error of this library can carry. `docs/errors.md` has a section for each. */
export type ErrorCode = keyof typeof errorCatalogue

/** The facts an error of the given code carries in `details`. */
export type ErrorDetails<Code extends ErrorCode> =
  (typeof errorCatalogue)[Code] extends ErrorSpec<infer Details> ? Details : never

const brand: unique symbol = Symbol.for('quadrille.error') as never

/**
 * The only error class this library throws on purpose. Branch on `code`, never on the message.
 *
 * Recognise one with {@link isQuadrilleError}: `instanceof` fails when two copies of the package are installed.
 */
export class QuadrilleError<Code extends ErrorCode = ErrorCode> extends Error {
  readonly [brand] = true
  /** What happened, as a stable code. */
  readonly code: Code
  /** The facts: where it happened and with which values. */
  readonly details: ErrorDetails<Code>
  /** True when repeating the same call later can succeed without anyone changing anything. */
  readonly retryable: boolean

  constructor(code: Code, details: ErrorDetails<Code>, cause?: unknown) {
    const entry = errorCatalogue[code] as unknown as ErrorSpec<ErrorDetails<Code>>
    super(`${code}: ${entry.what(details)}. ${entry.fix(details)}`, cause === undefined ? undefined : { cause })
    this.name = 'QuadrilleError'
    this.code = code
    this.details = details
    this.retryable = entry.retryable
  }
}

/** Narrows `value` to a {@link QuadrilleError}, and to one code when `code` is given. */
export function isQuadrilleError<Code extends ErrorCode = ErrorCode>(
  value: unknown,
  code?: Code,
): value is QuadrilleError<Code> {
  if (typeof value !== 'object' || value === null || !(brand in value)) return false
  return code === undefined || (value as QuadrilleError).code === code
}

const nonRetryableBrand: unique symbol = Symbol.for('quadrille.nonRetryable') as never

/**
 * Thrown by a handler or a `call` to say: trying again can not help. The event goes to the dead letters at once.
 *
 * @example
 * ```ts run
 * import { NonRetryable, isNonRetryable } from 'quadrille'
 *
 * const error = new NonRetryable('card number is malformed')
 * isNonRetryable(error) // => true
 * ```
 */
export class NonRetryable extends Error {
  readonly [nonRetryableBrand] = true
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'NonRetryable'
  }
}

/** True for a {@link NonRetryable}, also one from another copy of the package. */
export function isNonRetryable(value: unknown): value is NonRetryable {
  return typeof value === 'object' && value !== null && nonRetryableBrand in value
}

/** The sentence of an error, whatever was thrown. */
export function messageOf(error: unknown): string {
  // Node wraps the failures of all addresses of a host, in an error without a sentence.
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}

/**
 * Checks what this library itself guarantees. A failure is a bug of the library, never of its user.
 *
 * @throws QuadrilleError `INTERNAL` when `condition` is false.
 */
export function invariant(condition: unknown, sentence: string): asserts condition {
  if (!condition) throw new QuadrilleError('INTERNAL', { sentence })
}
