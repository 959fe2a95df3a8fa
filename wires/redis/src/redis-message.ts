/**
 * CloudEvents over Redis Streams, for which there is no official binding: an entry has `type`, by which it is subscribed
 * to, `data`, and each attribute as `ce_name`. An entry without `ce_specversion` is handed on as its `data` alone.
 */
import { toBinaryEvent, type IncomingMessage, type OutgoingMessage } from 'quadrille'

const prefix = 'ce_'

/** An event as the fields of an entry, names and values in turn. */
export interface RedisMessage {
  readonly fields: readonly string[]
  readonly bytes: number
}

/** Writes an event in binary mode. */
export function toRedisMessage({ event }: OutgoingMessage): RedisMessage {
  const { attributes, data } = toBinaryEvent(event)
  const fields = ['type', event.type, 'data', data]
  for (const [name, value] of Object.entries(attributes)) fields.push(prefix + name, value)
  return { fields, bytes: fields.reduce((sum, text) => sum + Buffer.byteLength(text), 0) }
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
  const attributes: Record<string, string> = {}
  let body: Buffer = none
  let type: string | undefined
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const name = String(pairs[at])
    const value = pairs[at + 1]!
    if (name === 'data') body = value
    else if (name === 'type') type = String(value)
    else if (name.startsWith(prefix)) attributes[name.slice(prefix.length).toLowerCase()] = String(value)
  }
  const channel = type ?? attributes['type'] ?? ''
  return { id, type: channel, message: { body, channel, attributes: 'specversion' in attributes ? attributes : null } }
}

/** Ids are two numbers of up to 64 bits. */
export function compareIds(a: string, b: string): number {
  const [aMs = '', aSeq = ''] = a.split('-')
  const [bMs = '', bSeq = ''] = b.split('-')
  const byMs = Number(aMs) - Number(bMs)
  if (byMs !== 0) return byMs
  return aSeq.length - bSeq.length || (aSeq < bSeq ? -1 : aSeq > bSeq ? 1 : 0)
}
