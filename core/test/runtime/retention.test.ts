/** What everyone has handled is forgotten after a time; an old duplicate stays a duplicate for longer. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { service } from 'quadrille'
import { Answered, Asked, Cancelled, fileWorld, ledgerFile, lenientWorld } from './setup.ts'

const retention = { events: '1d', memory: '10d', every: '30m' } as const

test('events are trimmed when every service has handled them and their time is over', async () => {
  const oracle = service('oracle').on(Asked, () => {})
  await using w = await lenientWorld([oracle], { retention })
  const { correlationId } = await w.publish([1, 2, 3].map((n) => Asked({ id: `k${n}`, n })))
  await w.advance('23h')
  assert.equal((await w.app.flow(correlationId)).events.length, 3)
  await w.advance('4h')
  assert.equal((await w.app.flow(correlationId)).events.length, 0)
  const again = await w.publish(Asked({ id: 'k4' }))
  await w.settled()
  assert.equal((await w.app.flow(again.correlationId)).events.length, 1)
})

test('events that a service has still to handle are never trimmed', async (t) => {
  const path = ledgerFile(t)
  const handled: number[] = []
  const slow = () => service('slow').on(Asked, ({ n }) => void handled.push(n))
  {
    await using w = await fileWorld(path, [slow()])
    await w.publish(Asked({ id: 'k', n: 1 }))
    await w.settled()
  }
  {
    await using w = await fileWorld(path, [service('other').on(Answered, () => {})], { retention })
    await w.publish([Asked({ id: 'k', n: 2 }), Asked({ id: 'k', n: 3 })])
    await w.advance('20d')
  }
  await using w = await fileWorld(path, [slow()])
  await w.settled()
  assert.deepEqual(handled, [1, 2, 3])
})

test('what is parked, or a dead letter, outlives its event', async () => {
  const handled: string[] = []
  let broken = true
  const oracle = service('oracle')
    .on(Asked, { name: 'parked', retry: { base: '5d', max: '5d' } }, ({ id }, { attempt }) => {
      if (attempt === 1) throw new Error('down')
      handled.push(`parked ${id}`)
    })
    .on(Asked, { name: 'dead', retry: { attempts: 1 } }, ({ id }) => {
      if (broken) throw new Error('down')
      handled.push(`dead ${id}`)
    })
  await using w = await lenientWorld([oracle], { retention, seed: 2 })
  const { correlationId } = await w.publish(Asked({ id: 'k' }))
  await w.advance('3d')
  assert.equal((await w.app.flow(correlationId)).events.length, 0)
  broken = false
  await w.app.deadLetters.redrive({})
  await w.advance('5d')
  assert.deepEqual(handled.sort(), ['dead k', 'parked k'])
})

test('a duplicate of a trimmed event is still dropped, until its id is forgotten', async () => {
  const handled: string[] = []
  const oracle = service('oracle').on(Asked, (_, { event }) => void handled.push(event.id))
  await using w = await lenientWorld([oracle], { retention })
  const asked = () => Asked({ id: 'k' }, { id: 'the same' })
  await w.publish(asked())
  await w.advance('9d')
  assert.equal((await w.app.flow('the same')).events.length, 0)
  assert.deepEqual((await w.publish(asked())).events, [])
  await w.settled()
  assert.equal(handled.length, 1)
  await w.advance('6d')
  assert.equal((await w.publish(asked())).events.length, 1)
  await w.settled()
  assert.equal(handled.length, 2)
})

test('tombstones of an undo are kept as long as ids are remembered, and fences of what was done for as long as it may be undone', async () => {
  const done: string[] = []
  const undone: string[] = []
  const oracle = service('oracle').on(
    Asked,
    { undo: { on: [Cancelled], run: ({ id }) => void undone.push(id) } },
    ({ id }) => void done.push(id),
  )
  await using w = await lenientWorld([oracle], { retention })
  await w.publish([Cancelled({ id: 'a' }), Asked({ id: 'b' })])
  await w.advance('9d')
  await w.publish([Asked({ id: 'a' }), Cancelled({ id: 'b' })])
  await w.settled()
  assert.deepEqual(done, ['b'])
  assert.deepEqual(undone, ['b'])
})

test('a deadline further away than the events are kept still fires', async () => {
  const fired: string[] = []
  const oracle = service('oracle').deadline(
    Asked,
    { unless: [Answered], within: '30d' },
    ({ id }) => void fired.push(id),
  )
  await using w = await lenientWorld([oracle], { retention: { ...retention, memory: '60d' } })
  await w.publish(Asked({ id: 'k' }))
  await w.advance('31d')
  assert.deepEqual(fired, ['k'])
})
