/** From what a handler returned to what is appended: checked, numbered, and put into its conversation. */
import { Buffer } from 'node:buffer'
import { QuadrilleError } from '../base/index.ts'
import { nameCharsMax, textProblem } from '../base/kept-text.ts'
import { isEmitted, type AnyContract, type Emitted, type EventRecord, type NewEvent } from '../contracts/index.ts'
import { kindOf, preview } from '../contracts/schema-check.ts'
import type { Returned } from '../service/index.ts'
import type { Settings } from './settings.ts'
import type { TraceContext } from './tracing.ts'

/** Who emits, and because of what. */
export interface Emitter {
  /** For messages: `orders/order.created`, or `publish()`. */
  readonly where: string
  readonly source: string
  readonly reaction: string | null
  /** The event that was handled; null from outside a reaction. */
  readonly cause: EventRecord | null
  /** When several were handled together: the cause of what is emitted for a key. */
  readonly causes?: ReadonlyMap<string, EventRecord>
  /** What may be emitted; null for anything. */
  readonly declared: readonly AnyContract[] | null
  readonly correlationId?: string | undefined
  readonly causationId?: string | undefined
  /** Of the span in which a handler has emitted it. */
  readonly trace?: TraceContext | undefined
}

/** More would be a mistake in the handler rather than a step of a conversation. */
const returnedMax = 1_000

/**
 * What a handler returned as a list.
 *
 * @throws QuadrilleError `EVENT_FOREIGN_VALUE` for what no contract has made.
 */
export function emittedList(returned: Returned, where: string): readonly Emitted[] {
  if (returned === undefined || returned === null) return []
  const list = Array.isArray(returned) ? (returned as readonly Emitted[]) : [returned as Emitted]
  for (const value of list) {
    if (!isEmitted(value)) throw new QuadrilleError('EVENT_FOREIGN_VALUE', { reaction: where, value: shown(value) })
  }
  if (list.length > returnedMax)
    throw new QuadrilleError('EVENT_FOREIGN_VALUE', {
      reaction: where,
      value: `${list.length} events at once, the limit is ${returnedMax}`,
    })
  return list
}

function shown(value: unknown): string {
  const { contract, type } = (value ?? {}) as { contract?: unknown; type?: unknown }
  if (typeof value === 'function' && contract === value)
    return `the contract ${String(type)} itself; call it, as in ${String(type)}({ … })`
  if (Array.isArray(value)) return 'a list inside of the list'
  if (value instanceof Promise) return 'a Promise; await it'
  if (typeof value === 'function') return kindOf(value)
  return typeof value === 'object' && value !== null
    ? `an object with ${Object.keys(value).join(', ')}`
    : preview(value)
}

/**
 * Makes the events to append.
 *
 * @throws QuadrilleError `EVENT_UNDECLARED` or `EVENT_TOO_LARGE`; `OPTION_INVALID` for a conversation or cause that can not be kept.
 */
export function newEvents(
  emitted: readonly Emitted[],
  emitter: Emitter,
  settings: Pick<Settings, 'env' | 'eventBytesMax' | 'traceContext'>,
): readonly NewEvent[] {
  checkGiven('correlationId', emitter.correlationId)
  checkGiven('causationId', emitter.causationId)
  let first: string | undefined
  return emitted.map((one) => {
    checkDeclared(one, emitter)
    const cause = emitter.causes?.get(one.key) ?? emitter.cause
    const data = JSON.stringify(one.payload)
    checkSize(one.type, data, settings.eventBytesMax)
    const id = one.id ?? settings.env.uuid()
    first ??= id
    const correlationId = emitter.correlationId ?? cause?.correlationId ?? first
    const { source } = emitter
    const trace = emitter.trace ?? settings.traceContext?.({ id, type: one.type, source, correlationId })
    return {
      id,
      type: one.type,
      version: one.version,
      source,
      key: one.key,
      correlationId,
      causationId: emitter.causationId ?? cause?.id ?? null,
      reaction: emitter.reaction,
      hops: cause === null ? 0 : cause.hops + 1,
      time: settings.env.now(),
      traceparent: trace?.traceparent ?? cause?.traceparent ?? null,
      tracestate: trace === undefined ? (cause?.tracestate ?? null) : (trace.tracestate ?? null),
      data,
      extensions: null,
    }
  })
}

function checkGiven(option: string, value: string | undefined): void {
  const problem = value === undefined ? undefined : textProblem(value, nameCharsMax)
  if (problem === undefined) return
  const expected = `a string of 1 to ${nameCharsMax} characters (this one ${problem})`
  throw new QuadrilleError('OPTION_INVALID', { option, value: JSON.stringify(value), expected })
}

function checkDeclared({ type }: Emitted, { declared, where }: Emitter): void {
  if (declared === null || declared.some((contract) => contract.type === type)) return
  throw new QuadrilleError('EVENT_UNDECLARED', {
    reaction: where,
    type,
    declared: declared.map((contract) => contract.type),
  })
}

/** @throws QuadrilleError `EVENT_TOO_LARGE`. */
export function checkSize(type: string, data: string, limitBytes: number): void {
  // A UTF-16 unit is at most 3 bytes of UTF-8, so most events need not be counted.
  if (data.length * 3 <= limitBytes) return
  const sizeBytes = Buffer.byteLength(data)
  if (sizeBytes > limitBytes) throw new QuadrilleError('EVENT_TOO_LARGE', { type, sizeBytes, limitBytes })
}
