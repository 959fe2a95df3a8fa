/** One run of the whole: opens the shop and the world around it, lets customers order, and looks whether all ended right. */
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { realBroker, type Broker } from '@quadrille/brokers'
import type { Duration } from 'quadrille'
import { goShopping } from '../customers.ts'
import { openDatabase } from '../database.ts'
import { startMailbox } from '../mailbox/mailbox-server.ts'
import { orderQueries, type OrderCounts } from '../order-queries.ts'
import { startProvider } from '../payment-provider/provider-server.ts'
import { troubleBySeed } from '../payment-provider/trouble.ts'
import { draw } from '../random.ts'
import { sampleOrders } from '../sample-orders.ts'
import { CannotRun } from './cannot-run.ts'
import { databaseOf, makeDatabases, temporaryDatabases } from './databases.ts'
import { progressOn, silent, type Progress } from './progress.ts'
import { waitUntilSettled } from './settling.ts'
import { openShop, openShopOfProcesses, type Shop, type ShopOptions } from './shop.ts'
import { summarise, summaryText, type Summary } from './summary.ts'
import { untilAborted } from './until-aborted.ts'
import { callWitnesses, type Witnesses } from './witnesses.ts'
import { knockAt, wireKinds, type WireAt, type WireName } from './wires.ts'
import { serviceNames } from './worker.ts'

export interface RunOptions {
  readonly orders: number
  readonly seed: number
  /** Ends by itself, with a summary. Otherwise the shop stays open until it is told to stop. */
  readonly once: boolean
  readonly chaos: boolean
  /** With chaos: pauses between kills are so many times as long. */
  readonly killsApart: number
  /** How many processes there are of each service; 0 for all services in one. */
  readonly processes: number
  readonly json: boolean
  /** Of the API; 0 for any free port. */
  readonly port: number
  /** Orders a second. */
  readonly rate: number
  /** Kept afterwards. Default: a temporary folder, removed at the end. */
  readonly data?: string
  /**
   * The address of a PostgreSQL database; with `wire` there are others beside it. Orders of earlier runs may be in it only
   * when `data` is that of those runs. Default: SQLite files among the data.
   */
  readonly ledger?: string
  /** For how long what was handled is remembered. Default: the toolkit's. */
  readonly remember?: Duration
  /** Each service gets a ledger of its own, and this broker is all that joins them. */
  readonly wire?: WireName
  /** The address of a broker that runs. Default: one is started for the run. */
  readonly broker?: string
}

export const databaseIn = (data: string): string => join(data, 'orders.db')

const lostMailAnswers = 0.03
const drawEveryMs = 150

/** Returns the exit code. `stop` ends it early, but in good order. Rejects with CannotRun when it can not begin. */
export async function run(options: RunOptions, stop: AbortSignal): Promise<number> {
  const data = options.data ?? (await mkdtemp(join(tmpdir(), 'quadrille-orders-')))
  await mkdir(data, { recursive: true })
  const closing: (() => Promise<unknown>)[] = []
  if (!options.data) closing.push(() => rm(data, { recursive: true, force: true }))
  try {
    const world = await openWorld(data, options, closing)
    return await stayOpen({ options, stop, ...world })
  } finally {
    for (const close of closing.reverse()) await close()
  }
}

/** Everything in the order in which it depends on each other; it is closed the other way round. */
async function openWorld(data: string, options: RunOptions, closing: (() => Promise<unknown>)[]) {
  const { seed } = options
  const database = await openDatabases(data, options, closing)
  const books = join(data, 'provider.db')
  if ((await hasOrders(database)) && !existsSync(books)) throw ordersOfOthers(options.data)
  const provider = await startProvider({ file: books, trouble: troubleBySeed(seed) })
  closing.push(() => provider.close())
  const losesAnswer = (messageId: string) => draw(seed, 'mail', messageId) < lostMailAnswers
  const mailbox = await startMailbox({ file: join(data, 'mailbox.jsonl'), losesAnswer })
  closing.push(() => mailbox.close())
  const { port, remember } = options
  const broker = await openBroker(options, closing)
  const { wire } = broker ?? {}
  const about: ShopOptions = { database, provider: provider.url, mailbox: mailbox.url, port, remember, wire }
  const shop = await open(about, options, broker?.own)
  closing.push(() => shop.stop())
  const inventory = wire && databaseOf('inventory', database)
  const witnesses = await callWitnesses({ database, inventory, provider: provider.url, mailbox })
  closing.push(() => witnesses.close())

  const progress = options.json ? silent : progressOn(process.stdout)
  progress.say(`The shop is open at ${shop.apis.join(' and ')}`)
  progress.say(`data ${data}, payment provider ${provider.url}, mail server ${mailbox.url}`)
  if (wire) progress.say(`four ledgers, joined by ${wire.name} at ${wire.url}`)
  return { shop, witnesses, progress }
}

/** Where the orders are kept. Over a wire on PostgreSQL the databases last as long as the broker does. */
async function openDatabases(data: string, options: RunOptions, closing: (() => Promise<unknown>)[]): Promise<string> {
  const { ledger, wire, broker } = options
  if (ledger === undefined) return databaseIn(data)
  if (wire === undefined) return ledger
  if (broker !== undefined) {
    await makeDatabases(ledger)
    return ledger
  }
  const { database, remove } = await temporaryDatabases(ledger)
  closing.push(remove)
  return database
}

/** Also the first to notice, before any process is started, that the database is away. */
async function hasOrders(database: string): Promise<boolean> {
  const { tables, ...opened } = await openDatabase(database)
  const counts = await orderQueries(tables).counts()
  await opened.close()
  return Object.values(counts).some((orders) => orders > 0)
}

/** Orders whose charges and mails nobody here knows of would look as if they had never been paid and never been confirmed. */
function ordersOfOthers(data: string | undefined): CannotRun {
  const missing = `whose payments and mails are not ${data === undefined ? 'kept without --data' : `in ${data}`}`
  const todo = 'name the folder of that run with --data, or use an empty database'
  return new CannotRun(`the database holds orders of an earlier run, ${missing}: ${todo}`)
}

/** The broker of the run: the one that is named, or one of our own, which may be killed. */
async function openBroker({ wire, broker }: RunOptions, closing: (() => Promise<unknown>)[]) {
  if (wire === undefined) return undefined
  if (broker !== undefined) {
    const named: WireAt = { name: wire, url: broker }
    await knockAt(named)
    return { wire: named }
  }
  const kind = wireKinds[wire]
  const own = await realBroker(kind.broker).start()
  closing.push(() => own.stop())
  return { wire: { name: wire, url: own.url } satisfies WireAt, own: kind.survivesKill ? own : undefined }
}

async function stayOpen(trading: Trade): Promise<number> {
  const { options, stop, shop, progress } = trading
  const summary = await trade(trading)
  if (!summary) {
    const rest =
      options.data === undefined ? '' : ' Orders that are open go on when the shop opens again on the same --data.'
    progress.say(`Stopped.${rest}`)
    return 0
  }
  if (options.json) console.log(JSON.stringify(summary))
  else progress.say(`\n${summaryText(summary)}\n`)
  if (!options.once) {
    progress.say(`Place orders and follow them at ${shop.apis[0]} (Ctrl-C stops)`)
    await untilAborted(stop)
  }
  return summary.invariants === 'hold' ? 0 : 1
}

function open(shop: ShopOptions, options: RunOptions, broker?: Broker): Promise<Shop> {
  const { chaos, killsApart, processes, seed } = options
  const chaosSeed = chaos ? seed : undefined
  if (processes > 0) {
    const each = serviceNames.flatMap((name) => Array.from({ length: processes }, () => [name]))
    return openShopOfProcesses(shop, { processes: each, chaosSeed, killsApart, broker })
  }
  return chaos ? openShopOfProcesses(shop, { processes: [serviceNames], chaosSeed, killsApart }) : openShop(shop)
}

interface Trade {
  readonly options: RunOptions
  readonly stop: AbortSignal
  readonly shop: Shop
  readonly witnesses: Witnesses
  readonly progress: Progress
}

/**
 * Lets customers order, waits until all of it has ended, and asks the witnesses what has happened. Undefined when it
 * was stopped before that.
 */
async function trade({ options, stop, shop, witnesses, progress }: Trade): Promise<Summary | undefined> {
  const orders = sampleOrders(options.seed, options.orders)
  const accepted: string[] = []
  const line = async () =>
    statusLine(await witnesses.counts(), { placed: accepted.length, total: orders.length, kills: shop.kills() })
  const draw = () => line().then((text) => progress.show(text))
  // A database that is away for a moment shows by the line standing still.
  const drawing = setInterval(() => void draw().catch(() => {}), drawEveryMs)
  const closed = new AbortController()
  const signal = AbortSignal.any([stop, closed.signal])
  try {
    const onAccepted = (orderId: string) => accepted.push(orderId)
    const shopping = goShopping({ apis: shop.apis, orders, rate: options.rate, signal, onAccepted })
    await Promise.race([shopping, shop.broken])
    await shop.calmDown()
    await waitUntilSettled({ shop, witnesses, accepted, signal: stop })
  } finally {
    closed.abort()
    clearInterval(drawing)
  }
  progress.say(await line())
  if (stop.aborted) return undefined
  if (!options.json) progress.say(await mostEventful(shop.apis[0], accepted))
  // What nobody is working on any more can not change any more: only then the witnesses are asked.
  if (options.once) await shop.stop()
  const about = {
    ...(await witnesses.repeats()),
    kills: shop.kills(),
    brokerKills: shop.brokerKills(),
    seed: options.seed,
  }
  return summarise(await witnesses.facts(accepted), about)
}

function statusLine(counts: OrderCounts, { placed, total, kills }: { placed: number; total: number; kills: number }) {
  const { pending, completed, cancelled } = counts
  const orders = `placed ${placed}/${total}   in progress ${pending}   completed ${completed}   cancelled ${cancelled}`
  return kills > 0 ? `${orders}   kills ${kills}` : orders
}

/** The most eventful conversation of the run, as a diagram. */
async function mostEventful(api: string, orderIds: readonly string[]): Promise<string> {
  let longest = ''
  for (const orderId of orderIds.slice(0, 50)) {
    const diagram = await (await fetch(new URL(`/orders/${orderId}/diagram`, api))).text()
    if (diagram.length > longest.length) longest = diagram
  }
  return longest === '' ? '' : `\nOne conversation, as a Mermaid sequence diagram:\n\n${longest}`
}
