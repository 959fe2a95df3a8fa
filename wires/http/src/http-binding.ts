/** CloudEvents 1.0 over HTTP: how events become requests, and messages come out of them. */
import { isUtf8 } from 'node:buffer'
import {
  cloudEventText,
  readCloudEventText,
  toBinaryEvent,
  type CloudEventJson,
  type EventRecord,
  type IncomingMessage,
} from 'quadrille'

/** Content types of the structured and the batch mode. */
export const structuredType = 'application/cloudevents+json'
/** See {@link structuredType}. */
export const batchType = 'application/cloudevents-batch+json'

/** A request's headers and body. */
export interface Encoded {
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** One event in structured mode. */
export function encodeStructured(event: EventRecord): Encoded {
  return { headers: { 'content-type': `${structuredType}; charset=utf-8` }, body: bytes(cloudEventText(event)) }
}

/** Events, as their structured texts, in batch mode. */
export function encodeBatch(texts: readonly string[]): Encoded {
  return { headers: { 'content-type': `${batchType}; charset=utf-8` }, body: bytes(`[${texts.join(',')}]`) }
}

/** One event in binary mode. */
export function encodeBinary(event: EventRecord): Encoded {
  const { attributes, data } = toBinaryEvent(event)
  const { datacontenttype = 'application/json', ...others } = attributes
  const entries = Object.entries(others).map(([name, value]) => [`ce-${name}`, percentEncoded(value)])
  return { headers: { 'content-type': datacontenttype, ...Object.fromEntries(entries) }, body: bytes(data) }
}

const headerName = /^[!#$%&'*+.^_`|~0-9a-z-]+$/i

/** The first header whose name HTTP does not allow; undefined for none. Attributes of other senders have any names. */
export const unfitHeader = ({ headers }: Encoded): string | undefined =>
  Object.keys(headers).find((name) => !headerName.test(name))

/** The binding's rule: space, quote, per cent and everything that is not printable ASCII. */
const percentEncoded = (value: string): string =>
  value
    .toWellFormed()
    .replace(/[^\x21-\x7e]|["%]/gu, (char) =>
      Array.from(bytes(char), (byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
    )

function percentDecoded(value: string): string {
  try {
    return decodeURIComponent(value)
  } catch {
    // A sender that does not encode: what came is what was meant.
    return value
  }
}

/** What a request holds, or the status and reason why it holds nothing that can be taken. */
export type Decoded =
  { readonly messages: readonly IncomingMessage[] } | { readonly status: number; readonly reason: string }

/** One of a batch. Its bytes are only made for those who ask: dead letters, and mappings of foreign messages. */
class BatchedMessage implements IncomingMessage {
  readonly attributes = null
  readonly parsed: CloudEventJson
  readonly channel?: string
  readonly #text: string | undefined

  constructor(parsed: CloudEventJson, text?: string) {
    this.parsed = parsed
    const channel = channelOf(parsed.json)
    if (channel !== undefined) this.channel = channel
    this.#text = text
  }

  get body(): Uint8Array {
    return bytes(this.#text ?? JSON.stringify(this.parsed.json))
  }
}

/** The type as far as it can be seen: what the message came under, as there is no topic. */
function channelOf(event: unknown): string | undefined {
  const type = (event as { type?: unknown } | null)?.type
  return typeof type === 'string' ? type : undefined
}

const received = (message: IncomingMessage, event: unknown): IncomingMessage => {
  const channel = channelOf(event)
  return channel === undefined ? message : { ...message, channel }
}

function parsed<T>(body: Uint8Array, parse: (text: string) => T): T | undefined {
  try {
    return parse(new TextDecoder('utf-8', { fatal: true }).decode(body))
  } catch {
    return undefined
  }
}

/** Where one event of a batch ends and the next begins, as {@link encodeBatch} writes them. */
const between = Buffer.from('},{"specversion":')

/**
 * A batch cut into its events, which keeps their exact texts, and is quicker than to read it as one text of hundreds of kilobytes.
 * Undefined where that does not give JSON: the cut is not between two events, or the batch is written otherwise. When all parts
 * are JSON, they are what the whole would have given.
 */
function cutBatch(body: Uint8Array): IncomingMessage[] | undefined {
  const all = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
  const end = all.length - 1
  if (all[0] !== 0x5b || all[end] !== 0x5d || !isUtf8(all)) return undefined
  const messages: IncomingMessage[] = []
  try {
    for (let from = 1; from < end;) {
      const cut = all.indexOf(between, from)
      const to = cut < 0 ? end : cut + 1
      const text = all.toString('utf8', from, to)
      messages.push(new BatchedMessage(readCloudEventText(text), text))
      from = to + 1
    }
    return messages
  } catch {
    return undefined
  }
}

function readBatch(body: Uint8Array): readonly IncomingMessage[] {
  const messages = cutBatch(body)
  if (messages) return messages
  const events = parsed(body, (text) => JSON.parse(text) as unknown)
  return Array.isArray(events) ? events.map((json) => new BatchedMessage({ json })) : [{ attributes: null, body }]
}

const charsets = new Set(['utf-8', 'utf8', 'us-ascii'])

/** The mode a request is in; null when it is no CloudEvent that can be read. */
export function modeOf(headers: Headers): 'structured' | 'binary' | 'batch' | null {
  const [media = '', ...parameters] = (headers.get('content-type') ?? '').toLowerCase().split(';')
  const charset = parameters.map((part) => /^\s*charset="?([^"\s]+)"?\s*$/.exec(part)?.[1]).find(Boolean)
  if (charset !== undefined && !charsets.has(charset)) return null
  if (media.trim() === structuredType) return 'structured'
  if (media.trim() === batchType) return 'batch'
  if (media.trim().startsWith('application/cloudevents')) return null
  return headers.has('ce-specversion') ? 'binary' : null
}

/**
 * The messages of a request, each with its event type as its channel, as far as it can be seen. What can not be decoded is a message
 * too: the receiving ledger keeps it as a dead letter.
 */
export function decodeRequest(headers: Headers, body: Uint8Array): Decoded {
  const mode = modeOf(headers)
  if (mode === null) return { status: 415, reason: `not a CloudEvent in JSON: ${headers.get('content-type') ?? ''}` }
  if (mode === 'structured') {
    const event = parsed(body, readCloudEventText)
    const message = { attributes: null, body, ...(event && { parsed: event }) }
    return { messages: [received(message, event?.json)] }
  }
  if (mode === 'batch') return { messages: readBatch(body) }
  const attributes: Record<string, string> = {}
  headers.forEach((value, name) => {
    if (name.startsWith('ce-')) attributes[name.slice(3)] = percentDecoded(value)
  })
  const contentType = headers.get('content-type')
  if (contentType !== null) attributes['datacontenttype'] = contentType
  return { messages: [received({ attributes, body }, attributes)] }
}
