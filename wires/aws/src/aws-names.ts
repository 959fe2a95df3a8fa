/** How types, services, keys and ids are written where AWS takes few characters. */
import { createHash } from 'node:crypto'
import { QuadrilleError, type IncomingMessage } from 'quadrille'
import type { AwsSettings } from './aws-options.ts'
import type { DecodedMessage } from './message-body.ts'

/**
 * A type or service as part of a name: a full stop becomes a hyphen, a hyphen `_-`, and what else is not a letter or
 * digit its code between underscores. No two texts become the same.
 */
export const nameOf = (text: string): string =>
  text.replace(/[^A-Za-z0-9]/gu, (char) => {
    if (char === '.') return '-'
    return char === '-' || char === '_' ? `_${char}` : `_x${char.codePointAt(0)!.toString(16)}_`
  })

const queueCharsMax = 80
const topicCharsMax = 256

function named(settings: AwsSettings, what: { kind: string; text: string; charsMax: number }): string {
  const name = `${settings.prefix}${nameOf(what.text)}${settings.fifo ? '.fifo' : ''}`
  if (name.length <= what.charsMax) return name
  const problem = `the ${what.kind} ${name} would have ${name.length} characters, more than ${what.charsMax}`
  throw new QuadrilleError('WIRE_INCOMPATIBLE', { wire: settings.name, problem })
}

/** @throws QuadrilleError `WIRE_INCOMPATIBLE` when the name is too long. */
export const topicName = (settings: AwsSettings, type: string): string =>
  named(settings, { kind: 'topic', text: type, charsMax: topicCharsMax })

/** @throws QuadrilleError `WIRE_INCOMPATIBLE` when the name is too long. */
export const queueName = (settings: AwsSettings, service: string): string =>
  named(settings, { kind: 'queue', text: service, charsMax: queueCharsMax })

/** What message groups and deduplication ids may be made of. */
const plain = /^[A-Za-z0-9!"#$%&'()*+,\-./:;<=>?@[\\\]^_`{|}~]{1,128}$/

/** A key or id as AWS takes it: as it is where that is allowed, and its hash otherwise. */
export const plainId = (text: string): string =>
  plain.test(text) ? text : createHash('sha256').update(text).digest('hex')

/** The last part of an ARN: the name of the topic or queue. */
export const nameInArn = (arn: string): string => arn.slice(arn.lastIndexOf(':') + 1)

/** Says under which of the subscribed types a message came: as it says itself, by its topic, or because there is one only. */
export function channelFinder(settings: AwsSettings, types: readonly string[]) {
  const known = new Set(types)
  const byTopic = new Map(types.map((type) => [topicName(settings, type), type]))
  return ({ message, topicArn }: DecodedMessage): IncomingMessage => {
    const said = message.channel !== undefined && known.has(message.channel) ? message.channel : undefined
    const byArn = topicArn === null ? undefined : byTopic.get(nameInArn(topicArn))
    const channel = said ?? byArn ?? (types.length === 1 ? types[0] : undefined)
    return { attributes: message.attributes, body: message.body, ...(channel === undefined ? {} : { channel }) }
  }
}
