/** Events as Kafka records, by the CloudEvents binding: attributes in headers (`ce_`), the key is the partition key. */
import type { KafkaRecord, MessageToProduce } from '@platformatic/kafka'
import { toBinaryEvent, type EventRecord, type IncomingMessage } from 'quadrille'

/** A record on its way out, and how large it is for the broker. */
export interface OutgoingRecord {
  readonly record: MessageToProduce & { readonly key: Buffer }
  readonly bytes: number
}

const prefix = 'ce_'
const contentType = 'content-type'
const structured = /^application\/cloudevents\+json\s*(;|$)/i
/** Length, attributes, timestamp, offset and the lengths of key, value and headers, at their largest. */
const recordOverheadBytes = 40
/** Two lengths, mostly of one byte. */
const headerOverheadBytes = 3

/** The same few texts again and again are made once. Those of strangers could be without end, so there is a limit. */
const textsMax = 1_000

class Texts {
  readonly #known = new Map<string, Buffer>()

  bytes(text: string): Buffer {
    const known = this.#known.get(text)
    if (known !== undefined) return known
    const bytes = Buffer.from(text)
    if (this.#known.size < textsMax) this.#known.set(text, bytes)
    return bytes
  }
}

const names = new Texts()
const values = new Texts()
/** Attributes with few values. */
const repeated = new Set('specversion datacontenttype type source dataversion hops reaction'.split(' '))

const headerNames = new Map<string, string>()

function headerName(attribute: string): Buffer {
  let name = headerNames.get(attribute)
  if (name === undefined) {
    name = attribute === 'datacontenttype' ? contentType : prefix + attribute
    if (headerNames.size < textsMax) headerNames.set(attribute, name)
  }
  return names.bytes(name)
}

/** The event in binary mode. */
export function toRecord(event: EventRecord, topic: string): OutgoingRecord {
  const { attributes, data } = toBinaryEvent(event)
  const headers = new Map<Buffer, Buffer>()
  const key = Buffer.from(event.key)
  const body = Buffer.from(data)
  let bytes = recordOverheadBytes + key.length + body.length
  for (const attribute in attributes) {
    const name = headerName(attribute)
    const value = attributes[attribute]!
    const text = repeated.has(attribute) ? values.bytes(value) : Buffer.from(value)
    headers.set(name, text)
    bytes += name.length + text.length + headerOverheadBytes
  }
  return { record: { topic, key, value: body, headers }, bytes }
}

const attributeNames = new Map<string, string>()

function attributeName(header: string): string | null {
  const known = attributeNames.get(header)
  if (known !== undefined) return known
  const lower = header.toLowerCase()
  const name = lower === contentType ? 'datacontenttype' : lower.startsWith(prefix) ? lower.slice(prefix.length) : null
  if (name !== null && attributeNames.size < textsMax) attributeNames.set(header, name)
  return name
}

const nothing = new Uint8Array()

/** What a record says, in binary or in structured mode. What is neither is handed on as a body alone. */
export function fromRecord(record: KafkaRecord, channel: string | undefined): IncomingMessage {
  const body = record.value ?? nothing
  const attributes: Record<string, string> = {}
  let isEvent = false
  for (const [header, value] of record.headers) {
    if (header === null || value === null) continue
    const name = attributeName(header.toString('latin1'))
    if (name === null) continue
    const text = value.toString()
    if (name === 'datacontenttype' && structured.test(text)) return { attributes: null, body, channel }
    isEvent ||= name === 'specversion'
    attributes[name] = text
  }
  return { attributes: isEvent ? attributes : null, body, channel }
}
