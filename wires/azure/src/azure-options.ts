/** What the wire to Service Bus can be told, and what it works with after checking. */
import {
  parseServiceBusConnectionString,
  type ServiceBusAdministrationClient,
  type ServiceBusClient,
  type ServiceBusClientOptions,
} from '@azure/service-bus'
import { durationMs, numberOption, refuseOption, refuseUnknown, type Duration, type NumberRule } from 'quadrille'

/** What the SDK takes for the identity of a program: mostly a `DefaultAzureCredential` of `@azure/identity`. */
export type Credential = ConstructorParameters<typeof ServiceBusClient>[1]

/** Options of {@link serviceBus}: a connection string, or a namespace with a credential. */
export interface ServiceBusOptions {
  /** Default 'servicebus'. Progress is stored under it. */
  readonly name?: string
  readonly connectionString?: string
  /** The host of the namespace, such as `shop.servicebus.windows.net`. */
  readonly namespace?: string
  /** For `namespace`: `new DefaultAzureCredential()` of `@azure/identity`, or any other that the SDK takes. */
  readonly credential?: Credential
  /** The topic that carries all events. Default 'quadrille'. */
  readonly topic?: string
  /**
   * Over how many sessions the keys are spread; 1 to 1,000, default 32. Events of one key are in one session, which one
   * process at a time receives, in order. With 'key' each key is a session of its own, for receivers of other kinds that
   * want it so: much slower, because a session has to be accepted for every few events. Changing it can turn round the
   * events of a key that are under way.
   */
  readonly sessions?: number | 'key'
  /** The most sessions that one process receives at a time. 1 to 1,000, default 32. */
  readonly receivers?: number
  /**
   * Fields of the data, by path (`status`, `card.kind`), that are sent beside the event, so that Service Bus can apply
   * `.where()` patterns on them. Only texts, numbers and booleans. Default none: then subscriptions filter by type only.
   */
  readonly fields?: readonly string[]
  /** Whether the topic, subscriptions and rules that are missing are made; needs the right to manage. Default true. */
  readonly create?: boolean
  /** How events come: fetched by this process, or handed in by Azure Functions. Default 'polling'. */
  readonly receiveBy?: 'polling' | 'functions'
  /** How long a session is locked at a time; renewed at half of what is left. 5 s to 5 m, default '30s'. */
  readonly lock?: Duration
  /** For how long Service Bus drops what is sent twice, of a topic that is made here. 20 s to 7 d, default '10m'. */
  readonly dedupe?: Duration
  /** How long an operation may take. Default '10s'. */
  readonly timeout?: Duration
  /** The largest message. Default 262,144 (256 KiB, of the standard tier). */
  readonly messageBytesMax?: number
  /** How long a subscription may be behind without getting anything before health tells it. Default '1m'. */
  readonly stalled?: Duration
  /** For the client of the SDK: WebSockets, proxies, an own endpoint. */
  readonly client?: ServiceBusClientOptions
  /** The administration client, where it needs options of its own. Default: one for the same namespace. */
  readonly administration?: ServiceBusAdministrationClient
}

/** {@link ServiceBusOptions}, checked. */
export interface AzureSettings {
  readonly name: string
  readonly connectionString: string | null
  readonly namespace: string
  readonly credential: Credential | null
  readonly topic: string
  readonly sessions: number | 'key'
  readonly receivers: number
  readonly fields: readonly string[]
  readonly create: boolean
  readonly receiveBy: 'polling' | 'functions'
  readonly lockMs: number
  readonly dedupeMs: number
  readonly timeoutMs: number
  readonly messageBytesMax: number
  readonly stalledMs: number
  readonly client: ServiceBusClientOptions
  readonly administration: ServiceBusAdministrationClient | null
}

const optionNames: Readonly<Record<keyof ServiceBusOptions, true>> = {
  name: true,
  connectionString: true,
  namespace: true,
  credential: true,
  topic: true,
  sessions: true,
  receivers: true,
  fields: true,
  create: true,
  receiveBy: true,
  lock: true,
  dedupe: true,
  timeout: true,
  messageBytesMax: true,
  stalled: true,
  client: true,
  administration: true,
}

function sessionsOf(sessions: number | 'key' = 32): number | 'key' {
  if (sessions === 'key') return sessions
  return numberOption(sessions, { option: "sessions (or 'key')", min: 1, max: 1_000 })
}

const topicName = /^[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,258}[A-Za-z0-9])?$/

/** What is wrong is told, but not the text itself: it may hold a key. */
function checkConnectionString(text: string): void {
  try {
    parseServiceBusConnectionString(text)
  } catch (error) {
    const example = 'Endpoint=sb://host/;SharedAccessKeyName=name;SharedAccessKey=key'
    refuseOption('not one', 'connectionString', `a connection string like ${example} (${(error as Error).message})`)
  }
}

/** @throws QuadrilleError `OPTION_INVALID`, `DURATION_INVALID`. */
export function checkedOptions(options: ServiceBusOptions): AzureSettings {
  refuseUnknown(options, optionNames, { of: 'serviceBus()' })
  const { connectionString, namespace, credential, topic = 'quadrille' } = options
  if (connectionString === undefined && (namespace === undefined || credential === undefined)) {
    refuseOption('missing', 'connectionString', 'a connection string, or namespace and credential')
  }
  if (connectionString !== undefined) checkConnectionString(connectionString)
  if (!topicName.test(topic)) refuseOption(topic, 'topic', 'letters, digits, full stops, hyphens and underscores')
  const ms = (
    option: 'lock' | 'dedupe' | 'timeout' | 'stalled',
    fallback: Duration,
    range: Omit<NumberRule, 'option'>,
  ) => numberOption(durationMs(options[option] ?? fallback, option), { ...range, option: `${option}, in ms,` })
  return {
    name: options.name ?? 'servicebus',
    connectionString: connectionString ?? null,
    namespace: namespace ?? '',
    credential: credential ?? null,
    topic,
    sessions: sessionsOf(options.sessions),
    receivers: numberOption(options.receivers ?? 32, { option: 'receivers', min: 1, max: 1_000 }),
    fields: options.fields ?? [],
    create: options.create ?? true,
    receiveBy: options.receiveBy ?? 'polling',
    lockMs: ms('lock', '30s', { min: 5_000, max: 300_000 }),
    dedupeMs: ms('dedupe', '10m', { min: 20_000, max: 604_800_000 }),
    timeoutMs: ms('timeout', '10s', { min: 500, max: 60_000 }),
    messageBytesMax: numberOption(options.messageBytesMax ?? 262_144, {
      option: 'messageBytesMax',
      min: 1_024,
      max: 104_857_600,
    }),
    stalledMs: ms('stalled', '1m', { min: 1_000, max: 86_400_000 }),
    client: options.client ?? {},
    administration: options.administration ?? null,
  }
}
