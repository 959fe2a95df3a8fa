/** The four-service order flow under kill -9 at random instants: nothing lost, nothing doubled, nothing stuck. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { count, finish, judgeOrders, leftovers, prepare, rows } from './audit.ts'
import { Crew, pause, Place, seeded, until, type Member } from './crew.ts'
import type { Report, Setup } from './member.ts'
import { orderServices, orderTables, type OrderData } from './order-flow.ts'

const seed = Number(process.env['QUADRILLE_SEED'] ?? 7)
const killsMin = Number(process.env['QUADRILLE_KILLS'] ?? 200)
const workersMax = 3
const customers = 20

/** Places orders through a process that is killed as well; counts what was acknowledged. */
class Shop {
  readonly acknowledged = new Set<string>()
  readonly #turns = new Map<string, number>()
  #next = 1

  readonly heard = (report: Report): void => {
    if (report.what === 'acknowledged') for (const id of report.ids) this.acknowledged.add(id)
  }

  get placed(): number {
    return this.#next - 1
  }

  batch(size: number): OrderData[] {
    return Array.from({ length: size }, () => {
      const number = this.#next++
      const customerId = `customer-${number % customers}`
      const turn = (this.#turns.get(customerId) ?? 0) + 1
      this.#turns.set(customerId, turn)
      return { id: String(number), customerId, turn, amount: 100 + (number % 900) }
    })
  }
}

test(`200 kills of processes that share a file: 0 lost, 0 doubled, 0 stuck`, { timeout: 240_000 }, async (t) => {
  using place = new Place()
  await using crew = new Crew()
  prepare(place.file, orderTables, place.outside)
  const random = seeded(seed)
  const shop = new Shop()
  const setup: Setup = { file: place.file, outside: place.outside, flow: 'orders', lease: 300, poll: 200 }
  const services = ['orders', 'payments', 'inventory', 'notifications']
  const startWorker = () => crew.start({ ...setup, services }, complain)
  const startShop = () => crew.start({ ...setup, services: ['shop'] }, shop.heard)
  const complaints = new Map<string, number>()
  function complain(report: Report): void {
    if (report.what !== 'log') return
    const text = `${report.message} ${report.code}`.replace(/\d+/g, 'N')
    complaints.set(text, (complaints.get(text) ?? 0) + 1)
  }
  let seller = startShop()
  const workers: Member[] = [startWorker(), startWorker()]
  await Promise.all([seller, ...workers].map((member) => member.ready()))

  let kills = 0
  let ordered = Promise.resolve()
  const sell = () => {
    const to = seller
    ordered = to.ready().then(
      () => to.ask({ what: 'order', orders: shop.batch(20 + Math.floor(random() * 80)) }),
      () => {},
    )
  }
  while (kills < killsMin) {
    await pause(50 + random() * 550)
    sell()
    // Now and then the number of processes changes, and now and then all die at once.
    const wanted = 1 + Math.floor(random() * workersMax)
    const victims = random() < 0.15 ? [...workers] : [workers[Math.floor(random() * workers.length)]!]
    if (random() < 0.3) {
      kills += 1
      await seller.kill()
      seller = startShop()
      sell()
    }
    for (const victim of victims) {
      kills += 1
      workers.splice(workers.indexOf(victim), 1)
      await victim.kill()
    }
    while (workers.length < wanted) workers.push(startWorker())
  }
  await ordered
  sell()
  const last = await until(
    'all orders to end',
    () => count(place.file, `SELECT count(*) FROM orders WHERE state = 'open'`) === 0,
    { timeoutMs: 20_000, everyMs: 100 },
  ).catch((error: Error) => error.message)

  await Promise.all([...workers, seller].map((member) => member.ready()))
  for (const member of [...workers, seller]) member.signal('SIGTERM')
  const ends = await Promise.all([...workers, seller].map((member) => member.exited))
  await finish(place.file, orderServices(place.outside))

  const verdict = judgeOrders(place.file, place.outside)
  const ids = new Set(rows<{ id: string }>(place.file, 'SELECT id FROM orders').map(({ id }) => id))
  const forgotten = [...shop.acknowledged].filter((id) => !ids.has(id))
  const { orders, completed, lost, doubled, stuck, wrong } = verdict
  t.diagnostic(`seed ${seed}: ${kills} kills, ${orders} orders, ${completed} completed, last after ${String(last)}`)
  t.diagnostic(`lost ${lost.length}, doubled ${doubled.length}, stuck ${stuck.length}, other ${wrong.length}`)
  for (const [text, times] of complaints) t.diagnostic(`logged ${times} times: ${text}`)
  const nothing = { lost: [], doubled: [], stuck: [], wrong: [], forgotten: [], left: [] }
  assert.deepEqual({ lost, doubled, stuck, wrong, forgotten, left: leftovers(place.file) }, nothing)
  assert.deepEqual(
    ends.map(({ code }) => code),
    ends.map(() => 0),
    'after SIGTERM every process ends by itself',
  )
  assert.ok(kills >= killsMin && orders > 300, `${kills} kills and ${orders} orders`)
})
