/** What waits in a coalesced reaction stays the latest of its key, and nothing of another reaction costs it its place. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { choreography, event, service } from 'quadrille'
import { world } from 'quadrille/testing'
import * as z from 'zod'

const Made = event('made', { key: 'id', schema: z.object({ id: z.string(), n: z.number().default(0) }) })
const Other = event('other', { key: 'id', schema: z.object({ id: z.string() }) })

test('what waits for a breaker is replaced by later events of its key', async () => {
  const ran: number[] = []
  let isDown = true
  const breaker = { failures: 1, pause: '1h', pauseMax: '1h' } as const
  const reaction = service('s').on(
    Made,
    { coalesce: { within: '1s' }, retry: { attempts: 50, base: '1m' }, breaker },
    ({ n }) => {
      if (isDown) throw new Error('down')
      ran.push(n)
    },
  )
  await using w = await world([reaction], { errors: 'keep' })
  for (let n = 0; n < 50; n++) {
    await w.publish(Made({ id: 'k', n }))
    await w.advance('10s')
  }
  isDown = false
  await w.advance('3h')
  // The one that had failed, and the latest.
  assert.deepEqual(ran, [0, 49])
})

test('what waits for a place under a rate limit is replaced by later events of its key', async () => {
  const ran: string[] = []
  const reaction = service('s').on(
    Made,
    { coalesce: { within: '1s' }, rate: { limit: 1, per: '1m' } },
    ({ id, n }) => void ran.push(`${id}${n}`),
  )
  await using w = await world([reaction])
  for (let n = 0; n < 20; n++) {
    await w.publish([Made({ id: 'a', n }), Made({ id: 'b', n })])
    await w.advance('10s')
  }
  await w.advance('10m')
  assert.ok(ran.length <= 8, `${ran.length} handled: ${ran.join(' ')}`)
  assert.ok(ran.includes('a19') && ran.includes('b19'))
})

test('seen() waits for the event that stands for the one it asks for', async () => {
  const ran: number[] = []
  const reaction = service('s').on(Made, { coalesce: { within: '10s' } }, ({ n }) => void ran.push(n))
  await using w = await world([reaction])
  const first = await w.publish(Made({ id: 'k', n: 1 }))
  await w.advance('5s')
  await w.publish(Made({ id: 'k', n: 2 }))
  await w.advance('1s')
  let handled: readonly number[] | undefined
  const seen = w.app.seen(first, reaction).then(() => (handled = [...ran]))
  for (let i = 0; i < 20; i++) await w.env.breathe()
  assert.equal(handled, undefined)
  await w.advance('20s')
  await seen
  assert.deepEqual(handled, [2])
})

test('a try that is rolled back because of another reaction takes no place under a rate limit', async () => {
  const at: string[] = []
  const reactions = service('s')
    .on(Made, { rate: { limit: 2, per: '1h' } }, (_, { now }) => void at.push(now().toISOString().slice(11, 16)))
    .on(Other, { retry: { attempts: 1 } }, () => {
      throw new Error('wrong')
    })
  await using w = await world([reactions], { errors: 'keep' })
  await w.publish([Made({ id: '1' }), Made({ id: '2' }), Made({ id: '3' }), Other({ id: '4' })])
  await w.advance('3h')
  // What was rolled back has run, too; the last three are what is left.
  assert.deepEqual(at.slice(-3), ['00:00', '00:00', '01:00'])
})

test('outcome() finds an end behind thousands of events of its type that are none', async () => {
  const State = event('state', { key: 'id', schema: z.object({ id: z.string(), is: z.enum(['on', 'done']) }) })
  const watcher = service('watcher').on(State, () => {})
  const ends = { success: [State.where({ is: 'done' })], failure: [] }
  const process = choreography('process', { services: [watcher], starts: [State], ends, within: '1h' })
  await using w = await world([watcher])
  for (let i = 0; i < 3; i++) await w.publish(Array.from({ length: 500 }, () => State({ id: 'k', is: 'on' })))
  await w.publish(State({ id: 'k', is: 'done' }))
  await w.settled()
  assert.equal((await w.app.outcome(process, 'k')).status, 'success')
})
