/** Each service in a process of its own, on one file, started in any order. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { count, judgeOrders, leftovers, prepare } from './audit.ts'
import { Crew, Place, seeded, until, type Member } from './crew.ts'
import type { Report, Setup } from './member.ts'
import { orderTables } from './order-flow.ts'

const services = ['orders', 'payments', 'inventory', 'notifications']

test('four processes, one service each, started in any order: every order ends, and events cross quickly', async (t) => {
  using place = new Place()
  await using crew = new Crew()
  prepare(place.file, orderTables, place.outside)
  const random = seeded(3)
  const ages: number[] = []
  const heard = (report: Report) => {
    if (report.what === 'handled') ages.push(report.ageMs)
  }
  const setup: Setup = { file: place.file, outside: place.outside, flow: 'orders', poll: 1_000, tellHandled: true }
  const members: Member[] = []
  for (const name of services.toSorted(() => random() - 0.5)) {
    members.push(crew.start({ ...setup, services: [name] }, heard))
    await members.at(-1)!.ready()
  }
  const shop = crew.start({ ...setup, services: ['shop'] })
  members.push(shop)
  await shop.ready()
  const total = 120
  for (let number = 1; number <= total; number++) {
    shop.ask({ what: 'order', orders: [{ id: String(number), customerId: `c${number % 7}`, turn: number, amount: 5 }] })
    await until('the order to be stored', () => count(place.file, 'SELECT count(*) FROM orders') >= number, {
      everyMs: 4,
    })
  }
  await until('all to end', () => count(place.file, `SELECT count(*) FROM effects WHERE what = 'mail'`) === total)
  await until('the last undo', () => leftovers(place.file).length === 0)
  for (const member of members) member.signal('SIGTERM')
  await Promise.all(members.map((member) => member.exited))
  ages.sort((a, b) => a - b)
  const at = (share: number) => Math.round(ages[Math.floor(ages.length * share)]!)
  t.diagnostic(
    `from append to commit in another process: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms, ${ages.length} handlings`,
  )
  const { lost, doubled, stuck, wrong, orders } = judgeOrders(place.file, place.outside)
  assert.deepEqual(
    { lost, doubled, stuck, wrong, orders },
    { lost: [], doubled: [], stuck: [], wrong: [], orders: total },
  )
  assert.ok(at(0.5) < 150, `p50 ${at(0.5)} ms`)
})

test('a service that is started for the first time after events it reacts to says what to decide', async () => {
  using place = new Place()
  await using crew = new Crew()
  prepare(place.file, orderTables, place.outside)
  const setup: Setup = { file: place.file, outside: place.outside, flow: 'orders' }
  const shop = crew.start({ ...setup, services: ['shop'] })
  await shop.ready()
  shop.ask({ what: 'order', orders: [{ id: '1', customerId: 'c', turn: 1, amount: 5 }] })
  await shop.told((report) => report.what === 'acknowledged')
  const late = crew.start({ ...setup, services: ['payments'] })
  const failed = await late.told((report) => report.what === 'failed')
  assert.match(JSON.stringify(failed), /START_POSITION_NEEDED/)
  assert.equal((await late.exited).code, 1)
})
