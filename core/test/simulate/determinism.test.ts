/** The same seed does the same to the last step, also in another process; what would spoil that is noticed and named. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { choreography, event, service } from 'quadrille'
import { simulate } from 'quadrille/simulate'
import * as z from 'zod'
import { shop, shopOptions } from './shop.ts'

const quick = { budget: '10m', schedules: 40, maxFaults: 0, faults: ['duplicate', 'answer lost'] } as const

test('the same seed gives the same trace, another seed another one, in this process and in another', async () => {
  const run = async (seed: number) => (await simulate(shop(), { ...shopOptions(), ...quick, seed })).traceHash
  const first = await run(1)
  assert.equal(await run(1), first)
  assert.notEqual(await run(2), first)
  const member = fileURLToPath(new URL('./determinism-member.ts', import.meta.url))
  const told = execFileSync(process.execPath, ['--conditions=quadrille-source', member], { encoding: 'utf8' })
  assert.equal(told.trim(), first)
})

const Asked = event('asked', { key: 'id', schema: z.object({ id: z.string() }) })
const Answered = event('answered', { key: 'id', schema: z.object({ id: z.string() }) })
type Handler = () => unknown

function talk(handler: Handler) {
  const desk = service('desk').on(Asked, { name: 'answer', emits: [Answered] }, async ({ id }) => {
    await handler()
    return Answered({ id })
  })
  return choreography('talk', { services: [desk], starts: [Asked], ends: { success: [Answered] } })
}
const calm = { ...quick, faults: ['duplicate'] } as const

const readings: readonly (readonly [string, Handler])[] = [
  ['the clock (Date)', () => new Date().toISOString()],
  ['the clock (Date)', () => Date.now()],
  ['Math.random()', () => Math.random()],
  ['crypto.randomUUID()', () => crypto.randomUUID()],
  ['performance.now()', () => performance.now()],
  ['setTimeout()', () => new Promise((resolve) => setTimeout(resolve, 50))],
]

for (const [what, handler] of readings) {
  test(`a handler that reads ${what} gets the simulation's, and is named`, async () => {
    const report = await simulate(talk(handler), calm)
    assert.deepEqual(report.readings, [{ handler: 'desk/answer', what }])
    assert.equal(report.ok, true)
    assert.equal((await simulate(talk(handler), calm)).traceHash, report.traceHash)
  })
}

test('a handler that waits for a file is stopped, and named', async () => {
  const handler = () => readFile(fileURLToPath(import.meta.url))
  await assert.rejects(simulate(talk(handler), calm), { code: 'SIMULATION_ESCAPED', message: /desk\/answer/ })
})

test('a handler that opens a connection is refused', async () => {
  const report = await simulate(
    talk(() => fetch('http://127.0.0.1:9/')),
    calm,
  )
  assert.equal(report.findings[0]?.code, 'DEAD_LETTER')
})

test('a call that tries to get out is answered by a fake that refuses nothing, and the report says so', async () => {
  const desk = service('desk').on(
    Asked,
    {
      name: 'ask',
      emits: [Answered],
      call: async () => (await fetch('http://127.0.0.1:9/')).json() as Promise<{ text: string }>,
    },
    ({ id }, { result }) => {
      assert.equal(typeof result.text, 'string')
      return Answered({ id })
    },
  )
  const asked = choreography('talk', { services: [desk], starts: [Asked], ends: { success: [Answered] } })
  const report = await simulate(asked, { ...calm, faults: [] })
  assert.equal(report.ok, true, report.text())
  assert.deepEqual(report.answered, [{ reaction: 'desk/ask', tried: 'fetch()' }])
})

test('afterwards the clock, timers and randomness of the machine are what they were', async () => {
  const before = [Date, setTimeout, Math.random, globalThis.fetch]
  await simulate(
    talk(() => {}),
    calm,
  )
  assert.deepEqual(
    [Date, setTimeout, Math.random, globalThis.fetch].map((each, index) => each === before[index]),
    before.map(() => true),
  )
  assert.ok(Math.abs(Date.now() - performance.timeOrigin - performance.now()) < 60_000)
})

test('inputs come from a list, a function, an arbitrary of fast-check, or the schema', async () => {
  const seen = new Set<string>()
  const watched = choreography('talk', {
    services: [service('desk').on(Asked, { emits: [Answered] }, ({ id }) => (seen.add(id), Answered({ id })))],
    starts: [Asked],
    ends: { success: [Answered] },
  })
  const ids = async (
    inputs?: Parameters<typeof simulate<{ id: string }>>[1] extends infer O
      ? NonNullable<O>['inputs' & keyof NonNullable<O>]
      : never,
  ) => {
    seen.clear()
    await simulate<{ id: string }>(watched, { ...calm, conversations: 1, ...(inputs === undefined ? {} : { inputs }) })
    return [...seen]
  }
  assert.deepEqual(await ids([{ id: 'x' }]), ['x'])
  assert.deepEqual(await ids((_, index) => ({ id: `n-${index}` })), ['n-0'])
  const drawn = await ids(fc.record({ id: fc.stringMatching(/^[a-z]{3}$/) }))
  assert.ok(drawn.length > 10 && drawn.every((id) => /^[a-z]{3}$/.test(id)), drawn.join())
  assert.deepEqual(await ids(), ['id-1'])
})
