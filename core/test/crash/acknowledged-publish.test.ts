/** What transact() and publish() have acknowledged is there after kill -9 of the publisher, whole, and handled once. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { count, finish, judgeOrders, leftovers, prepare, rows } from './audit.ts'
import { Crew, pause, Place, seeded, until } from './crew.ts'
import { jobTables } from './job-flow.ts'
import type { Report, Setup } from './member.ts'
import { orderServices, orderTables } from './order-flow.ts'

const rounds = 8

test('transact(): row and event, or neither; what was acknowledged before a kill is handled once', async (t) => {
  using place = new Place()
  await using crew = new Crew()
  prepare(place.file, orderTables, place.outside)
  const random = seeded(11)
  const acknowledged = new Set<string>()
  const heard = (report: Report) => {
    if (report.what === 'acknowledged') for (const id of report.ids) acknowledged.add(id)
  }
  const setup: Setup = { file: place.file, outside: place.outside, flow: 'orders', lease: 300 }
  const services = ['orders', 'payments', 'inventory', 'notifications']
  const worker = crew.start({ ...setup, services })
  await worker.ready()
  let next = 1
  for (let round = 0; round < rounds; round++) {
    const publisher = crew.start({ ...setup, services: ['shop'] }, heard)
    await publisher.ready()
    const before = acknowledged.size
    const orders = Array.from({ length: 400 }, () => {
      const number = next++
      return { id: String(number), customerId: `c${number % 9}-${round}`, turn: number, amount: 100 + number }
    })
    for (const order of orders) publisher.ask({ what: 'order', orders: [order] })
    await until('a first acknowledgement', () => acknowledged.size > before, { everyMs: 1 })
    await pause(random() * 6)
    await publisher.kill()
  }
  await until('all orders to end', () => count(place.file, `SELECT count(*) FROM orders WHERE state = 'open'`) === 0)
  worker.signal('SIGTERM')
  await worker.exited
  await finish(place.file, orderServices(place.outside))
  const stored = new Set(rows<{ id: string }>(place.file, 'SELECT id FROM orders').map(({ id }) => id))
  const events = rows<{ key: string; events: number }>(
    place.file,
    `SELECT key, count(*) AS events FROM quadrille_events WHERE type = 'order.created' GROUP BY key`,
  )
  t.diagnostic(
    `${next - 1} orders asked for, ${acknowledged.size} acknowledged, ${stored.size} stored, ${rounds} kills`,
  )
  assert.deepEqual(
    [...acknowledged].filter((id) => !stored.has(id)),
    [],
  )
  assert.deepEqual(new Set(events.map(({ key }) => key)), stored)
  assert.ok(stored.size < next - 1, 'the kills came in the middle')
  const { lost, doubled, stuck, wrong } = judgeOrders(place.file, place.outside)
  assert.deepEqual({ lost, doubled, stuck, wrong }, { lost: [], doubled: [], stuck: [], wrong: [] })
})

test('publish() again after a kill, with the ids of one’s own: nothing is missing and nothing is handled twice', async () => {
  using place = new Place()
  await using crew = new Crew()
  prepare(place.file, jobTables, place.outside)
  const setup: Setup = { file: place.file, outside: place.outside, flow: 'jobs', lease: 300 }
  const jobs = Array.from({ length: 300 }, (_, at) => ({ id: `job-${at}`, lane: `lane-${at % 20}`, number: at }))
  const random = seeded(5)
  for (let round = 0; round < 4; round++) {
    let heard = 0
    const publisher = crew.start(setup, (report) => (heard += report.what === 'acknowledged' ? 1 : 0))
    await publisher.ready()
    for (const job of jobs) publisher.ask({ what: 'job', jobs: [job] })
    if (round === 3) await until('all to be acknowledged', () => heard === jobs.length)
    else {
      await until('a first acknowledgement', () => heard > 0, { everyMs: 1 })
      await pause(random() * 20)
      await publisher.kill()
    }
  }
  await until('all to be handled', () => count(place.file, `SELECT count(*) FROM effects WHERE what = 'done'`) === 300)
  const doubled = rows(place.file, 'SELECT what, subject FROM effects GROUP BY what, subject HAVING count(*) > 1')
  assert.deepEqual(doubled, [])
  assert.deepEqual(leftovers(place.file), [])
})
