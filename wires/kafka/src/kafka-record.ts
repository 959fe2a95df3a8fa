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

/** The same few names again and again: made once. Attributes of strangers could be without end, so not for ever. */
const headerNames = new Map<string, Buffer>()
const headerNamesMax = 1_000

function headerName(attribute: string): Buffer {
  const known = headerNames.get(attribute)
  if (known !== undefined) return known
  const name = Buffer.from(attribute === 'datacontenttype' ? contentType : prefix + attribute)
  if (headerNames.size < headerNamesMax) headerNames.set(attribute, name)
  return name
}

/** The event in binary mode. */
export function toRecord(event: EventRecord, topic: string): OutgoingRecord {
  const { attributes, data } = toBinaryEvent(event)
  const headers = new Map<Buffer, Buffer>()
  const key = Buffer.from(event.key)
  const value = Buffer.from(data)
  let bytes = recordOverheadBytes + key.length + value.length
  for (const attribute in attributes) {
    const name = headerName(attribute)
    const text = Buffer.from(attributes[attribute]!)
    headers.set(name, text)
    bytes += name.length + text.length + headerOverheadBytes
  }
  return { record: { topic, key, value, headers }, bytes }
}

const attributeNames = new Map<string, string>()

function attributeName(header: string): string | null {
  const known = attributeNames.get(header)
  if (known !== undefined) return known
  const lower = header.toLowerCase()
  const name = lower === contentType ? 'datacontenttype' : lower.startsWith(prefix) ? lower.slice(prefix.length) : null
  if (name !== null && attributeNames.size < headerNamesMax) attributeNames.set(header, name)
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
