/** How far a reader has come, as the ledger knows it: what a batch concerns at once, everything else a moment later. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { partitionCount, partitionOf, service, type Ledger } from 'quadrille'
import { Answered, Asked, fileWorld, ledgerFile, lenientWorld } from './setup.ts'

const keys = Array.from({ length: 3 }, (_, index) => `k${index}`)
const concerned = new Set(keys.map(partitionOf))
const asked = (n: number) => keys.map((id) => Asked({ id, n }))

/** The partitions of a reader that are behind a position. */
async function behind(ledger: Ledger, reader: string, position: number): Promise<readonly number[]> {
  const positions = await ledger.positions(reader)
  assert.equal(positions.length, partitionCount)
  return [...positions.keys()].filter((partition) => positions[partition]! < position)
}

const others = Array.from({ length: partitionCount }, (_, partition) => partition).filter(
  (each) => !concerned.has(each),
)

test('a batch moves the checkpoints of the partitions that it concerns, and those of the others follow within a second', async () => {
  await using w = await lenientWorld([service('oracle').on(Asked, () => {})])
  const { events } = await w.publish(asked(1))
  await w.settled()
  const last = events.at(-1)!.position
  assert.deepEqual(await behind(w.app.ledger, 'oracle', last), others)
  await w.advance('1s')
  assert.deepEqual(await behind(w.app.ledger, 'oracle', last), [])
})

test('under steady work the checkpoints of the others follow as well', async () => {
  await using w = await lenientWorld([service('oracle').on(Asked, () => {})])
  const first = await w.publish(asked(0))
  for (let n = 1; n <= 4; n++) {
    await w.advance(300)
    await w.publish(asked(n))
    await w.settled()
  }
  assert.deepEqual(await behind(w.app.ledger, 'oracle', first.events.at(-1)!.position), [])
})

test('stop() leaves no checkpoint behind, and what comes later is handled once', async (t) => {
  const path = ledgerFile(t)
  const handled: number[] = []
  const oracle = () => service('oracle').on(Asked, ({ n }) => void handled.push(n))
  let last = 0
  {
    await using w = await fileWorld(path, [oracle()])
    last = (await w.publish(asked(1))).events.at(-1)!.position
    await w.settled()
  }
  await using w = await fileWorld(path, [oracle()])
  assert.deepEqual(await behind(w.app.ledger, 'oracle', last), [])
  await w.publish([...asked(2), Answered({ id: 'k0' })])
  await w.settled()
  assert.deepEqual(handled, [1, 1, 1, 2, 2, 2])
})
