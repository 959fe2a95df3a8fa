/** What the app tells about itself: the flow of a conversation, its health, and hooks that do no harm. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { event, service, type Hooks, type Logger, type StandardSchema } from 'quadrille'
import type { Ledger, RecordQuery } from '../../src/ledger/index.ts'
import { recordFlow } from '../../src/runtime/flow-recorder.ts'
import { Answered, Asked, Cancelled, Undone, fileWorld, gate, ledgerFile, lenientWorld } from './setup.ts'

test('flow() shows the events of a conversation and how far each delivery has got', async () => {
  const goOn = gate()
  const begun = gate()
  const startCall = () => {
    begun.open()
    return goOn.promise
  }
  const oracle = service('oracle')
    .on(Asked, { name: 'answer', emits: [Answered] }, (asked) => Answered(asked))
    .on(Asked, { name: 'never', retry: { attempts: 1 } }, () => {
      throw new Error('not possible')
    })
    .on(Asked, { name: 'later', retry: { base: '1h', max: '1h' } }, (_, { attempt }) => {
      if (attempt === 1) throw new Error('come back')
    })
    .on(Asked, { name: 'calling', call: () => startCall() }, () => {})
    .on(Asked, { name: 'none of its business', filter: () => false }, () => {})
  const clerk = service('clerk').all([Answered, Cancelled], { name: 'file' }, () => {})
  await using w = await lenientWorld([oracle, clerk], { seed: 4 })
  const { correlationId } = await w.publish(Asked({ id: 'k' }))
  await begun.promise
  const under = await w.app.flow(correlationId)
  assert.equal(under.deliveries.find(({ reaction }) => reaction === 'calling')?.status, 'waiting')
  goOn.open()
  await w.settled()
  const flow = await w.app.flow(correlationId)
  assert.deepEqual(
    flow.events.map(({ type }) => type),
    ['asked', 'answered'],
  )
  assert.deepEqual(
    flow.deliveries.map(({ service: name, reaction, role, status }) => `${name} ${reaction} ${role} ${status}`),
    [
      'oracle answer run handled', 'oracle never run dead', 'oracle later run waiting', 'oracle calling run handled',
      'clerk file part handled',
    ], // prettier-ignore
  )
  assert.deepEqual(flow.notes.map(({ kind, reaction }) => `${kind} ${reaction}`).sort(), ['dead never', 'retry later'])
  await w.app.deadLetters.discard({}, 'a test order')
  await w.advance('2h')
  const after = await w.app.flow(correlationId)
  assert.deepEqual(new Set(after.deliveries.map(({ status }) => status)), new Set(['handled']))
  assert.ok(after.notes.some(({ kind, text }) => kind === 'discarded' && text === 'a test order'))
  assert.deepEqual((await w.app.flow('nothing')).events, [])
})

test('flow() shows what was prevented, undone and too late', async () => {
  const oracle = service('oracle')
    .on(Asked, { name: 'act', undo: { on: [Cancelled], run: () => {} } }, () => {})
    .deadline(Asked, { name: 'expire', unless: [Answered], within: '1m' }, () => {})
    .all([Asked, Answered], { name: 'join', within: '1m', late: () => {} }, () => {})
  await using w = await lenientWorld([oracle])
  const undone = await w.publish([Asked({ id: 'a' }), Cancelled({ id: 'a' })])
  const prevented = await w.publish([Cancelled({ id: 'b' }), Asked({ id: 'b' })])
  await w.advance('2m')
  const kinds = async (id: string) => (await w.app.flow(id)).notes.map(({ kind }) => kind).sort()
  assert.deepEqual(await kinds(undone.correlationId), ['deadline', 'late', 'undone'])
  assert.deepEqual(await kinds(prevented.correlationId), ['deadline', 'late', 'prevented'])
})

test('health() is fine while all is well, and names dead letters, open breakers and backlogs that do not move', async () => {
  const goOn = gate()
  const begun = gate()
  let broken = false
  const oracle = service('oracle')
    .on(Asked, { retry: { attempts: 1 } }, ({ id }) => {
      if (id === 'bad') throw new Error('never')
    })
    .on(Answered, { breaker: { failures: 1, pause: '1h' } }, () => {
      if (broken) throw new Error('down')
    })
  const clerk = service('clerk').on(Undone, async () => {
    begun.open()
    await goOn.promise
  })
  await using w = await lenientWorld([oracle, clerk])
  await w.publish([Asked({ id: 'good' }), Answered({ id: 'good' })])
  await w.settled()
  const fine = await w.app.health()
  assert.equal(fine.ok, true, fine.problems.join())
  assert.deepEqual(fine.problems, [])
  assert.deepEqual(
    fine.readers.map(({ reader, backlog, oldestMs, waiting, dead, partitionsHeld }) => [reader, backlog, oldestMs, waiting, dead, partitionsHeld]),
    [['oracle', 0, 0, 0, 0, 16], ['clerk', 0, 0, 0, 0, 16]],
  ) // prettier-ignore
  broken = true
  await w.publish([Asked({ id: 'bad' }), Answered({ id: 'bad' })])
  await w.settled()
  const trouble = await w.app.health()
  assert.equal(trouble.ok, false)
  assert.deepEqual(trouble.problems, ['oracle has 1 dead letter', 'oracle has open breakers: answered'])
  goOn.open()
})

test('a handler that holds the transaction open for long is warned about by name', async () => {
  const warnings: string[] = []
  const log: Logger = { debug() {}, info() {}, error() {}, warn: (_, text) => void warnings.push(text) }
  const slow: string[] = []
  const oracle = service('oracle')
    .on(Asked, async () => w.env.advance(251))
    .on(Answered, async () => w.env.advance(250))
  await using w = await lenientWorld([oracle], {
    log,
    hooks: { slow: ({ reaction, heldMs }) => void slow.push(`${reaction} ${heldMs}`) },
  })
  await w.publish([Asked({ id: 'k' }), Answered({ id: 'k' })])
  await w.settled()
  assert.deepEqual(slow, ['asked 251'])
  assert.equal(warnings.length, 1)
  assert.match(warnings[0]!, /oracle\/asked held the transaction open for 251 ms.*`call`/)
})

test('hooks that throw are logged and do no harm', async () => {
  const logged: unknown[] = []
  const log: Logger = { debug() {}, info() {}, warn() {}, error: (facts) => void logged.push(facts) }
  const names = [
    'appended',
    'handled',
    'skipped',
    'failed',
    'dead',
    'call',
    'breaker',
    'batch',
    'slow',
    'leases',
    'idle',
  ]
  const bad = Object.fromEntries(names.map((name) => [name, () => assert.fail(`the hook ${name}`)])) as Hooks
  const handled: number[] = []
  const oracle = service('oracle', { retry: { attempts: 2 } }).on(
    Asked,
    { emits: [Answered], call: () => 1, breaker: { failures: 1 } },
    (asked, { attempt }) => {
      if (attempt === 1) throw new Error('down')
      handled.push(asked.n)
      return Answered(asked)
    },
  )
  await using w = await lenientWorld([oracle], { log, hooks: bad })
  await w.publish([Asked({ id: 'a', n: 1 }), Asked({ id: 'b', n: 2 })])
  await w.advance('10m')
  assert.deepEqual(handled.sort(), [1, 2])
  assert.equal(w.saw(Answered).length, 2)
  const hooked = new Set(logged.flatMap((facts) => (facts as { hook?: string }).hook ?? []))
  for (const name of ['appended', 'handled', 'failed', 'call', 'breaker', 'batch', 'idle'])
    assert.ok(hooked.has(name), name)
})

test('hooks are told only what has been committed, and each fact once', async () => {
  const facts: string[] = []
  const oracle = service('oracle').on(Asked, { emits: [Answered], retry: { attempts: 2 } }, (asked, { attempt }) => {
    if (asked.n === 2 && attempt === 1) throw new Error('down')
    return Answered(asked)
  })
  await using w = await lenientWorld([oracle], {
    hooks: {
      appended: ({ events }) => void facts.push(...events.map(({ type, data }) => `appended ${type} ${data}`)),
      handled: ({ event }) => void facts.push(`handled ${event.data}`),
      failed: ({ event }) => void facts.push(`failed ${event.data}`),
    },
  })
  await w.publish([1, 2, 3].map((n) => Asked({ id: `k${n}`, n })))
  await w.advance('10m')
  const expected = [1, 2, 3].flatMap((n) => {
    const data = `{"id":"k${n}","n":${n}}`
    return [`appended asked ${data}`, `handled ${data}`, `appended answered ${data}`]
  })
  assert.deepEqual(facts.sort(), [...expected, 'failed {"id":"k2","n":2}'].sort())
})

test('what a reaction emits again is told as duplicates, also when nothing else was appended', async () => {
  const told: unknown[] = []
  const others: unknown[] = []
  const oracle = service('oracle').on(Asked, { emits: [Answered] }, (asked) => [
    Answered(asked, { id: 'always the same' }),
    ...(asked.n === 2 ? [Answered(asked)] : []),
  ])
  await using w = await lenientWorld([oracle], {
    hooks: {
      appended: ({ events, duplicates, origin }) => {
        if (origin === 'oracle') told.push([events.length, duplicates])
        else others.push(origin)
      },
    },
  })
  for (const n of [0, 1, 2]) {
    await w.publish(Asked({ id: 'k', n }))
    await w.settled()
  }
  assert.deepEqual(told, [
    [1, 0],
    [0, 1],
    [1, 1],
  ])
  assert.deepEqual(others, [null, null, null], 'what is published comes from outside')
})

test('flow() shows each of many events that wait behind one of their key', async () => {
  const oracle = service('oracle').on(Asked, { retry: { base: '1h', max: '1h' } }, () => {
    throw new Error('come back')
  })
  await using w = await lenientWorld([oracle])
  const { correlationId } = await w.publish(Array.from({ length: 120 }, (_, n) => Asked({ id: 'k', n })))
  await w.settled()
  const { deliveries } = await w.app.flow(correlationId)
  assert.deepEqual([deliveries.length, new Set(deliveries.map(({ status }) => status))], [120, new Set(['waiting'])])
})

test('flow() takes an error whose text speaks of a death for what it is', async () => {
  const oracle = service('oracle')
    .on(Asked, { name: 'fail', retry: { base: '1h', max: '1h' } }, () => {
      throw new Error('PROCESS_DIED: says the other side')
    })
    .on(Asked, { name: 'its business', filter: () => true }, () => {})
  await using w = await lenientWorld([oracle])
  const { correlationId } = await w.publish(Asked({ id: 'k' }))
  await w.settled()
  const { deliveries, notes } = await w.app.flow(correlationId)
  assert.deepEqual(
    notes.map(({ text, code }) => [text, code]),
    [['try 1 failed: PROCESS_DIED: says the other side', null]],
  )
  assert.deepEqual(
    deliveries.map(({ reaction, status }) => [reaction, status]),
    [
      ['fail', 'waiting'],
      ['its business', 'handled'],
    ],
  )
})

test('flow() asks for the reactions of each service once, also when some have readers of their own', async (t) => {
  const path = ledgerFile(t)
  const first = service('oracle').on(Asked, { name: 'first' }, () => {})
  await (await fileWorld(path, [first])).stop()
  const later = service('oracle')
    .on(Asked, { name: 'first' }, () => {})
    .on(Asked, { name: 'later', from: 'now' }, () => {})
  await using w = await fileWorld(path, [later])
  const { correlationId } = await w.publish(Asked({ id: 'k' }))
  await w.settled()
  const { ledger } = w.app
  assert.deepEqual((await ledger.readers()).toSorted(), ['oracle', 'oracle/later'])
  const scopes: string[] = []
  const recording = new Proxy(ledger, {
    get(target, name: keyof Ledger) {
      if (name !== 'query') return target[name]
      return (query: RecordQuery) => {
        if (query.kind === 'reaction') scopes.push(query.scope)
        return target.query(query)
      }
    },
  })
  const { deliveries } = await recordFlow(correlationId, recording, [])
  assert.deepEqual(scopes, ['oracle'])
  assert.deepEqual(
    deliveries.map(({ reaction }) => reaction),
    ['first', 'later'],
  )
})

test('flow() does not look at an event of which a process has died', async () => {
  let looks = 0
  const counting: StandardSchema<{ id: string }, { id: string }> = {
    '~standard': {
      version: 1,
      vendor: 'quadrille-test',
      validate: (value) => ((looks += 1), { value: value as { id: string } }),
    },
  }
  const Deadly = event('deadly', { key: 'id', schema: counting })
  const oracle = service('oracle').on(Deadly, { name: 'look' }, () => {})
  await using w = await lenientWorld([oracle])
  const { correlationId } = await w.publish(Deadly({ id: 'k' }))
  await w.settled()
  const flow = async () => {
    const before = looks
    const { deliveries } = await w.app.flow(correlationId)
    return [deliveries.map(({ status }) => status), looks - before]
  }
  assert.deepEqual(await flow(), [['handled'], 1])
  const body = { at: 0, kind: 'retry', service: 'oracle', reaction: 'look', eventId: correlationId }
  await w.app.ledger.transact((tx) =>
    tx.save([
      {
        scope: '~notes',
        kind: 'note',
        id: 'n',
        partition: 0,
        lane: correlationId,
        seq: 0,
        due: null,
        expires: null,
        body: JSON.stringify({ ...body, text: 'try 1 failed: PROCESS_DIED: it died' }),
      },
    ]),
  )
  assert.deepEqual(await flow(), [['handled'], 0])
})
