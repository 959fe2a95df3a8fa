/** What goes wrong is said at once, with the error that a logger can show the stack of, and not a thousand times. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { service, start, type Logger } from 'quadrille'
import { Answered, Asked, lenientWorld } from './setup.ts'

function keptLog() {
  const said: { readonly level: string; readonly facts: { readonly err?: unknown }; readonly text: string }[] = []
  const level = (name: string) => (facts: object, text: string) => void said.push({ level: name, facts, text })
  const log: Logger = { debug() {}, info: level('info'), warn: level('warn'), error: level('error') }
  return { log, said }
}

test('the first failed try of a handling is a warning, and a dead letter an error, both with what was thrown', async () => {
  const thrown = new Error('no stock')
  const { log, said } = keptLog()
  const oracle = service('oracle').on(Asked, { retry: { attempts: 3, base: '1s', max: '1s' } }, () => {
    throw thrown
  })
  await using w = await lenientWorld([oracle], { log })
  await w.publish(Asked({ id: 'k' }))
  await w.settled()
  const texts = () => said.map(({ level, text }) => `${level} ${text}`)
  assert.equal(said.length, 1)
  assert.match(texts()[0]!, /^warn oracle\/asked: asked failed and is tried again in \d+ ms: no stock$/)
  await w.advance('1h')
  assert.deepEqual(texts().slice(1), ['error oracle/asked: asked became a dead letter: no stock'])
  assert.deepEqual(
    said.map(({ facts }) => facts.err),
    [thrown, thrown],
  )
})

test('an outage is said once a second by each reaction, and by no other', async () => {
  const { log, said } = keptLog()
  const down = () => {
    throw new Error('down')
  }
  const oracle = service('oracle', { retry: { base: '1h', max: '1h' } })
    .on(Asked, down)
    .on(Answered, down)
  await using w = await lenientWorld([oracle], { log })
  const outage = async (from: number) => {
    const ids = Array.from({ length: 50 }, (_, i) => `k${from + i}`)
    await w.publish(ids.flatMap((id) => [Asked({ id }), Answered({ id })]))
    await w.settled()
    return said
      .splice(0)
      .map(({ text }) => text.split(':')[0]!)
      .sort()
  }
  assert.deepEqual(await outage(0), ['oracle/answered', 'oracle/asked'])
  await w.advance(999)
  assert.deepEqual(await outage(50), [])
  await w.advance(1)
  assert.deepEqual(await outage(100), ['oracle/answered', 'oracle/asked'])
})

test('start() without a ledger warns that events end with the process', async () => {
  const { log, said } = keptLog()
  const app = await start({ services: [service('oracle').on(Asked, () => {})], log })
  await app.stop()
  assert.deepEqual(
    said.map(({ level, text }) => `${level} ${text}`),
    ['warn no ledger given: events are kept in memory and end with the process'],
  )
})
