import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isQuadrilleError } from 'quadrille'
import { runSideBySide, type SideBySide, type Turn } from '../../src/runtime/side-by-side.ts'

/** A handler that does so many statements; between them it waits for the answer, or for nothing. */
interface Handler {
  readonly name: string
  readonly key: string
  /** How many statements it sends at once, time after time. */
  readonly rounds: readonly number[]
  /** Turns of the event loop before its first statement. */
  readonly lateBy?: number
  readonly fails?: boolean
  readonly ownTurn?: boolean
}

/** Runs handlers on a connection that answers in order; returns what was sent, and who was refused. */
async function runOn(handlers: readonly Handler[], how: Partial<SideBySide<Handler>> = {}) {
  const sent: string[] = []
  const refused: string[] = []
  let answered = Promise.resolve()
  let waitingMost = 0
  let waiting = 0
  const send = (name: string, turn: Turn, ownTurn: boolean): Promise<void> => {
    turn.sending(ownTurn)
    sent.push(name)
    waitingMost = Math.max(waitingMost, ++waiting)
    answered = answered.then(() => new Promise((resolve) => setImmediate(resolve))).then(() => void (waiting -= 1))
    return answered
  }
  const begin = async ({ name, rounds, lateBy = 0, fails, ownTurn = false }: Handler, turn: Turn): Promise<void> => {
    for (let i = 0; i < lateBy; i++) await Promise.resolve()
    for (const count of rounds) await Promise.all(Array.from({ length: count }, () => send(name, turn, ownTurn)))
    if (fails) throw new Error(`${name} fails`)
  }
  const outcome = await runSideBySide(handlers, {
    keyOf: ({ key }) => key,
    refused: ({ name }) => refused.push(name),
    begin,
    ...how,
  }).then(
    () => 'done' as const,
    (error: unknown) => error as Error,
  )
  return { sent, refused, outcome, waitingMost }
}

const single = (name: string, more: Partial<Handler> = {}): Handler => ({ name, key: name, rounds: [1], ...more })

test('handlers with one statement each do not wait for the answers of those before them', async () => {
  const names = Array.from({ length: 100 }, (_, index) => `h${index}`)
  const { sent, outcome, waitingMost } = await runOn(names.map((name) => single(name)))
  assert.equal(outcome, 'done')
  assert.deepEqual(sent, names)
  assert.ok(waitingMost > 50, `${waitingMost} statements on their way at once`)
})

test('a handler that sends again after a later one has sent is refused, and everything fails', async () => {
  const { refused, outcome } = await runOn([single('two', { rounds: [1, 1] }), single('one')])
  assert.deepEqual(refused, ['two'])
  assert.ok(isQuadrilleError(outcome, 'HANDLER_RUN_AGAIN'))
})

test('statements sent at once are one turn, and so are those of the last handler', async () => {
  const { sent, outcome } = await runOn([single('both', { rounds: [2] }), single('last', { rounds: [1, 1] })])
  assert.equal(outcome, 'done')
  assert.deepEqual(sent, ['both', 'both', 'last', 'last'])
})

test('a handler whose statement takes effect beyond itself is refused at once', async () => {
  const { sent, refused, outcome } = await runOn([single('a'), single('lock', { ownTurn: true }), single('c')])
  assert.deepEqual(refused, ['lock'])
  assert.ok(isQuadrilleError(outcome, 'HANDLER_RUN_AGAIN'))
  assert.ok(!sent.includes('lock'))
})

test('handlers of one key, and one that has to be alone, have their turns to themselves', async () => {
  const handlers = [
    single('a1', { key: 'a', rounds: [1, 1] }),
    single('a2', { key: 'a' }),
    single('alone', { rounds: [1, 1] }),
    single('b'),
  ]
  const { sent, outcome } = await runOn(handlers, { isAlone: ({ name }) => name === 'alone' })
  assert.equal(outcome, 'done')
  assert.deepEqual(sent, ['a1', 'a1', 'a2', 'alone', 'alone', 'b'])
})

test('what the first has thrown is thrown, nobody is begun after it was, and all have ended by then', async () => {
  const ended: string[] = []
  const handlers = [single('a'), single('wrong', { rounds: [], fails: true }), single('c', { lateBy: 3 })]
  const { outcome } = await runOn(handlers, {
    async begin({ name, fails }, turn) {
      turn.sending(false)
      await new Promise((resolve) => setImmediate(resolve))
      ended.push(name)
      if (fails) throw new Error(`${name} fails`)
    },
  })
  assert.equal((outcome as Error).message, 'wrong fails')
  assert.deepEqual(ended, ['a', 'wrong', 'c'])
})

test('whatever handlers do: either everything fails, or statements are in the order of the handlers', async () => {
  const handler = fc.record({
    rounds: fc.array(fc.integer({ min: 1, max: 2 }), { maxLength: 3 }),
    lateBy: fc.integer({ min: 0, max: 5 }),
    key: fc.constantFrom('a', 'b', 'c', 'd'),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(handler, { maxLength: 8 }), async (list) => {
      const handlers = list.map((each, index) => ({ ...each, name: `h${index}` }))
      const { sent, outcome } = await runOn(handlers)
      const inOrder = handlers.flatMap(({ name, rounds }) =>
        Array.from({ length: rounds.reduce((sum, count) => sum + count, 0) }, () => name),
      )
      if (outcome === 'done') assert.deepEqual(sent, inOrder)
      else assert.ok(isQuadrilleError(outcome, 'HANDLER_RUN_AGAIN'))
    }),
    { numRuns: 300 },
  )
})
