/** What a conformance case works with, and what an adapter provides so that the cases can run on it. */
import { QuadrilleError, silentLogger, type Env } from '../../base/index.ts'
import type { Deliver, Receiver, Subscription, Wire, WireCapabilities, WireNotice } from '../wire.ts'

/** What a test can do to a broker and its connections. Each is optional; a case that needs one that is missing is left out. */
export interface WireHooks {
  /** Puts bytes where events of this type go, past any wire: what a foreign or broken sender would send. */
  inject(message: { readonly type: string; readonly service: string; readonly body: Uint8Array }): Promise<void>
  /** Ends this wire as a kill -9 of its process would: connections gone, nothing acknowledged, no farewell. */
  crash(wire: Wire): Promise<void>
  /** Lets no byte of this wire through any more, in both directions, while its connections stay open. Returns the way back. */
  freeze(wire: Wire): Promise<() => Promise<void>>
  /** Kills the broker (kill -9). Returns how to start it again on the same data; that resolves when it answers. */
  killBroker(): Promise<() => Promise<void>>
  /** Removes the subscription of a service at the broker (queue, group, consumer, stream) while it is in use. */
  removeSubscription(subscription: { readonly service: string; readonly types: readonly string[] }): Promise<void>
  /** Makes the broker forget messages that the subscription has not received, as retention would. */
  dropUnread(subscription: { readonly service: string; readonly types: readonly string[] }): Promise<void>
  /** Lets the broker forget the subscription with every trace of it, as after a loss of its data. */
  forget(subscription: { readonly service: string; readonly types: readonly string[] }): Promise<void>
  /** How many messages the broker has handed to receivers of the service that are not acknowledged. */
  outstanding(subscription: { readonly service: string; readonly types: readonly string[] }): Promise<number>
}

/** A broker, or a corner of one, made for one case. */
export interface WirePlace {
  /** A wire to this broker, not yet open. Called again, one that knows the first no better than another process. */
  connect(): Wire
  readonly env: Env
  readonly hooks: Partial<WireHooks>
  /** Removes what the case has made. Every wire has been closed. */
  remove(): Promise<void>
}

/** How an adapter is made and removed for the cases. */
export interface WireHarness {
  /** For the name of the suite and the column of the matrix. */
  readonly name: string
  /** What the wire declares: cases on what it can not do are left out, and so reported. */
  readonly capabilities: WireCapabilities
  /** For each hook that is not offered: why not. A hook that is neither offered nor named here fails the case. */
  readonly cannot?: Partial<Record<keyof WireHooks, string>>
  /** Cases that make no sense for this wire, by name, with the reason. */
  readonly leftOut?: Readonly<Record<string, string>>
  /** How long something may take that involves a lease or a reconnect of the broker. Default 15,000. */
  readonly patienceMs?: number
  /** How long the suite waits to see that nothing comes. Default 300. */
  readonly silenceMs?: number
  /** Makes the place for one case. */
  create(): Promise<WirePlace>
}

/** What a case gets. */
export interface WireWorld {
  /** An open wire that sends the types `a` and `b`. */
  readonly wire: Wire
  /** Event types and services of this case alone. */
  readonly a: string
  readonly b: string
  readonly service: string
  readonly otherService: string
  readonly capabilities: WireCapabilities
  readonly env: Env
  readonly hooks: WireHooks
  readonly patienceMs: number
  readonly silenceMs: number
  /** Everything that any wire of the case has noticed. */
  readonly notices: readonly WireNotice[]
  /** A wire of another process, open. The suite closes it. */
  readonly open: (sends?: readonly string[]) => Promise<Wire>
  /** A wire that is not open. The suite closes it. */
  readonly connect: () => Wire
  /** Called when the case has ended, well or not, before the wires are closed. */
  readonly afterwards: (() => void)[]
  /** Receives over a wire; `to` fills in what it does not name: service, type `a`, the strongest `from`. */
  readonly receive: (wire: Wire, deliver: Deliver, to?: Partial<Subscription>) => Promise<Receiver>
}

/** One promise of the {@link Wire} contract, as data, so that any runner and any adapter can use the same list. */
export interface WireCase {
  readonly name: string
  /** The hooks it needs. */
  readonly needs?: readonly (keyof WireHooks)[]
  /** What the wire must declare for the case to make sense: null when it does, otherwise why not. */
  readonly unless?: (capabilities: WireCapabilities) => string | null
  /** Fails with `CONFORMANCE_FAILED` when the promise is broken. */
  run(world: WireWorld): Promise<void>
}

const patienceMsDefault = 15_000
const silenceMsDefault = 300

/** Why a case does not run on this wire; null when it does. */
export function whyLeftOut(testCase: WireCase, harness: WireHarness): string | null {
  const named = harness.leftOut?.[testCase.name] ?? testCase.unless?.(harness.capabilities) ?? null
  if (named !== null) return named
  for (const hook of testCase.needs ?? []) {
    const why = harness.cannot?.[hook]
    if (why !== undefined) return `${hook}: ${why}`
  }
  return null
}

const missing = (hook: string) => (): never => {
  throw new QuadrilleError('CONFORMANCE_FAILED', {
    promise: `the harness offers the hook ${hook}, or says under cannot why not`,
    expected: 'one of them',
    got: 'neither',
  })
}

/** Runs one case at a place of its own, closes what it opened and removes the place. */
export async function runWireCase(testCase: WireCase, harness: WireHarness): Promise<void> {
  const place = await harness.create()
  const wires: Wire[] = []
  const afterwards: (() => void)[] = []
  try {
    await testCase.run(await worldOf(place, harness, { wires, afterwards }))
  } finally {
    try {
      for (const each of afterwards) each()
      for (const wire of wires) await wire.close()
    } finally {
      await place.remove()
    }
  }
}

async function worldOf(
  place: WirePlace,
  harness: WireHarness,
  made: { readonly wires: Wire[]; readonly afterwards: (() => void)[] },
): Promise<WireWorld> {
  const { env } = place
  const name = env.uuid().slice(-8)
  const notices: WireNotice[] = []
  const connect = () => {
    const wire = place.connect()
    made.wires.push(wire)
    return wire
  }
  const open = async (sends: readonly string[] = []) => {
    const wire = connect()
    await wire.open({ env, log: silentLogger, sends, notice: (notice) => notices.push(notice) })
    return wire
  }
  const [a, b, service] = [`case-${name}.a`, `case-${name}.b`, `service-${name}`]
  const wire = await open([a, b])
  const from = harness.capabilities.from.includes('beginning') ? 'beginning' : 'now'
  return {
    wire,
    a,
    b,
    service,
    otherService: `other-${name}`,
    capabilities: harness.capabilities,
    env,
    hooks: new Proxy(place.hooks as WireHooks, {
      get: (hooks, hook: keyof WireHooks) => hooks[hook] ?? missing(hook),
    }),
    patienceMs: harness.patienceMs ?? patienceMsDefault,
    silenceMs: harness.silenceMs ?? silenceMsDefault,
    notices,
    afterwards: made.afterwards,
    open,
    connect,
    receive: (on, deliver, to = {}) =>
      on.receive({ service, types: [{ type: a, patterns: null }], from, instance: env.uuid(), ...to }, deliver),
  }
}
