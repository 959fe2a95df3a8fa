/** The entities of the Service Bus test server: who gets a session that becomes free. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Message } from 'rhea'
import { Subscription, type SessionLink } from '../src/service-bus/entities.ts'

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
