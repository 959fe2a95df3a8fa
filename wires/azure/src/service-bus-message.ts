/** CloudEvents over AMQP 1.0, binary mode: attributes as application properties, the body is the data. */
import { createHash } from 'node:crypto'
import type { ServiceBusMessage, ServiceBusReceivedMessage } from '@azure/service-bus'
import { byName, toBinaryEvent, type IncomingMessage, type OutgoingMessage } from 'quadrille'
import type { AzureSettings } from './azure-options.ts'

/** Both prefixes of the binding; written is the one that every client library can express. */
const prefixes = ['cloudEvents_', 'cloudEvents:'] as const
const fieldPrefix = 'data_'
const idCharsMax = 128

/** An id or session as Service Bus takes it. */
const shortId = (text: string): string =>
  text !== '' && text.length <= idCharsMax ? text : createHash('sha256').update(text).digest('hex')

/** FNV-1a, so that the session of a key is the same in every process. */
function sessionOf(key: string, sessions: number | 'key'): string {
  if (sessions === 'key') return shortId(key)
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193)
  return `keys-${((hash ^ (hash >>> 15)) >>> 0) % sessions}`
}

/**
 * The value at a path of the data as text; empty unless it is a text, number or boolean. What is left out would be let in
 * by every rule, because its sender does not say it.
 */
function fieldAt(data: unknown, path: string): string {
  let value = data
  for (const name of path.split('.')) {
    if (typeof value !== 'object' || value === null) return ''
    value = (value as Record<string, unknown>)[name]
  }
  return ['string', 'number', 'boolean'].includes(typeof value) ? String(value) : ''
}

/** The application property of a field of the data. */
export const propertyOf = (path: string): string => `${fieldPrefix}${path}`

const propertyName = byName((attribute) => `${prefixes[0]}${attribute}`)

/** The attribute that a property carries; null when it carries none. */
const attributeName = byName((property) => {
  const prefix = prefixes.find((each) => property.startsWith(each))
  return prefix === undefined ? null : property.slice(prefix.length).toLowerCase()
})

/** An event for Service Bus. */
export function encodeMessage({ event, dedupeId }: OutgoingMessage, settings: AzureSettings): ServiceBusMessage {
  const { attributes, data } = toBinaryEvent(event)
  const properties: Record<string, string> = {}
  for (const name in attributes) if (name !== 'datacontenttype') properties[propertyName(name)] = attributes[name]!
  if (settings.fields.length > 0) {
    const json = JSON.parse(data) as unknown
    for (const path of settings.fields) properties[propertyOf(path)] = fieldAt(json, path)
  }
  return {
    body: Buffer.from(data),
    contentType: attributes['datacontenttype'] ?? 'application/json',
    messageId: shortId(dedupeId),
    sessionId: sessionOf(event.key, settings.sessions),
    subject: event.type,
    correlationId: shortId(event.correlationId),
    applicationProperties: properties,
  }
}

/** The bytes of the body and of the application properties. */
export function sizeOf({ body, applicationProperties = {} }: ServiceBusMessage): number {
  let bytes = (body as Buffer).length
  for (const name in applicationProperties)
    bytes += Buffer.byteLength(name) + Buffer.byteLength(String(applicationProperties[name]))
  return bytes
}

/** The parts of a message that are read, by the SDK or by Azure Functions. */
export interface RawMessage {
  readonly body: unknown
  readonly contentType?: string | undefined
  readonly subject?: string | undefined
  readonly applicationProperties?: ServiceBusReceivedMessage['applicationProperties']
}

/** The body as bytes: as it came, or, where somebody has parsed it, written again. */
function bytesOf(body: unknown): Uint8Array {
  if (body instanceof Uint8Array) return new Uint8Array(body.buffer, body.byteOffset, body.length)
  if (body === undefined || body === null) return new Uint8Array()
  return new TextEncoder().encode(typeof body === 'string' ? body : JSON.stringify(body))
}

/** The binding lets others write any type of AMQP. A timestamp comes as a date, in some places as milliseconds. */
function textOf(attribute: string, value: unknown): string {
  const date = attribute === 'time' && typeof value === 'number' ? new Date(value) : value
  // What is beyond the range of dates stays as it came, for the runtime to refuse.
  if (date instanceof Date && !Number.isNaN(date.getTime())) return date.toISOString()
  return value instanceof Uint8Array ? Buffer.from(value).toString('base64') : String(value)
}

/** A message in binary or structured mode. What it is decides the runtime. */
export function decodeMessage(message: RawMessage, types: ReadonlySet<string>): IncomingMessage {
  const { contentType, subject, applicationProperties = {} } = message
  const body = bytesOf(message.body)
  const attributes: Record<string, string> = {}
  for (const property in applicationProperties) {
    const name = attributeName(property)
    if (name !== null) attributes[name] = textOf(name, applicationProperties[property])
  }
  const structured = contentType?.toLowerCase().startsWith('application/cloudevents') || !attributes['specversion']
  const said = [attributes['type'], subject].find((type) => type !== undefined && types.has(type))
  const channel = said ?? (types.size === 1 ? [...types][0] : undefined)
  if (!structured && contentType !== undefined) attributes['datacontenttype'] = contentType
  return { attributes: structured ? null : attributes, body, ...(channel === undefined ? {} : { channel }) }
}
