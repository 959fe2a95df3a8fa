/** CloudEvents over NATS: the 1.0 binding, whose headers are `ce-` and percent-encoded, and the subjects of types. */
import { MsgHdrsImpl, type MsgHdrs } from '@nats-io/transport-node'
import { byName, toBinaryEvent, type IncomingMessage, type OutgoingMessage } from 'quadrille'

const prefix = 'ce-'
const plain = /^[\x21\x23\x24\x26-\x7e]*$/
const forbidden = /[^\x21\x23\x24\x26-\x7e]+/gu

/** The value as it may stand in a header: space, quote, percent and everything beyond ASCII percent-encoded. */
export function encodeHeader(value: string): string {
  return plain.test(value) ? value : value.replace(forbidden, (part) => encodeURIComponent(part.toWellFormed()))
}

/** The value that was encoded; itself when it is not well encoded. */
export function decodeHeader(value: string): string {
  if (!value.includes('%')) return value
  try {
    return decodeURIComponent(value)
  } catch {
    return value
  }
}

/** Types may have empty parts (`a..b`), subjects may not; `~` can not stand in a type. */
export function subjectOf(subjectPrefix: string, type: string): string {
  return `${subjectPrefix}.${type.replaceAll(/\.(?=\.|$)/g, '.~')}`
}

/** The way back. */
export const typeOfSubject = (subjectPrefix: string, subject: string): string =>
  subject.slice(subjectPrefix.length + 1).replaceAll('.~', '.')

/** A service as the name of a consumer, where no dot may stand. Percent signs would break servers of the 2.9 line. */
export const consumerName = (service: string): string => service.replaceAll('.', '~')

/** An event as NATS carries it. */
export interface NatsMessage {
  readonly subject: string
  readonly body: string
  readonly headers: MsgHdrs
  /** What counts for the limits of the server: headers and body. */
  readonly bytes: number
  /** Why it can not be sent at all; null when it can. */
  readonly problem: string | null
}

const headerFrame = 'NATS/1.0\r\n\r\n'.length
const pairFrame = ': \r\n'.length
const idHeader = 'Nats-Msg-Id'
/** Attributes that came from elsewhere may have any name. */
const headerName = /^[\x21-\x39\x3b-\x7e]+$/

const headerOf = byName((attribute) => prefix + attribute)

/** The attribute that a header carries; null when it carries none. */
const attributeOf = byName((header) => {
  const name = header.toLowerCase()
  return name.startsWith(prefix) ? name.slice(prefix.length) : null
})

/** Writes an event in binary mode. */
export function toNatsMessage(subjectPrefix: string, { event, dedupeId }: OutgoingMessage): NatsMessage {
  const { attributes, data } = toBinaryEvent(event)
  // Not appended one by one: each `append` of the client goes through all headers before it.
  const id = encodeHeader(dedupeId)
  const written: Record<string, string[]> = { [idHeader]: [id] }
  let problem: string | null = null
  let bytes = headerFrame + Buffer.byteLength(data) + idHeader.length + id.length + pairFrame
  for (const name in attributes) {
    const text = encodeHeader(attributes[name]!)
    if (!headerName.test(name)) problem = `the name ${JSON.stringify(name)} can not stand in a header`
    written[headerOf(name)] = [text]
    bytes += prefix.length + name.length + text.length + pairFrame
  }
  return {
    subject: subjectOf(subjectPrefix, event.type),
    body: data,
    headers: MsgHdrsImpl.fromRecord(written),
    bytes,
    problem,
  }
}

/** Reads a message in either mode. */
export function fromNatsMessage(body: Uint8Array, read: MsgHdrs | undefined): IncomingMessage {
  if (!read) return { attributes: null, body }
  const attributes: Record<string, string> = {}
  let structured = false
  for (const [header, values] of read) {
    const name = attributeOf(header)
    if (name !== null) attributes[name] = decodeHeader(values[0]!)
    else if (header.toLowerCase() === 'content-type')
      structured = values[0]!.toLowerCase().startsWith('application/cloudevents')
  }
  return { attributes: structured || !('specversion' in attributes) ? null : attributes, body }
}
