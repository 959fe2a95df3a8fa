/**
 * CloudEvents over Redis Streams, for which there is no official binding: an entry has `type`, by which it is subscribed
 * to, `data`, and `ce`: all attributes as one JSON object, because a client takes each field apart by itself, which for a
 * dozen of them costs as much as the ledger. Others may write a field `ce_name` for each attribute instead. An entry with
 * neither `ce` nor `ce_specversion` is handed on as its `data` alone.
 */
import { toBinaryEvent, type IncomingMessage, type OutgoingMessage } from 'quadrille'

const attributesField = 'ce'
const prefix = 'ce_'

/** An event as the fields of an entry. */
export interface RedisMessage {
  readonly type: string
  readonly data: string
  readonly ce: string
  /** Of the three together. */
  readonly bytes: number
}

/** Writes an event in binary mode. */
export function toRedisMessage({ event }: OutgoingMessage): RedisMessage {
  const { attributes, data } = toBinaryEvent(event)
  const { type } = event
  const ce = JSON.stringify(attributes)
  return { type, data, ce, bytes: Buffer.byteLength(type) + Buffer.byteLength(data) + Buffer.byteLength(ce) }
}

/** An entry as it was read: one that others have written may be none of ours, and then is its `data` alone. */
export interface RedisEntry {
  readonly id: string
  /** By which it is subscribed to. */
  readonly type: string
  readonly message: IncomingMessage
}

const none = Buffer.alloc(0)

/** The entries of a reply of XREADGROUP, XRANGE or XAUTOCLAIM, read as buffers. */
export function entriesOf(reply: unknown): RedisEntry[] {
  return (reply as [Buffer, Buffer[] | null][]).flatMap(([id, pairs]) => (pairs ? entryOf(String(id), pairs) : []))
}

/** In one pass over the fields, because every event that arrives passes here. */
function entryOf(id: string, pairs: readonly Buffer[]): RedisEntry {
  let together: Record<string, string> | undefined
  const single: Record<string, string> = {}
  let body: Buffer = none
  let type: string | undefined
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const name = String(pairs[at])
    const value = pairs[at + 1]!
    if (name === 'data') body = value
    else if (name === 'type') type = String(value)
    else if (name === attributesField) together = objectOf(String(value))
    else if (name.startsWith(prefix)) single[name.slice(prefix.length).toLowerCase()] = String(value)
  }
  const attributes = together ?? ('specversion' in single ? single : null)
  const channel = type ?? attributes?.['type'] ?? ''
  return { id, type: channel, message: { body, channel, attributes } }
}

/** What is no JSON object is kept as it is: it is no event, and its dead letter shows why. */
function objectOf(text: string): Record<string, string> {
  try {
    const value = JSON.parse(text) as unknown
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, string>
  } catch {
    // The same.
  }
  return { [attributesField]: text }
}

/** Ids are two numbers of up to 64 bits. */
export function compareIds(a: string, b: string): number {
  const [aMs = '', aSeq = ''] = a.split('-')
  const [bMs = '', bSeq = ''] = b.split('-')
  const byMs = Number(aMs) - Number(bMs)
  if (byMs !== 0) return byMs
  return aSeq.length - bSeq.length || (aSeq < bSeq ? -1 : aSeq > bSeq ? 1 : 0)
}
