/** CloudEvents over AMQP 0-9-1, for which there is no official binding: headers as in AMQP 1.0, or `ce-`. */
import { createHash } from 'node:crypto'
import type { Message, Options } from 'amqplib'
import { byName, toBinaryEvent, type IncomingMessage, type OutgoingMessage } from 'quadrille'

const prefixes = ['cloudEvents_', 'cloudEvents:', 'ce-']

/** Headers travel in one frame; what is larger would end the connection. */
const headerBytesMax = 100_000
/** A short string of AMQP; the header of the id has no such limit. */
const idBytesMax = 255

const shortId = (id: string): string =>
  Buffer.byteLength(id) <= idBytesMax ? id : createHash('sha256').update(id).digest('hex')

/** An event as RabbitMQ carries it. */
export interface RabbitMessage {
  readonly body: Buffer
  readonly options: Options.Publish
  readonly bytes: number
  /** Why it can not be sent at all; null when it can. */
  readonly problem: string | null
}

const headerName = byName((prefix) => byName((attribute) => prefix + attribute))

/** The attribute that a header carries; null when it carries none. */
const attributeName = byName((header) => {
  const prefix = prefixes.find((candidate) => header.startsWith(candidate))
  return prefix === undefined ? null : header.slice(prefix.length).toLowerCase()
})

/** Writes an event in binary mode. */
export function toRabbitMessage({ event, dedupeId }: OutgoingMessage, headerPrefix: string): RabbitMessage {
  const { attributes, data } = toBinaryEvent(event)
  const headers: Record<string, string> = {}
  let headerBytes = 0
  for (const name in attributes) {
    if (name === 'datacontenttype') continue
    const value = attributes[name]!
    const header = headerName(headerPrefix)(name)
    headers[header] = value
    headerBytes += header.length + Buffer.byteLength(value)
  }
  const body = Buffer.from(data)
  return {
    body,
    options: {
      headers,
      contentType: attributes['datacontenttype'],
      persistent: true,
      mandatory: true,
      messageId: shortId(dedupeId),
    },
    bytes: body.length + headerBytes,
    problem: headerBytes > headerBytesMax ? `its attributes have ${headerBytes} bytes, of ${headerBytesMax}` : null,
  }
}

/** Reads a message in either mode, with any of the usual prefixes. */
export function fromRabbitMessage({ content, properties, fields }: Message): IncomingMessage {
  const contentType: unknown = properties.contentType
  const message = { body: content, channel: fields.routingKey }
  if (typeof contentType === 'string' && contentType.toLowerCase().startsWith('application/cloudevents'))
    return { ...message, attributes: null }
  const attributes: Record<string, string> = {}
  const headers = (properties.headers ?? {}) as Record<string, unknown>
  for (const header in headers) {
    const name = attributeName(header)
    if (name !== null) attributes[name] = textOf(headers[header])
  }
  if (!('specversion' in attributes)) return { ...message, attributes: null }
  if (typeof contentType === 'string') attributes['datacontenttype'] ??= contentType
  return { ...message, attributes }
}

/** Others may write numbers, and timestamps in seconds, where we write texts. */
function textOf(value: unknown): string {
  if (typeof value === 'string') return value
  if (typeof value === 'object' && value !== null && '!' in value && value['!'] === 'timestamp' && 'value' in value)
    return new Date(Number(value.value) * 1_000).toISOString()
  return JSON.stringify(value)
}
