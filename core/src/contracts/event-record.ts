/** Events as a ledger holds them, and how a reader gets their data. */
import { messageOf, QuadrilleError } from '../base/errors.ts'
import { checkValue } from './schema-check.ts'
import type { AnyContract } from './event-contract.ts'

/** An event about to be appended. All times are milliseconds since 1970. */
export interface NewEvent {
  /** Unique in the ledger; a UUIDv7 when made here, anything up to 200 characters when received. */
  readonly id: string
  readonly type: string
  readonly version: number
  /** The service that emitted it (CloudEvents `source`). */
  readonly source: string
  /** What orders and correlates (CloudEvents `partitionkey`). */
  readonly key: string
  /** The conversation it belongs to: the id of the event that started it, never overwritten. */
  readonly correlationId: string
  /** The id of the event that was being handled when this one was emitted; null for the first of a conversation. */
  readonly causationId: string | null
  /** The reaction that emitted it; null when it was published from outside any reaction. */
  readonly reaction: string | null
  /** How many events precede it in its chain of causes; 0 for the first of a conversation. */
  readonly hops: number
  /** When it was emitted. */
  readonly time: number
  readonly traceparent: string | null
  readonly tracestate: string | null
  /** The payload as JSON text, exactly as sent. */
  readonly data: string
  /** Further CloudEvents attributes of a received event, as JSON text; null for none. */
  readonly extensions: string | null
}

/** An event in a ledger. */
export interface EventRecord extends NewEvent {
  /** Its place in the ledger's log; a later commit never gets a smaller one that a reader could miss. */
  readonly position: number
}

/** The number of virtual partitions of every ledger: keys are spread over them, processes lease them. */
export const partitionCount = 16

/** The virtual partition of a key, 0 to 15 (FNV-1a, 32 bits, over UTF-16 units). */
export function partitionOf(key: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  return (hash ^ (hash >>> 15)) & (partitionCount - 1)
}

/**
 * What a reader with this contract gets from an event: parsed, validated by the schema of its own version, brought up
 * to the latest version, and frozen (objects and arrays; not instances of classes, such as a Date that a schema makes),
 * because several reactions share it.
 *
 * @throws QuadrilleError `EVENT_UNDECODABLE`, `EVENT_VERSION_UNKNOWN`, `EVENT_INVALID`, `UPCAST_FAILED` or, for an
 *   asynchronous schema, `CONTRACT_INVALID`: the event is a dead letter for the reader.
 */
export function decodeData(contract: AnyContract, event: Pick<EventRecord, 'type' | 'version' | 'data'>): unknown {
  const { type, version } = event
  // Versions follow each other from 1: event() and .version() see to that.
  if (contract.versions[version - 1] === undefined) {
    const known = contract.versions.map((candidate) => candidate.version)
    throw new QuadrilleError('EVENT_VERSION_UNKNOWN', { type, version, known })
  }
  let value: unknown
  try {
    value = JSON.parse(event.data)
  } catch (error) {
    throw new QuadrilleError(
      'EVENT_UNDECODABLE',
      { reason: `the data is not JSON: ${(error as Error).message}` },
      error,
    )
  }
  for (let i = version - 1; i < contract.versions.length; i++) {
    const step = contract.versions[i]!
    if (i >= version) value = upcast(contract, i, value)
    value = checkValue({ type, version: step.version, schema: step.schema }, value)
  }
  if (typeof value === 'object' && value !== null) deepFreeze(value, 0)
  return value
}

function upcast(contract: AnyContract, index: number, previous: unknown): unknown {
  const step = contract.versions[index]!
  try {
    return (step.upcast as (previous: unknown) => unknown)(previous)
  } catch (error) {
    const details = { type: contract.type, from: step.version - 1, to: step.version, message: messageOf(error) }
    throw new QuadrilleError('UPCAST_FAILED', details, error)
  }
}

/** Data nested deeper than this may be a circle that a transformation has made: then what is frozen is done. */
const circleDepth = 64

// Children first, and asking isFrozen only when deep: this order costs a tenth of the obvious one.
function deepFreeze(value: object, depth: number): void {
  if (depth > circleDepth && Object.isFrozen(value)) return
  if (depth > circleDepth) Object.freeze(value)
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) freezeChild(value[i], depth)
  } else {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype !== Object.prototype && prototype !== null) return
    for (const field in value) freezeChild((value as Record<string, unknown>)[field], depth)
  }
  Object.freeze(value)
}

function freezeChild(child: unknown, depth: number): void {
  if (typeof child === 'object' && child !== null) deepFreeze(child, depth + 1)
}
