/**
 * Events as bodies of SNS and SQS: the whole CloudEvent as JSON (structured mode), because a message has at most ten
 * attributes. What filters of others may want to see is in attributes too: type, source, id and trace.
 */
import { cloudEventText, type EventRecord, type IncomingMessage, type OutgoingMessage } from 'quadrille'
import { plainId } from './aws-names.ts'

/** The part of a message attribute that both services share. */
export interface StringAttribute {
  readonly DataType: 'String'
  readonly StringValue: string
}

/** A message as both services take it, but for the name of the body. */
export interface EncodedMessage {
  readonly body: string
  readonly attributes: Readonly<Record<string, StringAttribute>>
  readonly group: string
  readonly dedupe: string
  /** As both services count: the body, and of each attribute the name, the type and the value. */
  readonly sizeBytes: number
}

/** U+FFFE and U+FFFF are the only characters that JSON writes as they are and SQS does not take. */
const sendable = (json: string): string =>
  json.replace(/[\uFFFE\uFFFF]/g, (char) => `\\u${char.charCodeAt(0).toString(16)}`)

function attributesOf(event: EventRecord): Record<string, StringAttribute> {
  const texts = { type: event.type, source: event.source, id: event.id, traceparent: event.traceparent }
  const given = Object.entries(texts).filter((entry): entry is [string, string] => Boolean(entry[1]))
  return Object.fromEntries(
    given.map(([name, text]) => [
      `ce_${name}`,
      { DataType: 'String', StringValue: text.replace(/[\uFFFE\uFFFF]/g, '?') },
    ]),
  )
}

/** An event for SNS or SQS. */
export function encodeMessage({ event, dedupeId }: OutgoingMessage): EncodedMessage {
  const body = sendable(cloudEventText(event))
  const attributes = attributesOf(event)
  const attributeBytes = Object.entries(attributes).reduce(
    (sum, [name, { DataType, StringValue }]) => sum + Buffer.byteLength(name + DataType + StringValue),
    0,
  )
  return {
    body,
    attributes,
    group: plainId(event.key),
    dedupe: plainId(dedupeId),
    sizeBytes: Buffer.byteLength(body) + attributeBytes,
  }
}

/** What SNS wraps around a message where raw delivery is off. */
interface Notification {
  readonly Type?: unknown
  readonly TopicArn?: unknown
  readonly Message?: unknown
  readonly MessageAttributes?: Readonly<Record<string, { readonly Value?: unknown }>>
}

/** A message as it came out of a queue, or by Lambda. */
export interface RawMessage {
  readonly body: string
  /** The attribute `ce_type`; undefined where there is none. */
  readonly type?: string | undefined
}

/** A message, and where it came from as far as it says. */
export interface DecodedMessage {
  readonly message: IncomingMessage
  /** The ARN of its topic, where SNS has wrapped it. */
  readonly topicArn: string | null
}

/** The message as it was sent, also where SNS has wrapped it. What it is decides the runtime. */
export function decodeMessage({ body, type }: RawMessage): DecodedMessage {
  const wrapped = wrappedIn(body)
  const text = wrapped?.Message ?? body
  const channel = wrapped ? typeIn(wrapped) : type
  const message = { attributes: null, body: new TextEncoder().encode(text), ...(channel ? { channel } : {}) }
  return { message, topicArn: wrapped?.TopicArn ?? null }
}

type Wrapped = Notification & { readonly Message: string; readonly TopicArn: string }

function wrappedIn(body: string): Wrapped | null {
  if (!body.includes('"TopicArn"')) return null
  try {
    const json = JSON.parse(body) as Notification
    const { Type, TopicArn, Message } = json
    const is = Type === 'Notification' && typeof TopicArn === 'string' && typeof Message === 'string'
    return is ? (json as Wrapped) : null
  } catch {
    return null
  }
}

function typeIn({ MessageAttributes }: Notification): string | undefined {
  const value = MessageAttributes?.['ce_type']?.Value
  return typeof value === 'string' ? value : undefined
}
