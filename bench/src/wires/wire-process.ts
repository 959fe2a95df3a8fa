/**
 * One side of a wire, in a process of its own: a ledger file with an app, or the bare client.
 *
 * The parent sends `Order`s, one after the other; each is answered by one message. A receiving side answers `ready` when
 * it is subscribed, and `received` when everything has come.
 */
import { silentLogger, service, start, type App } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { profiled } from '../cpu-profile.ts'
import { contractOf, dataOf, nowMs, rawMessage } from './wire-messages.ts'
import { wireSystems, type WireSystem } from './wire-systems.ts'

/** What the process is. */
export interface Side {
  readonly wire: string
  readonly role: 'sender' | 'receiver'
  readonly bare: boolean
  readonly url: string
  readonly place: string
  readonly type: string
  readonly file: string
  /** How many events come at full speed; the first of them do not count. */
  readonly events: number
  readonly warmUp: number
  readonly profile?: string
}

/** What the parent asks for. */
export type Order =
  | { readonly does: 'go' | 'cpu' | 'settle' | 'stop' }
  | { readonly does: 'steady'; readonly rate: number; readonly seconds: number }
  | { readonly does: 'latencies'; readonly events: number }

/** What has come. */
export interface Received {
  readonly seconds: number
  readonly counted: number
  readonly duplicates: number
}

const side = JSON.parse(process.argv[2]!) as Side
const system: WireSystem = await wireSystems[side.wire]!()
const Contract = contractOf(side.type)
const inFlight = 256

/** Counts what comes, and tells when it is all there. */
class Tally {
  #got = 0
  #began = 0
  duplicates = 0
  readonly all = Promise.withResolvers<Received>()
  readonly latencies: number[] = []
  #wanted = Infinity
  #measured = Promise.withResolvers<void>()

  add(bodies: readonly { readonly sentAt: () => number }[]): void {
    const before = this.#got
    this.#got += bodies.length
    if (before < side.warmUp && this.#got >= side.warmUp) {
      this.#began = performance.now()
      this.#counted = side.events - this.#got
    }
    if (before < side.events && this.#got >= side.events)
      this.all.resolve({
        seconds: (performance.now() - this.#began) / 1000,
        counted: this.#counted,
        duplicates: this.duplicates,
      })
    if (before >= side.events) for (const { sentAt } of bodies) this.latencies.push(nowMs() - sentAt())
    if (this.latencies.length >= this.#wanted) this.#measured.resolve()
  }

  #counted = 0

  async measured(events: number): Promise<readonly number[]> {
    this.#wanted = events
    if (this.latencies.length < events) await this.#measured.promise
    return this.latencies
  }
}

const sentAtOf = (body: string): number => (JSON.parse(body) as { sentAt: number }).sentAt

async function receiver(): Promise<Actions> {
  const tally = new Tally()
  let close: () => Promise<unknown>
  let settle: (() => Promise<unknown>) | undefined
  if (side.bare) {
    const utf8 = new TextDecoder()
    const raw = await system.rawReceiver({ url: side.url, topic: side.type, file: side.file }, (body) =>
      tally.add([{ sentAt: () => sentAtOf(utf8.decode(body)) }]),
    )
    close = () => raw.close()
  } else {
    // A reaction to none of them: what is measured ends with the ledger, and its reader passes over the events.
    const target = service('target').on(Contract.where({ note: 'none of them' }), () => {})
    const app = await start({
      services: [target],
      ledger: sqlite(side.file),
      log: silentLogger,
      wires: [{ wire: await system.wire(side.url, side.place, side.role), sends: [] }],
      hooks: {
        appended({ events, duplicates }) {
          tally.duplicates += duplicates
          tally.add(events.map(({ data }) => ({ sentAt: () => sentAtOf(data) })))
        },
      },
    })
    close = () => app.stop()
    settle = () => app.quiet()
  }
  return {
    go: () => profiled(side.profile, () => tally.all.promise),
    latencies: (events) => tally.measured(events),
    ...(settle ? { settle } : {}),
    stop: close,
  }
}

async function sender(): Promise<Actions> {
  const total = side.events
  if (side.bare) {
    const batch = 1_000
    const messages = Array.from({ length: total }, (_, n) => rawMessage(side.type, n, 0))
    const raw = await system.rawSender(side.url, side.type)
    return {
      go: async () => {
        for (let at = 0; at < total; at += batch) await raw.send(messages.slice(at, at + batch))
      },
      steady: (rate, seconds) =>
        paced(rate * seconds, rate, (n, at) => raw.send([rawMessage(side.type, total + n, at)])),
      stop: () => raw.close(),
    }
  }
  const source = service('source')
  let app: App = await start({ services: [source], ledger: sqlite(side.file), log: silentLogger })
  const publishers = Array.from({ length: inFlight }, async (_, first) => {
    for (let n = first; n < total; n += inFlight) await app.publish(Contract(dataOf(n, 0)))
  })
  await Promise.all(publishers)
  await app.stop()
  return {
    go: async () => {
      const wire = await system.wire(side.url, side.place, side.role)
      const sent = Promise.withResolvers<void>()
      let count = 0
      app = await start({
        services: [source],
        ledger: sqlite(side.file),
        log: silentLogger,
        wires: [{ wire, sends: [Contract], receives: [], from: 'beginning' }],
        hooks: {
          sent({ events }) {
            count += events.length
            if (count >= total) sent.resolve()
          },
        },
      })
      if (side.profile !== undefined) await profiled(side.profile, () => sent.promise)
    },
    steady: (rate, seconds) =>
      paced(rate * seconds, rate, (n, at) => app.publish(Contract(dataOf(total + n, at))).then(() => undefined)),
    settle: () => app.quiet(),
    stop: () => app.stop(),
  }
}

/** Acts so many times, each when it is due, whether or not the earlier ones have ended. */
async function paced(count: number, rate: number, act: (n: number, dueAt: number) => Promise<void>): Promise<void> {
  const began = nowMs()
  const acts: Promise<void>[] = []
  for (let n = 0; n < count; n++) {
    const dueAt = began + (n * 1000) / rate
    while (nowMs() < dueAt) await new Promise((resolve) => setTimeout(resolve, Math.max(1, dueAt - nowMs())))
    acts.push(act(n, nowMs()))
  }
  await Promise.all(acts)
}

interface Actions {
  go(): Promise<unknown>
  steady?(rate: number, seconds: number): Promise<void>
  latencies?(events: number): Promise<readonly number[]>
  settle?(): Promise<unknown>
  stop(): Promise<unknown>
}

const actions = side.role === 'sender' ? await sender() : await receiver()

let cpuBefore = process.cpuUsage()

async function act(order: Order): Promise<unknown> {
  if (order.does === 'steady') return actions.steady?.(order.rate, order.seconds)
  if (order.does === 'latencies') return actions.latencies?.(order.events)
  // What the readers have still to pass over would stand in the way of the first events of a latency run.
  if (order.does === 'settle') return actions.settle?.()
  if (order.does === 'cpu') {
    const { user, system: kernel } = process.cpuUsage(cpuBefore)
    return (user + kernel) / 1e6
  }
  if (order.does === 'go') {
    cpuBefore = process.cpuUsage()
    return actions.go()
  }
  await actions.stop()
  return process.disconnect()
}

process.on('message', (order: Order) => {
  act(order)
    .then((value) => process.connected && process.send!({ value: value ?? null }))
    .catch((error: unknown) => {
      console.error(error)
      process.exit(1)
    })
})
process.send!({ value: 'ready' })
