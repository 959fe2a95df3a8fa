/** What a user says about Kafka, checked, with defaults filled in. */
import type { ConnectionOptions } from 'node:tls'
import { numberOption, QuadrilleError, refuseOption, refuseUnknown } from 'quadrille'

/** How to log in. Secrets may be functions, asked at each connection. */
export interface KafkaSasl {
  readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512' | 'OAUTHBEARER'
  readonly username?: string | (() => string | Promise<string>)
  readonly password?: string | (() => string | Promise<string>)
  /** For OAUTHBEARER: a function is asked again before the broker wants to see a new one. */
  readonly token?: string | (() => string | Promise<string>)
  /** For OAUTHBEARER, where the broker wants more than a token: `{ logicalCluster: 'lkc-1', identityPoolId: 'pool-1' }`. */
  readonly extensions?: Readonly<Record<string, string>>
}

/** How topics are made that are missing. A topic that exists is never changed. */
export interface KafkaTopicOptions {
  /** Partitions of a new topic: how many processes of a service can share its work. Default: as the broker is set up. */
  readonly partitions?: number
  /** Copies of a new topic. Default: as the broker is set up. */
  readonly replicas?: number
  /** Further settings of a new topic by their Kafka names, such as `{ 'retention.ms': '604800000' }`. */
  readonly settings?: Readonly<Record<string, string>>
}

/** Options of {@link kafka}. */
export interface KafkaOptions {
  /** One or more brokers as `host:port`. */
  readonly brokers: readonly string[]
  /** Default `kafka`. Progress is stored under it: keep it. */
  readonly name?: string
  /** Names this client in the broker's logs and quotas. Default `quadrille`. */
  readonly clientId?: string
  readonly sasl?: KafkaSasl
  /** True for TLS with the system's authorities, or options of `node:tls`. Default: none. */
  readonly tls?: boolean | ConnectionOptions
  /** The topic of an event type. Default: the type itself. Several types may share a topic. */
  readonly topic?: (type: string) => string
  /** The consumer group of a service. Default: the service itself. Keep it: positions are stored under it. */
  readonly group?: (service: string) => string
  /** How missing topics are made; false for not at all: then a missing one is an error. */
  readonly topics?: KafkaTopicOptions | false
  /** The largest message, attributes included. Default 1,000,000: what fits a broker with its defaults. */
  readonly messageBytesMax?: number
  /** How long a process may be silent before others get its partitions, milliseconds. Default 10,000. */
  readonly sessionMs?: number
  /** How long one request may take before its connection counts as dead, milliseconds. Default 5,000. */
  readonly requestMs?: number
}

/** A login as the client wants it. */
type ClientSasl = Omit<KafkaSasl, 'extensions'> & { readonly oauthBearerExtensions?: Record<string, string> }

/** The options as the parts of the wire see them. */
export interface KafkaSettings {
  readonly name: string
  readonly client: {
    readonly clientId: string
    readonly bootstrapBrokers: string[]
    readonly sasl?: ClientSasl
    readonly tls?: ConnectionOptions
    readonly connectTimeout: number
    readonly retryDelay: number
  }
  readonly topicOf: (type: string) => string
  readonly groupOf: (service: string) => string
  readonly topics: KafkaTopicOptions | false
  readonly messageBytesMax: number
  readonly sessionMs: number
  readonly requestMs: number
}

const optionNames: Readonly<Record<keyof KafkaOptions, true>> = {
  brokers: true,
  name: true,
  clientId: true,
  sasl: true,
  tls: true,
  topic: true,
  group: true,
  topics: true,
  messageBytesMax: true,
  sessionMs: true,
  requestMs: true,
}

const saslNames: Readonly<Record<keyof KafkaSasl, true>> = {
  mechanism: true,
  username: true,
  password: true,
  token: true,
  extensions: true,
}

const topicNames: Readonly<Record<keyof KafkaTopicOptions, true>> = {
  partitions: true,
  replicas: true,
  settings: true,
}

const brokersExpected = "a list of brokers as 'host:port'"
const retryDelayMs = 100
const legalTopic = /^[a-zA-Z0-9._-]{1,249}$/

/** @throws QuadrilleError `OPTION_INVALID`. */
export function settingsOf(options: KafkaOptions): KafkaSettings {
  refuseUnknown(options, optionNames, { of: 'kafka()' })
  const name = options.name ?? 'kafka'
  if (!Array.isArray(options.brokers)) refuseOption(options.brokers, 'brokers', brokersExpected)
  const { brokers } = options
  const malformed = brokers.find((broker) => !/^[^\s:/]+:\d+$|^\[[^\]]+\]:\d+$/.test(broker))
  if (brokers.length === 0 || malformed !== undefined)
    refuseOption(JSON.stringify(malformed ?? brokers), 'brokers', brokersExpected)
  const requestMs = numberOption(options.requestMs ?? 5_000, { option: 'requestMs', min: 100 })
  const { sasl, tls, topic, group, topics = {} } = options
  if (sasl) refuseUnknown(sasl, saslNames, { of: 'kafka()', path: 'sasl' })
  if (topics) refuseUnknown(topics, topicNames, { of: 'kafka()', path: 'topics' })
  return {
    name,
    client: {
      clientId: options.clientId ?? 'quadrille',
      bootstrapBrokers: [...brokers],
      ...(sasl ? { sasl: clientSasl(sasl) } : {}),
      ...(tls ? { tls: tls === true ? {} : tls } : {}),
      connectTimeout: requestMs,
      retryDelay: retryDelayMs,
    },
    topicOf: (type) => legal(name, type, topic ? topic(type) : type),
    groupOf: (service) => (group ? group(service) : service),
    topics,
    messageBytesMax: numberOption(options.messageBytesMax ?? 1_000_000, { option: 'messageBytesMax', min: 1_000 }),
    sessionMs: numberOption(options.sessionMs ?? 10_000, { option: 'sessionMs', min: 1_000 }),
    requestMs,
  }
}

const clientSasl = ({ extensions, ...sasl }: KafkaSasl): ClientSasl =>
  extensions ? { ...sasl, oauthBearerExtensions: { ...extensions } } : sasl

function legal(wire: string, type: string, topic: string): string {
  if (legalTopic.test(topic) && topic !== '.' && topic !== '..') return topic
  const problem =
    `${JSON.stringify(topic)} can not name the topic of ${type}: Kafka takes letters, digits, dot, underscore and ` +
    'hyphen, at most 249'
  throw new QuadrilleError('WIRE_INCOMPATIBLE', { wire, problem: `${problem}; give another one with the option topic` })
}
