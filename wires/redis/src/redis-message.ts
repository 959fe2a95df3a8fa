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

/** An entry as it was read. */
export interface RedisEntry {
  readonly id: string
  readonly fields: ReadonlyMap<string, Buffer>
}

const none = Buffer.alloc(0)

/** The type by which it is subscribed to. */
export const typeOf = ({ fields }: RedisEntry): string =>
  String(fields.get('type') ?? fields.get(`${prefix}type`) ?? '')

/** Reads an entry in either mode. */
export function fromRedisEntry(entry: RedisEntry): IncomingMessage {
  const { fields } = entry
  const message = { body: fields.get('data') ?? none, channel: typeOf(entry) }
  if (!fields.has(`${prefix}specversion`)) return { ...message, attributes: null }
  const attributes: Record<string, string> = {}
  for (const [name, value] of fields)
    if (name.startsWith(prefix)) attributes[name.slice(prefix.length).toLowerCase()] = String(value)
  return { ...message, attributes }
}

/** The entries of a reply of XREADGROUP, XRANGE or XAUTOCLAIM, read as buffers. */
export function entriesOf(reply: unknown): RedisEntry[] {
  return (reply as [Buffer, Buffer[] | null][]).flatMap(([id, pairs]) => {
    if (!pairs) return []
    const fields = new Map<string, Buffer>()
    for (let at = 0; at + 1 < pairs.length; at += 2) fields.set(String(pairs[at]), pairs[at + 1]!)
    return [{ id: String(id), fields }]
  })
}

/** Ids are two numbers of up to 64 bits. */
export function compareIds(a: string, b: string): number {
  const [aMs = '', aSeq = ''] = a.split('-')
  const [bMs = '', bSeq = ''] = b.split('-')
  const byMs = Number(aMs) - Number(bMs)
  if (byMs !== 0) return byMs
  return aSeq.length - bSeq.length || (aSeq < bSeq ? -1 : aSeq > bSeq ? 1 : 0)
}
