/** The script of a child process: runs services on a file, obeys its parent, and tells what it sees. */
import { start, type App, type Logger, type StartOptions, type WireOptions } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { memoryHub } from 'quadrille/memory'
import { jobServices, Job, legacyJob, LookOld, Slow, type JobData, type LookData, type SlowData } from './job-flow.ts'
import { OrderCreated, Noted, orderServices, shop, insertOrder, type OrderData } from './order-flow.ts'

/** What a child process is started with. */
export interface Setup {
  readonly file: string
  readonly outside: string
  readonly flow: 'orders' | 'jobs'
  /** Names of the services it runs; default all. */
  readonly services?: readonly string[]
  readonly lease?: number
  readonly poll?: number
  readonly batchMax?: number
  /** How long stop() may take after SIGTERM, milliseconds. */
  readonly deadline?: number
  /** Reports each appended event with the time at which this process has seen it. */
  readonly tellHandled?: boolean
  /** What another system has sent: its broker gives it to every process that has not acknowledged it. */
  readonly legacy?: readonly JobData[]
  /** Its standard error is not shown: it dies on purpose. */
  readonly silent?: boolean
}

/** What a child process tells. */
export type Report =
  | { readonly what: 'ready' }
  | { readonly what: 'acknowledged'; readonly ids: readonly string[] }
  | { readonly what: 'held'; readonly reader: string; readonly held: number }
  | { readonly what: 'log'; readonly level: string; readonly message: string; readonly code: string }
  | { readonly what: 'handled'; readonly type: string; readonly key: string; readonly ageMs: number }
  | { readonly what: 'health'; readonly health: unknown }
  | { readonly what: 'stopped'; readonly tookMs: number }
  | { readonly what: 'failed'; readonly message: string }

/** What a parent asks for. */
export type Order =
  | { readonly what: 'order'; readonly orders: readonly OrderData[] }
  | { readonly what: 'job'; readonly jobs: readonly JobData[] }
  | { readonly what: 'slow'; readonly jobs: readonly SlowData[] }
  | { readonly what: 'look'; readonly jobs: readonly LookData[] }
  | { readonly what: 'health' }

const setup = JSON.parse(process.argv[2]!) as Setup
const tell = (report: Report) => void (process.connected && process.send!(report))

const line =
  (level: string) =>
  (facts: { code?: string; err?: { message?: string } }, message: string): void =>
    tell({ what: 'log', level, message, code: facts.code ?? facts.err?.message ?? '' })
const log: Logger = { debug: () => {}, info: () => {}, warn: line('warn'), error: line('error') }

const all = setup.flow === 'orders' ? [shop, ...orderServices(setup.outside)] : jobServices(setup.outside, setup.silent)
const services = all.filter((each) => setup.services === undefined || setup.services.includes(each.name))

/** A broker with what another system has sent, all of it in one delivery. */
function legacyWire(jobs: readonly JobData[]): WireOptions {
  const hub = memoryHub()
  for (const job of jobs) hub.inject('legacy.jobs', Buffer.from(JSON.stringify(job)))
  const foreign = { 'legacy.jobs': { events: [Job], map: legacyJob(setup.outside) } }
  return { wire: hub.wire(), sends: [], receives: [], foreign, from: 'beginning' }
}

const app = await begin({
  services,
  ledger: sqlite(setup.file, { synchronous: 'NORMAL' }),
  log,
  lease: setup.lease ?? 300,
  poll: setup.poll ?? 200,
  batchMax: setup.batchMax,
  ...(setup.legacy && { wires: [legacyWire(setup.legacy)] }),
  hooks: {
    leases: ({ reader, held }) => tell({ what: 'held', reader, held }),
    ...(setup.tellHandled && {
      handled: ({ event, ageMs }) => tell({ what: 'handled', type: event.type, key: event.key, ageMs }),
    }),
  },
})

async function begin(options: StartOptions): Promise<App> {
  try {
    return await start(options)
  } catch (error) {
    tell({ what: 'failed', message: String(error) })
    process.disconnect()
    process.exit(1)
  }
}

/** One transaction an order, so that each is acknowledged on its own. */
async function obey(order: Order): Promise<void> {
  if (order.what === 'health') return tell({ what: 'health', health: await app.health() })
  if (order.what === 'job') return acknowledge(order.jobs, (job) => app.publish(Job(job, { id: job.id })))
  if (order.what === 'slow') return acknowledge(order.jobs, (job) => app.publish(Slow(job, { id: job.id })))
  if (order.what === 'look') return acknowledge(order.jobs, (job) => app.publish(LookOld(job, { id: job.id })))
  await acknowledge(order.orders, (each) => placeOrder(app, each))
}

async function acknowledge<T extends { id: string }>(list: readonly T[], act: (one: T) => Promise<unknown>) {
  await Promise.all(list.map((one) => act(one).then(() => tell({ what: 'acknowledged', ids: [one.id] }))))
}

function placeOrder(app: App, order: OrderData): Promise<unknown> {
  return app.transact(shop, ({ db }) => {
    insertOrder(db, order)
    const { id, customerId, turn, amount } = order
    return [OrderCreated({ orderId: id, customerId, amount }), Noted({ customerId, turn })]
  })
}

process.on('message', (order: Order) => {
  obey(order).catch((error: unknown) => tell({ what: 'failed', message: String(error) }))
})
// A parent that was killed itself leaves nobody behind.
const orphaned = () => process.exit(1)
process.once('disconnect', orphaned)
process.once('SIGTERM', () => {
  process.off('disconnect', orphaned)
  const startedAt = performance.now()
  void app.stop({ deadline: setup.deadline ?? 2_000 }).then(() => {
    tell({ what: 'stopped', tookMs: performance.now() - startedAt })
    process.disconnect()
  })
})
tell({ what: 'ready' })
