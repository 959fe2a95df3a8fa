/** The option `wires` of start(): what a user may say about a wire, checked and with every value filled in. */
import { QuadrilleError, refuseUnknown } from '../../base/index.ts'
import type { AnyPattern, Emitted } from '../../contracts/index.ts'
import {
  effectivePolicy,
  emitsOf,
  triggersOf,
  type AnyService,
  type FullRetry,
  type RetryPolicy,
} from '../../service/index.ts'
import type { Wire } from '../../wire/index.ts'

/** Event types: these, or all but these. */
export type TypeSelection = readonly (AnyPattern | string)[] | { readonly except: readonly (AnyPattern | string)[] }

/** A message of a sender that does not speak CloudEvents. */
export interface ForeignMessage {
  /** The topic, subject or queue that it was read from. */
  readonly channel: string
  /** The headers of the message; null for none. */
  readonly attributes: Readonly<Record<string, string>> | null
  readonly body: Uint8Array
  /** The body as UTF-8 text. */
  text(): string
  /** The body as JSON. @throws SyntaxError when it is none: the message becomes a dead letter. */
  json(): unknown
}

/** How the messages of a foreign topic become events. */
export interface ForeignMapping {
  /** The events that `map` makes: services that react to one of them get the topic. */
  readonly events: readonly AnyPattern[]
  /**
   * Makes events of a message; nothing, to pass over it. Give each event an `id` that is the same when the message comes
   * again; without one, the id is derived from topic and content, so that a copy of a message is a duplicate. What it
   * throws makes the message a dead letter.
   */
  readonly map: (message: ForeignMessage) => Emitted | readonly Emitted[] | null | undefined
}

/** Where a wire that is new begins. */
export type WireStart = 'beginning' | 'now'

/** A wire, and what is wanted of it. */
export interface WireOptions {
  readonly wire: Wire
  /** The event types that it sends. Default: every event that was made here. */
  readonly sends?: TypeSelection
  /** The event types that it receives. Default: every type that a service of this app reacts to. */
  readonly receives?: TypeSelection
  /**
   * Where it begins when it is new: `beginning` or `now`, for sending (what the ledger holds already) and for receiving
   * (what the broker holds already). A wire that is new on a ledger with events of its own must say so. Default for
   * receiving: `beginning` where the wire can, otherwise `now`, which is logged once. Where the two differ, each is named.
   */
  readonly from?: WireStart | { readonly sends?: WireStart; readonly receives?: WireStart }
  /** Goes on where the broker has dropped messages that were still to be received, instead of refusing to start. */
  readonly lost?: 'accept'
  /** Set to use a wire that does not keep events of one key in order. */
  readonly unordered?: true
  /**
   * Lets the broker apply `.where()` patterns, where the wire can. Only for contracts of one version whose schema leaves
   * the fields of the patterns as they are sent: the broker sees what was sent, not what the schema makes of it.
   */
  readonly filter?: true
  /** Also sends on what came over other wires: this app is a bridge. */
  readonly forwards?: true
  /** How often and when an event that the broker refuses is sent again. Default: 8 attempts, 200 ms to 1 minute. */
  readonly retry?: RetryPolicy
  /** Topics of senders that do not speak CloudEvents, by their exact names. */
  readonly foreign?: Readonly<Record<string, ForeignMapping>>
}

/** The options of one wire with every value filled in. */
export interface WireSettings {
  readonly wire: Wire
  readonly name: string
  /** True for the types that are sent. */
  readonly sends: (type: string) => boolean
  /** The types that are sent when these are all; undefined when there may be others. */
  readonly sendsOnly: readonly string[] | undefined
  /** What is known to be sent, for the topics that are made at once. */
  readonly announced: readonly string[]
  readonly receives: (type: string) => boolean
  readonly sendFrom: 'beginning' | 'now' | undefined
  readonly receiveFrom: 'beginning' | 'now'
  /** True when nobody has said where a new subscription starts, and the wire can only start it now. */
  readonly onlyFromNow: boolean
  readonly lost: 'accept' | undefined
  readonly filter: boolean
  readonly forwards: boolean
  readonly retry: FullRetry
  readonly foreign: ReadonlyMap<string, ForeignMapping>
}

const optionNames: Readonly<Record<keyof WireOptions, true>> = {
  wire: true,
  sends: true,
  receives: true,
  from: true,
  lost: true,
  unordered: true,
  filter: true,
  forwards: true,
  retry: true,
  foreign: true,
}

const typeOf = (each: AnyPattern | string): string => (typeof each === 'string' ? each : each.type)

/** @throws QuadrilleError `OPTION_INVALID` or `WIRE_CANNOT`. */
export function wireSettings(
  wires: readonly (Wire | WireOptions)[],
  services: readonly AnyService[],
): readonly WireSettings[] {
  const names = new Set<string>()
  return wires.map((each) => {
    if ('wire' in each) refuseUnknown<WireOptions>(each, optionNames, { of: 'start()', path: 'wires' })
    const options = 'wire' in each ? each : { wire: each }
    const settings = settingsOf(options, services)
    if (names.has(settings.name)) cannot(settings.name, 'another wire of the app has the same name')
    names.add(settings.name)
    return settings
  })
}

function settingsOf(options: WireOptions, services: readonly AnyService[]): WireSettings {
  const { wire, sends, from, lost, filter, forwards, foreign } = options
  const { name, capabilities } = wire
  if (!/^[a-z0-9][a-z0-9._-]{0,99}$/i.test(name))
    throw new QuadrilleError('OPTION_INVALID', {
      option: 'wires',
      value: JSON.stringify(name),
      expected: 'wires whose names have 1 to 100 characters of a-z A-Z 0-9 . _ -',
    })
  if (capabilities.order === 'none' && options.unordered !== true)
    cannot(name, 'it does not keep events of one key in order; if that is all right, say `unordered: true`')
  // Where nothing is received, `from` is about sending alone, which can begin anywhere.
  const receivesSome = options.receives === undefined || 'except' in options.receives || options.receives.length > 0
  const { sends: sendFrom, receives: receiveFrom } = typeof from === 'object' ? from : { sends: from, receives: from }
  if (receivesSome && receiveFrom !== undefined && !capabilities.from.includes(receiveFrom)) {
    const only = `a subscription can not start from '${receiveFrom}', only from '${capabilities.from.join("' or '")}'`
    cannot(name, typeof from === 'object' ? only : `${only}; for sending alone say from: { sends: '${receiveFrom}' }`)
  }
  if (filter && !capabilities.filters) cannot(name, 'it does not filter')
  const policy = effectivePolicy({ reaction: options.retry ? { retry: options.retry } : {} }, `wire ${name}`)
  const sendsOnly = sends !== undefined && !('except' in sends) ? sends.map(typeOf) : undefined
  const isSent = selects(sends)
  const emitted = services.flatMap(({ reactions }) => reactions.flatMap(emitsOf)).map(({ type }) => type)
  return {
    wire,
    name,
    sends: isSent,
    sendsOnly,
    announced: sendsOnly ?? [...new Set(emitted)].filter(isSent),
    receives: selects(options.receives),
    sendFrom,
    receiveFrom: receiveFrom ?? (capabilities.from.includes('beginning') ? 'beginning' : 'now'),
    onlyFromNow: receiveFrom === undefined && !capabilities.from.includes('beginning'),
    lost,
    filter: filter === true,
    forwards: forwards === true,
    retry: policy.retry,
    foreign: new Map(Object.entries(foreign ?? {}).map(exactly)),
  }
}

/** A broker that knows wildcards would hand over what no mapping is found for. @throws QuadrilleError `OPTION_INVALID`. */
function exactly([name, mapping]: [string, ForeignMapping]): [string, ForeignMapping] {
  if (name === '' || /[\s*>]|(^|[./])#([./]|$)/.test(name))
    throw new QuadrilleError('OPTION_INVALID', {
      option: 'wires.foreign',
      value: JSON.stringify(name),
      expected: 'the exact names of topics, without wildcards and spaces',
    })
  return [name, mapping]
}

function selects(selection: TypeSelection | undefined): (type: string) => boolean {
  if (selection === undefined) return () => true
  const isExcept = 'except' in selection
  const types = new Set((isExcept ? selection.except : selection).map(typeOf))
  return isExcept ? (type) => !types.has(type) : (type) => types.has(type)
}

function cannot(wire: string, problem: string): never {
  throw new QuadrilleError('WIRE_CANNOT', { wire, problem })
}

/** What a service wants to receive over a wire: its triggers, and the foreign topics that make them. */
export function wantedTypes(service: AnyService, settings: WireSettings) {
  const triggers = service.reactions.flatMap(triggersOf).map(({ trigger }) => trigger)
  const wanted = Map.groupBy(triggers, ({ type }) => type)
  const types = [...wanted].flatMap(([type, all]) => {
    if (!settings.receives(type)) return []
    const mayFilter = settings.filter && all.every(({ pattern, contract }) => pattern && contract.latest === 1)
    return [{ type, patterns: mayFilter ? all.map(({ pattern }) => pattern!) : null }]
  })
  const foreign = [...settings.foreign]
    .filter(([, { events }]) => events.some(({ type }) => wanted.has(type)))
    .map(([type]) => ({ type, patterns: null }))
  return [...types.filter(({ type }) => !settings.foreign.has(type)), ...foreign]
}
