/** What the wires to SNS and SQS can be told, and what they work with after checking. */
import type { SNSClientConfig } from '@aws-sdk/client-sns'
import type { SQSClientConfig } from '@aws-sdk/client-sqs'
import { durationMs, numberOption, refuseOption, refuseUnknown, type Duration, type NumberRule } from 'quadrille'

/** Options of {@link sns}, and of {@link sqs}. */
export interface AwsOptions {
  /** Default 'sns' or 'sqs'. Progress is stored under it. */
  readonly name?: string
  /**
   * For both clients of the AWS SDK: `region`, `endpoint`, `credentials`, ... What is left out comes from where the SDK
   * always looks: environment, shared configuration, the role of the machine or function.
   */
  readonly client?: SNSClientConfig & SQSClientConfig
  /** The names of topics and queues begin with it. Default 'quadrille-'. */
  readonly prefix?: string
  /**
   * FIFO topics and queues, which keep the events of one key in order. Default true. Standard ones carry more and may
   * turn events round, which `start()` refuses where order per key is asked for.
   */
  readonly fifo?: boolean
  /**
   * Whether topics, queues and subscriptions that are missing are made. Default true. With false, what is missing is
   * `WIRE_INCOMPATIBLE`, which names it: for those who declare them elsewhere.
   */
  readonly create?: boolean
  /**
   * Whether SNS hands messages to new subscriptions as they are. Default true. With false it wraps them and tells the
   * topic, which only topics need whose messages are no CloudEvents. Both are understood.
   */
  readonly raw?: boolean
  /** How events come: fetched by this process, or handed in by Lambda (`sqsHandler` and `snsHandler`). Default 'polling'. */
  readonly receiveBy?: 'polling' | 'lambda'
  /** For how long a fetched message is hidden from others; renewed at a third of it. 3 s to 12 h, default '30s'. */
  readonly visibility?: Duration
  /**
   * How long a fetch waits for messages, and so `stop()` for a fetch. 0 to 20 s, default '5s'; more costs fewer requests
   * while nothing happens.
   */
  readonly wait?: Duration
  /** The most fetches at the same time, each of up to 10 messages. 1 to 50, default 8. */
  readonly pollers?: number
  /** How long a call may take that does not wait. Default '10s'. */
  readonly timeout?: Duration
  /**
   * How often the wire to SNS looks whether the subscriptions of a queue are still there, and makes those that were removed. A look
   * costs a request for each topic and a few more. Default '1m'.
   */
  readonly checkEvery?: Duration
  /** The largest message, attributes included. Default 262,144 (256 KiB), which is all that SNS takes. */
  readonly messageBytesMax?: number
}

/** Options of {@link sqs}. */
export interface SqsOptions extends AwsOptions {
  /**
   * Event types and the services that receive them: without SNS, the sender puts a copy into the queue of each. Or a
   * function that tells the services of a type.
   */
  readonly queues: Readonly<Record<string, readonly string[]>> | ((type: string) => readonly string[])
}

/** {@link AwsOptions}, checked. */
export interface AwsSettings {
  readonly name: string
  readonly client: SNSClientConfig & SQSClientConfig
  readonly prefix: string
  readonly fifo: boolean
  readonly create: boolean
  readonly raw: boolean
  readonly receiveBy: 'polling' | 'lambda'
  readonly visibilityMs: number
  readonly waitMs: number
  readonly pollers: number
  readonly timeoutMs: number
  readonly checkEveryMs: number
  readonly messageBytesMax: number
  /** Null when SNS copies events to the queues. */
  readonly queues: ((type: string) => readonly string[]) | null
}

/** All that one call of SNS or SQS takes, and the most of one message by default. */
export const requestBytesMax = 262_144

type Range = Pick<NumberRule, 'min' | 'max'>

function routesOf(queues: SqsOptions['queues'] | undefined): AwsSettings['queues'] {
  if (queues === undefined || typeof queues === 'function') return queues ?? null
  const map = new Map(Object.entries(queues))
  return (type) => map.get(type) ?? []
}

const optionNames = {
  name: true,
  client: true,
  prefix: true,
  fifo: true,
  create: true,
  raw: true,
  receiveBy: true,
  visibility: true,
  wait: true,
  pollers: true,
  timeout: true,
  checkEvery: true,
  messageBytesMax: true,
} satisfies Readonly<Record<keyof AwsOptions, true>>

/** @throws QuadrilleError `OPTION_INVALID`, `DURATION_INVALID`. */
export function checkedOptions(options: AwsOptions & Partial<SqsOptions>, name: 'sns' | 'sqs'): AwsSettings {
  const known = name === 'sns' ? optionNames : { ...optionNames, queues: true }
  refuseUnknown<AwsOptions>(options, known, { of: `${name}()` })
  const { queues } = options
  if (name === 'sqs' && (queues === null || !['object', 'function'].includes(typeof queues)))
    refuseOption(queues, 'queues', 'services by type, such as { "order.created": ["payments"] }, or a function')
  const prefix = options.prefix ?? 'quadrille-'
  if (!/^[A-Za-z0-9_-]{0,40}$/.test(prefix)) {
    refuseOption(prefix, 'prefix', 'up to 40 letters, digits, hyphens and underscores')
  }
  const ms = (option: 'visibility' | 'wait' | 'timeout' | 'checkEvery', fallback: Duration, range: Range) =>
    numberOption(durationMs(options[option] ?? fallback, option), { ...range, option: `${option}, in ms,` })
  return {
    name: options.name ?? name,
    client: options.client ?? {},
    prefix,
    fifo: options.fifo ?? true,
    create: options.create ?? true,
    raw: options.raw ?? true,
    receiveBy: options.receiveBy ?? 'polling',
    visibilityMs: ms('visibility', '30s', { min: 3_000, max: 43_200_000 }),
    waitMs: ms('wait', '5s', { min: 0, max: 20_000 }),
    pollers: numberOption(options.pollers ?? 8, { option: 'pollers', min: 1, max: 50 }),
    timeoutMs: ms('timeout', '10s', { min: 100, max: 300_000 }),
    checkEveryMs: ms('checkEvery', '1m', { min: 100, max: 86_400_000 }),
    messageBytesMax: numberOption(options.messageBytesMax ?? requestBytesMax, {
      option: 'messageBytesMax',
      min: 1_024,
      max: 1_048_576,
    }),
    queues: routesOf(options.queues),
  }
}
