/** The entities of the Service Bus test server: who gets a session that becomes free, and what rules let in. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Message } from 'rhea'
import { Subscription, type SessionLink } from '../src/service-bus/entities.ts'
import { sqlFilter } from '../src/service-bus/sql-filter.ts'

const settings = { lockMs: 60_000, maxDeliveries: 10, requiresSession: true }
const message = (session: string): Message => ({ group_id: session, body: session })

class Link implements SessionLink {
  isAlive = true
  give(): boolean {
    return this.isAlive
  }
  lose(): void {}
}

it('sessions that become free at once go to different links', async (t) => {
  const subscription = new Subscription(settings)
  t.after(() => subscription.drop())
  const accepts = [subscription.next(new Link(), 60_000), subscription.next(new Link(), 60_000)]
  subscription.add(1, message('a'))
  subscription.add(2, message('b'))
  assert.deepEqual(await Promise.all(accepts), ['a', 'b'])
})

it('a link that is gone is passed over', async (t) => {
  const subscription = new Subscription(settings)
  t.after(() => subscription.drop())
  const [gone, alive] = [new Link(), new Link()]
  const accepts = [subscription.next(gone, 60_000), subscription.next(alive, 60_000)]
  gone.isAlive = false
  subscription.add(1, message('a'))
  assert.deepEqual(await Promise.all(accepts), [null, 'a'])
  assert.equal(subscription.waiting, 0)
})

it('a comparison with a property that is missing is unknown, and lets nothing in', () => {
  const lets = (sql: string, properties?: Record<string, unknown>, subject = 'a') =>
    sqlFilter(sql)({ subject, body: '', ...(properties ? { application_properties: properties } : {}) })
  assert.equal(lets('1=1'), true)
  assert.equal(lets("sys.Label = 'it''s' and [x]]y.z]='1'", { 'x]y.z': '1' }, "it's"), true)
  assert.equal(lets("sys.Label = 'a' AND x = '1'", { x: '2' }), false)
  for (const sql of ["x = '1'", "NOT x = '1'", 'EXISTS(x)']) assert.equal(lets(sql), false)
  for (const sql of ["x = '1' OR NOT EXISTS(x)", "(x = '1' OR NOT EXISTS(x)) AND y='2'"]) {
    assert.equal(lets(sql, { y: '2' }), true)
    assert.equal(lets(sql, { x: '2', y: '2' }), false)
  }
  for (const sql of ['', 'x', "x > '1'", "(x = '1'", "x = '1' x"]) assert.throws(() => sqlFilter(sql), SyntaxError)
})
