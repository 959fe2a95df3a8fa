/** What comes from outside is an event, a duplicate, or a dead letter with its exact bytes; nothing is dropped in silence. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { event, service, type ErrorCode } from 'quadrille'
import { Answered, Asked, fileWorld, ledgerFile, lenientWorld } from './setup.ts'

const bytesOf = (value: unknown) =>
  new TextEncoder().encode(typeof value === 'string' ? value : JSON.stringify(value, undefined, 1))
const message = (id: string, [type, data]: [string, unknown], more: object = {}) =>
  bytesOf({ specversion: '1.0', id, source: 'far', type, partitionkey: 'k', data, ...more })

test('valid messages are appended once and handled, whatever comes with them', async () => {
  const seen: string[] = []
  const oracle = service('oracle').on(Asked, { emits: [Answered] }, (asked, { event: envelope }) => {
    seen.push(`${asked.id} ${envelope.id} ${envelope.source} ${envelope.correlationId}`)
    return Answered(asked)
  })
  await using w = await lenientWorld([oracle])
  const good = message('e1', ['asked', { id: 'k' }], { correlationid: 'c1', hops: 3 })
  assert.deepEqual(await w.app.receive([good, bytesOf('not json'), good]), { appended: 1, duplicates: 1, dead: 1 })
  assert.deepEqual(await w.app.receive([good]), { appended: 0, duplicates: 1, dead: 0 })
  await w.settled()
  assert.deepEqual(seen, ['k e1 far c1'])
  const answer = w.events.find(({ type }) => type === 'answered')
  assert.equal(answer?.correlationId, 'c1')
  assert.equal(answer.causationId, 'e1')
  assert.equal(answer.hops, 4)
})

const unreadable: readonly [string, Uint8Array, ErrorCode][] = [
  ['bytes that are not JSON', bytesOf('{"specversion'), 'EVENT_UNDECODABLE'],
  ['bytes that are not UTF-8', new Uint8Array([0x7b, 0xff, 0xfe, 0x00, 0x7d]), 'EVENT_UNDECODABLE'],
  ['no bytes at all', new Uint8Array(), 'EVENT_UNDECODABLE'],
  ['JSON that is no CloudEvent', bytesOf({ id: 'k' }), 'EVENT_UNDECODABLE'],
  ['an event type that nobody knows', message('e1', ['sung', { id: 'k' }]), 'EVENT_TYPE_UNKNOWN'],
  ['an event that is too large', message('e1', ['asked', { id: 'x'.repeat(5_000) }]), 'EVENT_TOO_LARGE'],
]

for (const [what, bytes, code] of unreadable) {
  test(`${what} become a dead letter with ${code} and exactly these bytes`, async () => {
    const oracle = service('oracle').on(Asked, () => {})
    await using w = await lenientWorld([oracle], { eventBytesMax: 1_000 })
    assert.deepEqual(await w.app.receive([bytes]), { appended: 0, duplicates: 0, dead: 1 })
    const [letter] = await w.app.deadLetters.list()
    assert.equal(letter?.role, 'receive')
    assert.equal(letter.code, code)
    assert.equal(letter.event, null)
    assert.deepEqual(letter.bytes, bytes)
    assert.match(letter.message, new RegExp(code))
    assert.deepEqual(await w.app.deadLetters.redrive({}), { matched: 0, ids: [] }, 'it is as unreadable as before')
    const health = await w.app.health()
    assert.equal(health.ok, false)
    assert.match(health.problems.join(), /received/)
    assert.equal((await w.app.deadLetters.discard({ id: letter.id }, 'noise')).matched, 1)
    assert.equal((await w.app.health()).ok, true)
  })
}

test('a message of an unknown type can be redriven once a service knows the type', async (t) => {
  const path = ledgerFile(t)
  const handled: string[] = []
  {
    await using w = await fileWorld(path, [service('oracle').on(Asked, () => {})])
    await w.app.receive([message('e1', ['sung', { id: 'k' }])])
  }
  const Sung = event('sung', { key: 'id', schema: z.object({ id: z.string() }) })
  const choir = service('choir').on(Sung, { from: 'beginning' }, ({ id }) => void handled.push(id))
  await using w = await fileWorld(path, [choir])
  assert.equal((await w.app.deadLetters.redrive({}, { dryRun: true })).matched, 1)
  assert.equal((await w.app.deadLetters.redrive({})).matched, 1)
  await w.settled()
  assert.deepEqual(handled, ['k'])
  assert.deepEqual(await w.app.deadLetters.list(), [])
})

const dotted = z.object({ id: z.string(), n: z.number() })
const cannotDecode: readonly [string, string, object, ErrorCode][] = [
  ['of a version that nobody knows', '{"id":"k","n":1}', { dataversion: 7 }, 'EVENT_VERSION_UNKNOWN'],
  ['that violates its schema', '{"id":"k","n":"one"}', { dataversion: 2 }, 'EVENT_INVALID'],
  ['whose upcast throws', '{"id":"k","n":13}', { dataversion: 1 }, 'UPCAST_FAILED'],
]

for (const [what, data, more, code] of cannotDecode) {
  test(`an event ${what} is a dead letter of each reaction with ${code}, and other keys and reactions go on`, async () => {
    const Dotted = event('dotted', { key: 'id', schema: dotted }).version(2, {
      schema: dotted,
      upcast: (old) => {
        if (old.n === 13) throw new Error('unlucky')
        return old
      },
    })
    const handled: string[] = []
    const oracle = service('oracle')
      .on(Dotted, { name: 'one' }, ({ id, n }) => void handled.push(`one ${id}${n}`))
      .on(Asked, { name: 'two' }, ({ id }) => void handled.push(`two ${id}`))
    const clerk = service('clerk').on(Dotted, { name: 'three', onDead: 'hold' }, ({ id, n }) =>
      void handled.push(`three ${id}${n}`),
    ) // prettier-ignore
    await using w = await lenientWorld([oracle, clerk])
    await w.app.receive([
      message('e1', ['dotted', JSON.parse(data)], more),
      message('e2', ['dotted', { id: 'k', n: 2 }], { dataversion: 2 }),
      message('e3', ['dotted', { id: 'other', n: 3 }], { dataversion: 2, partitionkey: 'other' }),
      message('e4', ['asked', { id: 'k' }]),
    ])
    await w.settled()
    assert.deepEqual(handled.sort(), ['one k2', 'one other3', 'three other3', 'two k'])
    const letters = await w.app.deadLetters.list()
    assert.deepEqual(
      letters.map((letter) => [letter.service, letter.reaction, letter.role, letter.code, letter.holds]).sort(),
      [['clerk', 'three', 'run', code, true], ['oracle', 'one', 'run', code, false]], // prettier-ignore
    )
    for (const letter of letters) assert.equal(new TextDecoder().decode(letter.bytes), data)
  })
}

test('dead letters of an old version are redriven after the service was released with the new one', async (t) => {
  const path = ledgerFile(t)
  const V1 = event('dotted', { key: 'id', schema: z.object({ id: z.string() }) })
  const V2 = V1.version(2, { schema: z.object({ id: z.string(), colour: z.string() }), upcast: (old) => ({ ...old, colour: 'red' }) }) // prettier-ignore
  const handled: string[] = []
  {
    await using w = await fileWorld(path, [service('painter').on(V1, ({ id }) => void handled.push(id))])
    await w.app.receive([message('e1', ['dotted', { id: 'k', colour: 'blue' }], { dataversion: 2 })])
    await w.settled()
    assert.equal((await w.app.deadLetters.list())[0]?.code, 'EVENT_VERSION_UNKNOWN')
  }
  assert.equal(handled.length, 0)
  await using w = await fileWorld(path, [
    service('painter').on(V2, (data) => void handled.push(`${data.id} ${data.colour}`)),
  ])
  assert.equal((await w.app.deadLetters.redrive({ code: 'EVENT_VERSION_UNKNOWN' })).matched, 1)
  await w.settled()
  assert.deepEqual(handled, ['k blue'])
})

test('an event of an old version is upcast on reading, and fields that the consumer does not know are ignored', async () => {
  const V2 = event('dotted', { key: 'id', schema: z.object({ id: z.string() }) }).version(2, {
    schema: z.object({ id: z.string(), colour: z.string() }),
    upcast: (old) => ({ ...old, colour: 'red' }),
  })
  const handled: unknown[] = []
  const painter = service('painter').on(V2, (data) => void handled.push(data))
  await using w = await lenientWorld([painter])
  await w.app.receive([
    message('e1', ['dotted', { id: 'k', shine: true }], { dataversion: 1 }),
    message('e2', ['dotted', { id: 'k', colour: 'blue', shine: true }], { dataversion: 2 }),
  ])
  await w.settled()
  assert.deepEqual(handled, [{ id: 'k', colour: 'red' }, { id: 'k', colour: 'blue' }]) // prettier-ignore
})
