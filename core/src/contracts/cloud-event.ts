/** CloudEvents 1.0, in JSON (structured mode) and with attributes beside the data (binary mode): how events leave a ledger and come into one. */
import { QuadrilleError } from '../base/errors.ts'
import { idCharsMax, nameCharsMax, numberMax, textProblem } from '../base/kept-text.ts'
import type { NewEvent } from './event-record.ts'

/** A CloudEvents 1.0 event as JSON, with the extension attributes that Quadrille uses. */
export interface CloudEvent {
  readonly specversion: '1.0'
  readonly id: string
  readonly source: string
  readonly type: string
  readonly time: string
  readonly datacontenttype: 'application/json'
  readonly data: unknown
  /** Extension: the version of the contract that wrote `data`. */
  readonly dataversion: number
  /** Official extension `partitioning`. */
  readonly partitionkey: string
  /** Official extension `sequence`: the position in the producer's ledger, 20 digits, so that text order is number order. */
  readonly sequence?: string
  /** Official extension `correlation`. */
  readonly correlationid: string
  readonly causationid?: string
  /** Extension: how many events precede it in its chain of causes. */
  readonly hops: number
  /** Extension: the reaction that emitted it. */
  readonly reaction?: string
  readonly traceparent?: string
  readonly tracestate?: string
  readonly [extension: string]: unknown
}

const own = new Set(
  (
    'specversion id source type time datacontenttype data dataversion partitionkey sequence correlationid causationid ' +
    'hops reaction traceparent tracestate'
  ).split(' '),
)

/** Nothing is found by it, and it may be long: the specification asks for 512 characters at least. */
const tracestateCharsMax = 4_096
const jsonContent = /^[^/]+\/([^;]+\+)?json\s*(;|$)/i
const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i
const utf8 = new TextDecoder('utf-8', { fatal: true })

/** The event as a CloudEvents 1.0 JSON object. */
export function toCloudEvent(event: NewEvent & { readonly position?: number }): CloudEvent {
  return { ...attributesOf(event), data: JSON.parse(event.data) as unknown } as CloudEvent
}

/**
 * The event as the text of a CloudEvents 1.0 JSON object (structured mode). The data stand in it exactly as they were
 * sent, which parsing and writing them again would not guarantee (large numbers, order of fields).
 */
export function cloudEventText(event: NewEvent & { readonly position?: number }): string {
  return `${JSON.stringify({ ...attributesOf(event), data: undefined }).slice(0, -1)},"data":${event.data}}`
}

/** An event in CloudEvents binary mode: attributes as text beside the data, as brokers carry them in headers. */
export interface BinaryEvent {
  /** Names in lower case and without a binding's prefix; `datacontenttype` is among them. */
  readonly attributes: Readonly<Record<string, string>>
  /** The payload as JSON text, exactly as sent. */
  readonly data: string
}

/** The event in CloudEvents 1.0 binary mode. A binding adds its prefix (`ce_`, `ce-`, ...) to the names. */
export function toBinaryEvent(event: NewEvent & { readonly position?: number }): BinaryEvent {
  // Written out, because every event that leaves passes here: a loop over attributesOf() costs three times as much.
  const attributes: Record<string, string> = event.extensions === null ? {} : texts(JSON.parse(event.extensions))
  attributes['specversion'] = '1.0'
  attributes['id'] = event.id
  attributes['source'] = event.source
  attributes['type'] = event.type
  attributes['time'] = new Date(event.time).toISOString()
  attributes['datacontenttype'] = 'application/json'
  attributes['dataversion'] = String(event.version)
  attributes['partitionkey'] = event.key
  if (event.position !== undefined) attributes['sequence'] = sequenceOf(event.position)
  attributes['correlationid'] = event.correlationId
  if (event.causationId !== null) attributes['causationid'] = event.causationId
  attributes['hops'] = String(event.hops)
  if (event.reaction !== null) attributes['reaction'] = event.reaction
  if (event.traceparent !== null) attributes['traceparent'] = event.traceparent
  if (event.tracestate !== null) attributes['tracestate'] = event.tracestate
  return { attributes, data: event.data }
}

const sequenceOf = (position: number): string => String(position).padStart(20, '0')

function texts(extensions: unknown): Record<string, string> {
  // In the JSON format null is the same as an attribute that is not there.
  const isSet = ([name, value]: [string, unknown]) => name !== 'data' && value !== null
  const entries = Object.entries(extensions as Record<string, unknown>).filter(isSet)
  return Object.fromEntries(
    entries.map(([name, value]): [string, string] => [name, typeof value === 'string' ? value : JSON.stringify(value)]),
  )
}

function attributesOf(event: NewEvent & { readonly position?: number }): Record<string, unknown> {
  return {
    specversion: '1.0',
    ...(event.extensions === null ? {} : (JSON.parse(event.extensions) as object)),
    id: event.id,
    source: event.source,
    type: event.type,
    time: new Date(event.time).toISOString(),
    datacontenttype: 'application/json',
    dataversion: event.version,
    partitionkey: event.key,
    ...(event.position === undefined ? {} : { sequence: sequenceOf(event.position) }),
    correlationid: event.correlationId,
    ...(event.causationId === null ? {} : { causationid: event.causationId }),
    hops: event.hops,
    ...(event.reaction === null ? {} : { reaction: event.reaction }),
    ...(event.traceparent === null ? {} : { traceparent: event.traceparent }),
    ...(event.tracestate === null ? {} : { tracestate: event.tracestate }),
  }
}

/** The JSON of an event in structured mode. */
export interface CloudEventJson {
  /** All of it. */
  readonly json: unknown
  /** The text of its `data` as it came: what large numbers and the order of fields are in no value. Undefined where it was not looked for. */
  readonly dataText?: string | undefined
}

/**
 * Reads the text of an event in structured mode. Where `data` stands last, as {@link cloudEventText} writes it, its text is kept.
 *
 * @throws SyntaxError when it is no JSON.
 */
export function readCloudEventText(text: string): CloudEventJson {
  return dataLast(text) ?? { json: JSON.parse(text) }
}

const beforeData = ',"data":'

/**
 * Cuts before `data`. When what stands before it, closed, is a JSON object, and what stands between it and the last brace is a JSON
 * value, then the text is that object with this value as its last member: a cut within a string or within another value leaves
 * something that is no JSON.
 */
function dataLast(text: string): CloudEventJson | undefined {
  const at = text.indexOf(beforeData)
  const end = text.lastIndexOf('}')
  if (at < 0 || end < at || text.slice(end + 1).trim() !== '') return undefined
  try {
    const json = JSON.parse(`${text.slice(0, at)}}`) as Record<string, unknown>
    const dataText = text.slice(at + beforeData.length, end).trim()
    json['data'] = JSON.parse(dataText)
    return { json, dataText }
  } catch {
    return undefined
  }
}

/**
 * Reads a CloudEvents 1.0 event in JSON. Attributes that are missing get what a first event of a conversation would
 * have: version 1, no cause, 0 hops, its own id as the conversation, `subject` or its id as the key.
 *
 * @param bytes - The event as UTF-8 JSON.
 * @param receivedMs - The time of an event that does not say its own, milliseconds since 1970.
 * @throws QuadrilleError `EVENT_UNDECODABLE` with the reason.
 */
export function fromCloudEvent(bytes: Uint8Array, receivedMs = 0): NewEvent {
  return fromCloudEventJson(decoded(bytes, readCloudEventText), receivedMs)
}

/**
 * As {@link fromCloudEvent}, from JSON that has been parsed already. Without `dataText` the data are written anew.
 *
 * @throws QuadrilleError `EVENT_UNDECODABLE` with the reason.
 */
export function fromCloudEventJson({ json, dataText }: CloudEventJson, receivedMs = 0): NewEvent {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) fail('it is not a JSON object')
  const event = json as Record<string, unknown>
  if (event['data'] === undefined)
    fail(`data is missing${'data_base64' in event ? ' (data_base64 is not supported)' : ''}`)
  return fromAttributes(event, () => dataText ?? JSON.stringify(event['data']), receivedMs)
}

/**
 * Reads an event in CloudEvents 1.0 binary mode, as {@link fromCloudEvent} does.
 *
 * @param attributes - Names in lower case and without the binding's prefix.
 * @param body - The payload as UTF-8 JSON; it is kept as it is.
 * @throws QuadrilleError `EVENT_UNDECODABLE` with the reason.
 */
export function fromBinaryEvent(
  attributes: Readonly<Record<string, unknown>>,
  body: Uint8Array,
  receivedMs = 0,
): NewEvent {
  return fromAttributes(attributes, () => jsonText(body), receivedMs)
}

function fromAttributes(json: Readonly<Record<string, unknown>>, dataOf: () => string, receivedMs: number): NewEvent {
  if (json['specversion'] !== '1.0') fail(`specversion is ${JSON.stringify(json['specversion'])}, expected "1.0"`)
  const id = text(json, 'id', idCharsMax) ?? fail('id is missing')
  const type = text(json, 'type') ?? fail('type is missing')
  const source = text(json, 'source') ?? fail('source is missing')
  const contentType = text(json, 'datacontenttype')
  if (contentType !== null && !jsonContent.test(contentType)) fail(`datacontenttype is ${contentType}, not JSON`)
  const time = text(json, 'time')
  const timeMs = time === null ? receivedMs : timestamp.test(time) ? Date.parse(time) : NaN
  if (Number.isNaN(timeMs)) fail(`time is not an RFC 3339 timestamp: ${time}`)
  return {
    id,
    type,
    source,
    time: timeMs,
    version: whole(json, 'dataversion') ?? 1,
    key: text(json, 'partitionkey') ?? text(json, 'subject') ?? id,
    correlationId: text(json, 'correlationid') ?? id,
    causationId: text(json, 'causationid'),
    hops: whole(json, 'hops') ?? 0,
    reaction: text(json, 'reaction'),
    traceparent: text(json, 'traceparent'),
    tracestate: text(json, 'tracestate', tracestateCharsMax),
    data: dataOf(),
    extensions: extensionsOf(json),
  }
}

function extensionsOf(json: Readonly<Record<string, unknown>>): string | null {
  let extensions: Record<string, unknown> | null = null
  for (const name in json) if (!own.has(name)) (extensions ??= {})[name] = json[name]
  return extensions === null ? null : JSON.stringify(extensions)
}

const jsonText = (bytes: Uint8Array): string =>
  decoded(bytes, (text) => {
    JSON.parse(text)
    return text
  })

function decoded<T>(bytes: Uint8Array, read: (text: string) => T): T {
  try {
    return read(utf8.decode(bytes))
  } catch (error) {
    throw new QuadrilleError('EVENT_UNDECODABLE', { reason: (error as Error).message }, error)
  }
}

function text(json: Readonly<Record<string, unknown>>, name: string, charsMax = nameCharsMax): string | null {
  const value = json[name]
  if (value === undefined || value === null) return null
  const problem = textProblem(value, charsMax)
  if (problem !== undefined) fail(`${name} ${problem}`)
  return value as string
}

function whole(json: Readonly<Record<string, unknown>>, name: string): number | null {
  const value = json[name]
  if (value === undefined || value === null) return null
  const number = typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value
  if (typeof number !== 'number' || !Number.isInteger(number) || number < 0 || number > numberMax)
    fail(`${name} is not a whole number up to ${numberMax}`)
  return number as number
}

function fail(reason: string): never {
  throw new QuadrilleError('EVENT_UNDECODABLE', { reason })
}
