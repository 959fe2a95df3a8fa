/** The stream, the consumers and the remembered positions at the server. Whatever is there is left as it is. */
import {
  AckPolicy,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  RetentionPolicy,
  StorageType,
  type ConsumerInfo,
  type JetStreamManager,
  type StreamInfo,
} from '@nats-io/jetstream'
import { nanos } from '@nats-io/transport-node'
import { isKnown, QuadrilleError, type Subscription } from 'quadrille'
import { consumerName, subjectOf } from './nats-message.ts'
import type { NatsSettings } from './nats-options.ts'

const notFoundCodes: readonly number[] = [10014, 10037, 10059]
const taken = 10058

/** True when the server says that the stream, consumer or message is not there. */
export const isMissing = (error: unknown): boolean =>
  error instanceof JetStreamApiError && notFoundCodes.includes(error.code)

/** True when nobody answers for JetStream; the client does not export the class of its error. */
const isNotEnabled = (error: unknown): boolean => error instanceof Error && error.name === 'JetStreamNotEnabled'

/** Undefined when what is asked for does not exist. */
async function unlessMissing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** The error of a connection or an API call as the runtime knows it. */
export function wireError(wire: string, error: unknown): QuadrilleError {
  if (error instanceof QuadrilleError) return error
  const message = error instanceof Error ? error.message : String(error)
  if (isNotEnabled(error))
    return new QuadrilleError('WIRE_INCOMPATIBLE', { wire, problem: `the server has no JetStream (${message})` }, error)
  // What the server refuses will be refused again; all else is the connection.
  if (error instanceof JetStreamApiError && error.status < 500)
    return new QuadrilleError('WIRE_INCOMPATIBLE', { wire, problem: message }, error)
  return new QuadrilleError('WIRE_UNREACHABLE', { wire, message }, error)
}

/** How long a stream that is gone stays gone before it is made again. */
export const settleMs = 1_000

/**
 * Finds the stream, or makes it; `settle` is waited for before. Needed where a stream was there a moment ago: the server
 * says that it and its consumers are gone before it removes their files, and would remove those of a new one of that name.
 */
export async function ensureStream(
  manager: JetStreamManager,
  settings: NatsSettings,
  settle?: () => Promise<void>,
): Promise<StreamInfo> {
  const { stream, prefix, name: wire } = settings
  let found = await unlessMissing(manager.streams.info(stream))
  if (!found) {
    await settle?.()
    found = await addStream(manager, stream, {
      subjects: [`${prefix}.>`],
      retention: RetentionPolicy.Limits,
      storage: StorageType.File,
      num_replicas: settings.replicas,
      max_age: nanos(settings.maxAgeMs),
      max_bytes: settings.bytesMax,
      // A full stream refuses: events then wait in the ledger, instead of pushing out what nobody has read.
      discard: DiscardPolicy.New,
      duplicate_window: nanos(Math.min(settings.dedupeMs, settings.maxAgeMs)),
    })
  }
  if (!found.config.subjects?.some((subject) => subject === `${prefix}.>` || subject === '>')) {
    const problem = `the stream ${stream} has the subjects ${found.config.subjects?.join(', ')}, and not ${prefix}.>`
    throw new QuadrilleError('WIRE_INCOMPATIBLE', { wire, problem })
  }
  await ensurePositions(manager, settings)
  return found
}

async function ensurePositions(manager: JetStreamManager, settings: NatsSettings): Promise<void> {
  if (await unlessMissing(manager.streams.info(settings.positionStream))) return
  await addStream(manager, settings.positionStream, {
    subjects: [`${settings.prefix}_positions.*`],
    storage: StorageType.File,
    num_replicas: settings.replicas,
    max_msgs_per_subject: 1,
  })
}

async function addStream(
  manager: JetStreamManager,
  name: string,
  config: Omit<Parameters<JetStreamManager['streams']['add']>[0], 'name'>,
): Promise<StreamInfo> {
  try {
    return await manager.streams.add({ name, ...config })
  } catch (error) {
    // Another process was faster, perhaps with other options: what is there holds.
    if (error instanceof JetStreamApiError && error.code === taken) return manager.streams.info(name)
    throw error
  }
}

/** How far a subscription has come: everything up to `seq` of the stream that was made at `created` is done. */
export interface Position {
  readonly created: string
  readonly seq: number
}

/** What the second memory knows of a subscription. */
export async function readPosition(
  manager: JetStreamManager,
  settings: NatsSettings,
  service: string,
): Promise<Position | undefined> {
  const query = { last_by_subj: positionSubject(settings, service) }
  const message = await unlessMissing(manager.streams.getMessage(settings.positionStream, query))
  return message ? message.json<Position>() : undefined
}

/** Remembers how far a subscription has come. */
export async function writePosition(
  manager: JetStreamManager,
  settings: NatsSettings,
  at: Position & { readonly service: string },
): Promise<void> {
  const { service, ...position } = at
  await manager.jetstream().publish(positionSubject(settings, service), JSON.stringify(position))
}

const positionSubject = (settings: NatsSettings, service: string): string =>
  `${settings.prefix}_positions.${consumerName(service)}`

/** The subjects a consumer asks for: each of them where the server can (2.10), otherwise what has them all in common. */
export function filterOf(settings: NatsSettings, types: readonly string[], serverVersion: string) {
  const subjects = [...new Set(types.map((type) => subjectOf(settings.prefix, type)))].sort()
  if (subjects.length === 1) return { filter_subject: subjects[0]! }
  if (atLeast210(serverVersion)) return { filter_subjects: subjects }
  const split = subjects.map((subject) => subject.split('.'))
  const differs = split[0]!.findIndex((part, at) =>
    split.some((other) => other[at] !== part || at === other.length - 1),
  )
  return { filter_subject: [...split[0]!.slice(0, differs), '>'].join('.') }
}

function atLeast210(version: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  return major > 2 || (major === 2 && minor >= 10)
}

/** What {@link ensureConsumer} found or made. */
export interface FoundConsumer {
  /** The stream's own birth; positions of another one mean nothing. */
  readonly created: string
  /** What can not be received any more; null when nothing is missing. */
  readonly gap: string | null
}

/**
 * Finds the durable consumer of a service and brings its filter up to date, or makes it where the service had come to.
 *
 * @throws QuadrilleError `WIRE_POSITION_LOST` for a gap that is to be refused; the consumer and its position stay as they are.
 */
export async function ensureConsumer(
  manager: JetStreamManager,
  settings: NatsSettings,
  subscription: Subscription & {
    readonly serverVersion: string
    /** Not while connected: then it goes on, and the gap is told. */
    readonly refusesGaps: boolean
    /** As of {@link ensureStream}. */
    readonly settle?: () => Promise<void>
  },
): Promise<FoundConsumer> {
  const durable = consumerName(subscription.service)
  const stream = await ensureStream(manager, settings, subscription.settle)
  const position = await readPosition(manager, settings, subscription.service)
  const types = [...subscription.types.map(({ type }) => type), ...((await subscription.alsoWanted?.()) ?? [])]
  const filter = filterOf(settings, types, subscription.serverVersion)
  const limits = { ack_wait: nanos(settings.ackWaitMs), max_ack_pending: settings.heldMax }
  const found = await unlessMissing(manager.consumers.info(settings.stream, durable))
  const reached = position?.created === stream.created ? position.seq : undefined
  const isForgotten = !found && !position && isKnown(subscription)
  const gap = isForgotten ? forgottenText(settings) : gapOf({ stream, known: position, reached, found })
  if (gap !== null && subscription.refusesGaps) {
    const { service } = subscription
    throw new QuadrilleError('WIRE_POSITION_LOST', { wire: settings.name, service, problem: gap })
  }
  const sameFilter = found !== undefined && isSameFilter(found, filter)
  if (found && (sameFilter || atLeast210(subscription.serverVersion))) {
    await manager.consumers.update(settings.stream, durable, { ...limits, ...filter })
    return { created: stream.created, gap }
  }
  // Servers before 2.10 take another filter, and go on with the old one: there the consumer is made again at its place.
  if (found) await manager.consumers.delete(settings.stream, durable)
  const done = found && found.ack_floor.stream_seq > 0 ? found.ack_floor.stream_seq : reached
  const fromOldest = isForgotten || position !== undefined || subscription.from === 'beginning'
  const start =
    done !== undefined
      ? { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: done + 1 }
      : { deliver_policy: fromOldest ? DeliverPolicy.All : DeliverPolicy.New }
  const common = { durable_name: durable, ack_policy: AckPolicy.Explicit, max_deliver: -1 }
  await manager.consumers.add(settings.stream, { ...common, ...limits, ...filter, ...start })
  const seq = fromOldest ? Math.max(0, stream.state.first_seq - 1) : stream.state.last_seq
  if (reached === undefined)
    await writePosition(manager, settings, { service: subscription.service, created: stream.created, seq })
  return { created: stream.created, gap }
}

const forgottenText = ({ stream, positionStream }: NatsSettings): string =>
  `the consumer of the service is gone from ${stream}, and its position from ${positionStream}, though it has received ` +
  'from there; both streams or the data of the server were removed, or the service or a stream has another name now'

const isSameFilter = ({ config }: ConsumerInfo, filter: ReturnType<typeof filterOf>): boolean => {
  const subjects = (of: { filter_subject?: string; filter_subjects?: string[] }) =>
    [...(of.filter_subjects ?? []), ...(of.filter_subject ? [of.filter_subject] : [])].sort().join(' ')
  return subjects(config) === subjects(filter)
}

function gapOf(at: {
  readonly stream: StreamInfo
  readonly known: Position | undefined
  readonly reached: number | undefined
  readonly found: ConsumerInfo | undefined
}): string | null {
  const { stream, known, reached, found } = at
  const { name } = stream.config
  if (known && reached === undefined) return `the stream ${name} was made anew on ${stream.created}`
  if (!known && !found) return null
  // Our own memory first: a purge of the whole stream moves the consumer's place, and hides that anything was there.
  const position = reached ?? found!.delivered.stream_seq
  const first = stream.state.first_seq
  return first > position + 1 ? `${first - position - 1} messages before number ${first} of ${name} are gone` : null
}
