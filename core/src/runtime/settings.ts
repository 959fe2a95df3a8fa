/** The options of start(), checked and with every value filled in. */
import {
  consoleLogger,
  durationMs,
  numberOption,
  QuadrilleError,
  refuseUnknown,
  systemEnv,
  type Env,
  type Logger,
} from '../base/index.ts'
import type { AnyService, ReactionPolicy } from '../service/index.ts'
import type { RetentionOptions, StartOptions } from './app.ts'
import type { Hooks } from './hooks.ts'
import type { Tracing } from './tracing.ts'
import { wireSettings, type WireSettings } from './wires/wire-options.ts'

/** What everything in the runtime reads its numbers from. Durations are milliseconds. */
export interface Settings {
  readonly services: readonly AnyService[]
  readonly wires: readonly WireSettings[]
  readonly env: Env
  readonly log: Logger
  readonly hooks: readonly Hooks[]
  readonly policy: ReactionPolicy
  readonly batchMax: number
  readonly leaseMs: number
  readonly pollMs: number
  readonly eventBytesMax: number
  readonly conversationEventsMax: number
  readonly slowHandlerMs: number
  readonly retention: { readonly eventsMs: number; readonly memoryMs: number; readonly everyMs: number }
  readonly traceContext: StartOptions['traceContext']
  readonly tracing: Tracing | undefined
  readonly instance: string
}

/** The largest payload of an event, bytes. */
export const eventBytesMaxDefault = 262_144

const batchMaxMost = 5_000

const optionNames: Readonly<Record<keyof StartOptions, true>> = {
  services: true,
  ledger: true,
  wires: true,
  env: true,
  log: true,
  hooks: true,
  policy: true,
  batchMax: true,
  lease: true,
  poll: true,
  eventBytesMax: true,
  conversationEventsMax: true,
  slowHandler: true,
  retention: true,
  traceContext: true,
  tracing: true,
  instance: true,
}
const retentionNames: Readonly<Record<keyof RetentionOptions, true>> = { events: true, memory: true, every: true }

/** @throws QuadrilleError `OPTION_INVALID`, `DURATION_INVALID`, `SERVICE_INVALID` or `CONTRACT_CONFLICT`. */
export function settingsOf(options: StartOptions): Settings {
  refuseUnknown(options, optionNames, { of: 'start()' })
  refuseUnknown(options.retention ?? {}, retentionNames, { of: 'start()', path: 'retention' })
  const env = options.env ?? systemEnv
  const retention = options.retention ?? {}
  const { tracing } = options
  const given =
    options.hooks === undefined ? [] : Array.isArray(options.hooks) ? options.hooks : [options.hooks as Hooks]
  const hooks = tracing?.hooks ? [tracing.hooks, ...given] : given
  checkServices(options.services)
  const wires = wireSettings(options.wires ?? [], options.services)
  const memoryMs = durationMs(retention.memory ?? '30d', 'retention.memory')
  const bytesMax = numberOption(options.eventBytesMax ?? eventBytesMaxDefault, {
    option: 'eventBytesMax',
    min: 1,
    max: 2 ** 30,
  })
  checkMemory(options.services, memoryMs)
  return {
    services: options.services,
    wires,
    env,
    log: options.log ?? consoleLogger,
    hooks,
    policy: options.policy ?? {},
    batchMax: numberOption(options.batchMax ?? 1_000, { option: 'batchMax', min: 1, max: batchMaxMost }),
    leaseMs: atLeast(durationMs(options.lease ?? '2s', 'lease'), 100, 'lease'),
    pollMs: atLeast(durationMs(options.poll ?? '1s', 'poll'), 1, 'poll'),
    // Asked anew each time: some brokers say what they take only once they are reached.
    get eventBytesMax() {
      return leastOf(bytesMax, wires)
    },
    conversationEventsMax: numberOption(options.conversationEventsMax ?? 10_000, {
      option: 'conversationEventsMax',
      min: 1,
      max: 2 ** 30,
    }),
    slowHandlerMs: durationMs(options.slowHandler ?? '250ms', 'slowHandler'),
    retention: {
      eventsMs: durationMs(retention.events ?? '7d', 'retention.events'),
      memoryMs,
      everyMs: durationMs(retention.every ?? '1m', 'retention.every'),
    },
    traceContext: options.traceContext ?? tracing?.traceContext.bind(tracing),
    tracing,
    // Two processes with one name must not pass for each other.
    instance: options.instance === undefined ? env.uuid() : `${options.instance}/${env.uuid()}`,
  }
}

/** What a wire can not carry is refused when it is published, not when it is sent. */
function leastOf(bytesMax: number, wires: readonly WireSettings[]): number {
  return wires.reduce((least, { wire }) => {
    const bytes = wire.capabilities.messageBytesMax
    return bytes === null ? least : Math.min(least, Math.max(1, bytes - attributesBytes))
  }, bytesMax)
}

/** Room for what goes with the payload: ids, trace context, a key. */
const attributesBytes = 8_192

function atLeast(valueMs: number, minMs: number, option: string): number {
  if (valueMs >= minMs) return valueMs
  throw new QuadrilleError('OPTION_INVALID', { option, value: `${valueMs} ms`, expected: `at least ${minMs} ms` })
}

function checkServices(services: readonly AnyService[]): void {
  if (!Array.isArray(services) || services.length === 0)
    throw new QuadrilleError('OPTION_INVALID', { option: 'services', value: '[]', expected: 'at least one service' })
  const keys = new Map<string, { key: string; service: string }>()
  const names = new Set<string>()
  for (const service of services) {
    if (names.has(service.name))
      throw new QuadrilleError('SERVICE_INVALID', {
        service: service.name,
        problem: 'two services of the app have this name',
      })
    names.add(service.name)
    for (const reaction of service.describe().reactions) {
      for (const { type, key } of [...reaction.triggers, ...reaction.unless, ...(reaction.undo?.on ?? [])]) {
        const known = keys.get(type)
        if (known && known.key !== key)
          throw new QuadrilleError('CONTRACT_CONFLICT', { type, services: [known.service, service.name] })
        keys.set(type, { key, service: service.name })
      }
    }
  }
}

/** Half of the memory is for what a service waits for by declaration: see ./memory-rounds.ts. */
function checkMemory(services: readonly AnyService[], memoryMs: number): void {
  for (const service of services) {
    for (const { kind, name, withinMs } of service.describe().reactions) {
      if (kind === 'on' || withinMs === null || withinMs * 2 <= memoryMs) continue
      throw new QuadrilleError('MEMORY_TOO_SHORT', { reaction: `${service.name}/${name}`, withinMs, memoryMs })
    }
  }
}
