/** A receiver that asks to wait is waited for, by the relay: nothing is counted against the events, and none is given up. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '@quadrille/brokers/wire-load'
import { event, service, silentLogger, start } from 'quadrille'
import * as z from 'zod'
import { http, type HttpMode } from '@quadrille/http'
import { receiverOf, type Seen } from './http-setup.ts'

const Created = event('order.created', { key: 'orderId', schema: z.object({ orderId: z.string() }) })
const orders = service('orders')
/** One try that counts, and an event is a dead letter. */
const retry = { attempts: 1 } as const

const idsIn = ({ body }: Seen): string[] => [JSON.parse(body.toString()) as { id: string }].flat().map(({ id }) => id)

for (const mode of ['structured', 'batch'] satisfies HttpMode[])
  for (const status of [429, 503])
    test(`a receiver that takes one request of two, and answers the others ${status}, gets every event (${mode})`, async (t) => {
      const taken = new Set<string>()
      let asked = 0
      const receiver = await receiverOf((seen) => {
        asked += 1
        if (asked % 2 !== 0) return { status, ...(status === 429 ? { headers: { 'retry-after': '0' } } : {}) }
        for (const id of idsIn(seen)) taken.add(id)
        return { status: 202 }
      })
      t.after(() => receiver.close())
      const wire = http({ target: { url: receiver.url, mode, batchMax: 3 } })
      const app = await start({ services: [orders], wires: [{ wire, retry, from: 'now' }], log: silentLogger })
      t.after(() => app.stop())
      for (let n = 0; n < 8; n++) await app.publish(Created({ orderId: `o-${n % 4}` }))
      const given = () => app.deadLetters.list()
      await until(async () => taken.size === 8 || (await given()).length > 0, 'all are taken, or one is given up')
      assert.deepEqual(await given(), [])
    })

test('the time that Retry-After names is kept by the relay', async (t) => {
  const at: number[] = []
  const receiver = await receiverOf(() => {
    at.push(performance.now())
    return at.length === 1 ? { status: 429, headers: { 'retry-after': '1' } } : { status: 202 }
  })
  t.after(() => receiver.close())
  const wire = http({ target: { url: receiver.url } })
  const app = await start({ services: [orders], wires: [{ wire, retry, from: 'now' }], log: silentLogger })
  t.after(() => app.stop())
  await app.publish(Created({ orderId: 'o' }))
  await until(() => at.length === 2, 'it is asked again')
  assert.ok(at[1]! - at[0]! >= 990, `after ${at[1]! - at[0]!} ms`)
  assert.deepEqual(await app.deadLetters.list(), [])
})
