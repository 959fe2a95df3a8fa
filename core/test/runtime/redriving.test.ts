/** What is put back keeps the order of its key, and undoes what was done, whatever the lane has come to meanwhile. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { event, service, type DeadLetterFilter } from 'quadrille'
import { world } from 'quadrille/testing'
import * as z from 'zod'
import { gate } from './setup.ts'

const Made = event('made', { key: 'id', schema: z.object({ id: z.string(), n: z.number().default(0) }) })
const Gone = event('gone', { key: 'id', schema: z.object({ id: z.string() }) })

const numbered = (...ns: number[]) => ns.map((n) => Made({ id: 'k', n }))
const errors = 'keep'

test('letters of a key that are redriven together are handled in its order, also when the first fails again', async () => {
  const ran: number[] = []
  let isDown = true
  let failsAgain = true
  const reaction = service('s').on(Made, { retry: { attempts: 2, base: '1s' } }, ({ n }) => {
    if (isDown) throw new Error('down')
    if (n === 1 && failsAgain) {
      failsAgain = false
      throw new Error('down once more')
    }
    ran.push(n)
  })
  await using w = await world([reaction], { errors })
  await w.publish(numbered(1, 2, 3))
  await w.advance('1m')
  isDown = false
  await w.app.deadLetters.redrive({})
  await w.advance('1m')
  assert.deepEqual(ran, [1, 2, 3])
})

test('a redriven letter is handled before what waits in its lane, and not beside a call of it', async () => {
  const order: string[] = []
  let isDown = true
  const answers = gate()
  const reaction = service('s').on(
    Made,
    {
      retry: { attempts: 1 },
      call: async ({ n }) => {
        if (isDown) throw new Error('down')
        order.push(`call ${n}`)
        await answers.promise
      },
    },
    ({ n }) => void order.push(`done ${n}`),
  )
  await using w = await world([reaction], { errors })
  await w.publish(numbered(1, 2))
  await w.advance('1s')
  isDown = false
  assert.equal((await w.app.deadLetters.redrive({})).matched, 2)
  answers.open()
  await w.settled()
  assert.deepEqual(order, ['call 1', 'done 1', 'call 2', 'done 2'])
})

for (const policy of ['continue', 'hold'] as const)
  test(`an action and its undo that are redriven together end undone (onDead: ${policy})`, async () => {
    let [charged, refunded] = [0, 0]
    const pay = service('pay').on(
      Made,
      {
        onDead: policy,
        call: async () => void (charged += 1),
        undo: { on: [Gone], run: () => void (refunded += 1) },
      },
      () => {},
    )
    await using w = await world([pay], { errors, conversationEventsMax: 1 })
    await w.publish([Made({ id: '1' }), Gone({ id: '1' })])
    await w.settled()
    assert.equal((await w.app.deadLetters.redrive({})).matched, 2)
    await w.advance('1h')
    assert.deepEqual({ charged, refunded }, { charged: 1, refunded: 1 })
    assert.deepEqual(await w.app.deadLetters.list(), [])
  })

test('an undo that is redriven while the call of a later action is under way waits for it', async () => {
  let isReadable = false
  let refunded = 0
  const calls = { begun: gate(), answer: gate() }
  const schema = z.object({ id: z.string() }).refine(() => isReadable)
  const Late = event('late.gone', { key: 'id', schema })
  const pay = service('pay').on(
    Made,
    {
      call: async () => {
        calls.begun.open()
        await calls.answer.promise
        return 'charged'
      },
      undo: { on: [Late], run: (_, { done }) => void (refunded += Number(done === 'charged')) },
    },
    () => {},
  )
  await using w = await world([pay], { errors })
  isReadable = true
  const gone = Late({ id: '1' })
  isReadable = false
  await w.publish(gone)
  await w.settled()
  await w.publish(Made({ id: '1' }))
  await calls.begun.promise
  isReadable = true
  assert.equal((await w.app.deadLetters.redrive({})).matched, 1)
  for (let i = 0; i < 20; i++) await w.env.breathe()
  calls.answer.open()
  await w.settled()
  assert.equal(refunded, 1)
})

test('discarding a letter that holds its key lets only go what waits for its turn, not the letters behind it', async () => {
  const ran: number[] = []
  const reaction = service('s').on(Made, { onDead: 'hold' }, ({ n }) => void ran.push(n))
  await using w = await world([reaction], { errors, conversationEventsMax: 2 })
  await w.publish(numbered(1, 2, 3))
  await w.settled()
  const [first] = await w.app.deadLetters.list()
  await w.app.deadLetters.discard({ id: first!.id }, 'not wanted')
  await w.settled()
  assert.deepEqual(ran, [])
  await w.app.deadLetters.redrive({})
  await w.settled()
  assert.deepEqual(ran, [2, 3])
})

test('a letter that is redriven behind one that holds the key waits for it', async () => {
  const ran: number[] = []
  const reaction = service('s').on(Made, { onDead: 'hold' }, ({ n }) => void ran.push(n))
  await using w = await world([reaction], { errors, conversationEventsMax: 1 })
  await w.publish(numbered(1, 2))
  await w.settled()
  const letters = await w.app.deadLetters.list()
  const idOf = (n: number) => letters.find((letter) => letter.event!.data.includes(`"n":${n}`))!.id
  await w.app.deadLetters.redrive({ id: idOf(2) })
  await w.settled()
  assert.deepEqual(ran, [])
  await w.app.deadLetters.redrive({ id: idOf(1) })
  await w.settled()
  assert.deepEqual(ran, [1, 2])
})

test('what was collected before a later event of its key became a letter is handled before it', async () => {
  const ran: number[] = []
  let isReadable = true
  const schema = z.object({ id: z.string(), n: z.number() }).refine(({ n }) => n === 0 || isReadable)
  const Batched = event('batched', { key: 'id', schema })
  const reaction = service('s').on(Batched, { onDead: 'hold', batch: { size: 10, within: '10s' } }, (events) =>
    ran.push(...events.map(({ n }) => n)) > 0 ? undefined : undefined,
  )
  await using w = await world([reaction], { errors })
  const events = [Batched({ id: 'k', n: 0 }), Batched({ id: 'k', n: 1 })]
  isReadable = false
  await w.publish(events)
  await w.advance('1m')
  isReadable = true
  await w.app.deadLetters.redrive({})
  await w.advance('1m')
  assert.deepEqual(ran, [0, 1])
})

test('a filter without a value, or with a name that there is not, changes nothing', async () => {
  const reaction = service('s').on(Made, { retry: { attempts: 1 } }, () => {
    throw new Error('down')
  })
  await using w = await world([reaction], { errors })
  await w.publish(['1', '2', '3'].map((id) => Made({ id })))
  await w.settled()
  const { deadLetters } = w.app
  const wrong: unknown[] = [{ id: undefined }, { srevice: 's' }, { dryRun: true }, 'an id', undefined, null, []]
  for (const filter of wrong) {
    const given = filter as DeadLetterFilter
    await assert.rejects(deadLetters.discard(given, 'why'), { code: 'OPTION_INVALID' })
    await assert.rejects(deadLetters.redrive(given), { code: 'OPTION_INVALID' })
  }
  await assert.rejects(deadLetters.redrive({}, { dryrun: true } as object), { code: 'OPTION_INVALID' })
  await assert.rejects(deadLetters.list({ srevice: 's' } as object), { code: 'OPTION_INVALID' })
  assert.equal((await deadLetters.list()).length, 3)
})

test('a join is remembered for as long as a letter of one of its parts may be redriven', async () => {
  let isDown = true
  const joined: string[] = []
  const join = service('s').all([Made, Gone], { retry: { attempts: 1 } }, ([{ id }]) => {
    if (isDown) throw new Error('down')
    joined.push(id)
  })
  const retention = { events: '30m', memory: '1h', every: '1m' } as const
  await using w = await world([join], { errors, retention })
  await w.publish([Made({ id: 'a' }), Gone({ id: 'a' }), Made({ id: 'b' }), Gone({ id: 'b' })])
  await w.advance('8h')
  const [, second] = await w.app.deadLetters.list()
  await w.app.deadLetters.discard({ id: second!.id }, 'not wanted')
  await w.advance('8h')
  isDown = false
  assert.equal((await w.app.deadLetters.redrive({})).matched, 1)
  await w.advance('8h')
  assert.deepEqual(joined, ['a'])
  // With the letters gone, nothing of both is left.
  const left = await w.app.ledger.query({ scope: 's', kind: 'join', limit: 10 })
  assert.deepEqual(left, [])
})
