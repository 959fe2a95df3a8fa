/** Exchanges and queues at the broker. Whatever is there is left as it is. */
import type { Channel, ChannelModel } from 'amqplib'
import { QuadrilleError, type Subscription } from 'quadrille'
import type { RabbitSettings } from './rabbit-options.ts'

/** The codes of AMQP for what is not there, and for what is there in another shape. */
const notFound = 404
const preconditionFailed = 406
const accessRefused = 403

const codeOf = (error: unknown): unknown => (error instanceof Error && 'code' in error ? error.code : undefined)

export const queueName = (settings: RabbitSettings, service: string): string => `${settings.exchange}.${service}`
export const deadName = (settings: RabbitSettings): string => `${settings.exchange}.dead`
/** An exchange that nobody sends to: that it exists says that the subscription once did. */
export const memoryName = (settings: RabbitSettings, service: string): string => `${settings.exchange}.known.${service}`

/** What is bound: the queue of a service, to its types. */
export type Bound = Pick<Subscription, 'service' | 'types'>

/** The error of a connection or channel as the runtime knows it. */
export function wireError(wire: string, error: unknown): QuadrilleError {
  if (error instanceof QuadrilleError) return error
  const message = error instanceof Error ? error.message : String(error)
  if (codeOf(error) === preconditionFailed || codeOf(error) === accessRefused)
    return new QuadrilleError('WIRE_INCOMPATIBLE', { wire, problem: message }, error)
  return new QuadrilleError('WIRE_UNREACHABLE', { wire, message }, error)
}

/** Asks on a channel of its own, because the broker closes the channel of who asks for what is not there. */
export async function ask<T>(model: ChannelModel, question: (channel: Channel) => Promise<T>): Promise<T | undefined> {
  const channel = await model.createChannel()
  channel.on('error', () => {
    // The answer carries it.
  })
  try {
    const answer = await question(channel)
    await channel.close()
    return answer
  } catch (error) {
    if (codeOf(error) === notFound) return undefined
    throw error
  }
}

/** Makes the exchange of all events, and where the broker puts what it would otherwise drop. */
export async function ensureExchanges(model: ChannelModel, settings: RabbitSettings): Promise<void> {
  const dead = deadName(settings)
  await ask(model, async (channel) => {
    await channel.assertExchange(settings.exchange, 'topic', { durable: true })
    await channel.assertExchange(dead, 'fanout', { durable: true })
  })
  await ensureQueue(model, dead, {})
  await ask(model, (channel) => channel.bindQueue(dead, dead, ''))
}

async function ensureQueue(model: ChannelModel, name: string, options: Readonly<Record<string, unknown>>) {
  if (await ask(model, (channel) => channel.checkQueue(name))) return
  const queue = { durable: true, arguments: { 'x-queue-type': 'quorum', ...options } }
  await ask(model, (channel) => channel.assertQueue(name, queue))
}

/**
 * True when the subscription existed once, and its queue does not any more: what was in it is lost.
 *
 * @param subscription - `known` when its ledger says that it did, whatever the broker remembers.
 */
export async function isQueueLost(
  model: ChannelModel,
  settings: RabbitSettings,
  { service, known }: { readonly service: string; readonly known: boolean },
): Promise<boolean> {
  if (await ask(model, (channel) => channel.checkQueue(queueName(settings, service)))) return false
  return known || (await ask(model, (channel) => channel.checkExchange(memoryName(settings, service)))) !== undefined
}

/**
 * Makes the queue of a service and binds it to its types. One consumer at a time gets messages, the others stand by: so
 * the order of keys holds also with several processes.
 */
export async function ensureSubscription(
  model: ChannelModel,
  settings: RabbitSettings,
  { service, types }: Bound,
): Promise<void> {
  await ensureExchanges(model, settings)
  const queue = queueName(settings, service)
  await ensureQueue(model, queue, {
    'x-single-active-consumer': true,
    'x-dead-letter-exchange': deadName(settings),
    // The default strategy may lose a message on its way to the dead letters; this one needs the overflow to be refused.
    'x-dead-letter-strategy': 'at-least-once',
    'x-overflow': 'reject-publish',
  })
  await ensureBindings(model, settings, { service, types })
}

/** Binds the queue to its types, when it is there. */
export async function ensureBindings(model: ChannelModel, settings: RabbitSettings, bound: Bound): Promise<void> {
  const { service, types } = bound
  await ask(model, async (channel) => {
    for (const { type } of types) await channel.bindQueue(queueName(settings, service), settings.exchange, type)
    await channel.assertExchange(memoryName(settings, service), 'fanout', { durable: true })
  })
}

/** The first of the exchanges that are ours to share and are not there; null for none. */
export async function missingExchange(model: ChannelModel, settings: RabbitSettings): Promise<string | null> {
  for (const name of [settings.exchange, deadName(settings)])
    if (!(await ask(model, (channel) => channel.checkExchange(name)))) return name
  return null
}
