/** Turns that fail, and whoever learns from the ledger afterwards and fails, too. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { manualEnv } from 'quadrille/testing'
import { QuadrilleError, silentLogger } from '../../src/base/index.ts'
import { TurnLoop } from '../../src/runtime/turn-loop.ts'

/** A loop whose turns and lessons do what the lists say, one after the other: throw it, or nothing. */
function place({ turns = [], lessons = [] }: { turns?: unknown[]; lessons?: unknown[] }) {
  const env = manualEnv()
  const seen: string[] = []
  const next = (what: string, results: unknown[]): void => {
    seen.push(what)
    const result = results.shift()
    if (result !== undefined) throw result
  }
  const loop = new TurnLoop({
    what: 'reader',
    reader: 'r',
    env,
    log: silentLogger,
    turn: async () => {
      next('turn', turns)
      return false
    },
    learn: async () => next('learn', lessons),
    restMs: () => Infinity,
    rests: () => seen.push('rest'),
  })
  const rested = async () => {
    for (let ms = 0; !loop.isResting && ms < 60_000; ms += 100) await env.advance(100)
    return seen
  }
  return { env, loop, seen, rested }
}

const pageVoid = () => new QuadrilleError('LEDGER_PAGE_VOID', { ledger: 'l' })

test('a failed turn is followed by a lesson, and a lesson that fails by another one', async () => {
  const { loop, rested } = place({ turns: [pageVoid()], lessons: [new Error('disk'), new Error('disk')] })
  loop.start()
  assert.deepEqual(await rested(), ['turn', 'learn', 'learn', 'learn', 'turn', 'rest'])
  loop.wake()
  await loop.stop()
})

test('who is stopped while nothing is certain learns once more, and says so when that fails', async () => {
  const { env, loop, seen } = place({ turns: [new Error('gone')], lessons: [new Error('still gone')] })
  loop.start()
  await env.breathe()
  await assert.rejects(loop.stop(), /still gone/)
  assert.deepEqual(seen, ['turn', 'learn'])
})

test('a ledger that is closed ends it', async () => {
  const { env, loop, seen } = place({
    turns: [new QuadrilleError('LEDGER_CLOSED', { ledger: 'l', operation: 'read()' })],
  })
  loop.start()
  await env.breathe()
  assert.deepEqual(seen, ['turn'])
  assert.ok(loop.signal.aborted)
})

test('whoever is woken during a turn does not rest after it', async () => {
  const { loop, seen } = place({})
  await loop.stepOrRest(async () => {
    loop.wake()
    return false
  })
  assert.deepEqual(seen, [])
})
