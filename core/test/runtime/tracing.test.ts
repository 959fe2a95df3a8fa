/** What tracing is told: a beginning and an end of all that runs, once each; and where events get their trace context from. */
import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { test } from 'node:test'
import { service, type TracedRun, type Tracing } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { world } from 'quadrille/testing'
import { Answered, Asked, Cancelled, ledgerFile, lenientWorld, Undone } from './setup.ts'
import { app, memoryHub, refusedFor, scripted, until } from './wire-setup.ts'

const request = new AsyncLocalStorage<string>()

const textOf = (run: TracedRun): string =>
  run.what === 'send'
    ? `send ${run.events.map(({ type }) => type).join()}`
    : `${run.what} ${run.handlings.map((each) => `${each.service}/${each.reaction} ${each.role} ${each.attempt} ${each.event.key}`).join()}`

/** Tracing that writes down what has ended, and how; what has begun and not ended is in `open`. */
function recorder() {
  const ended: string[] = []
  const open = new Set<object>()
  const active = new AsyncLocalStorage<string>()
  const tracing: Tracing = {
    traceContext: ({ type, correlationId, id }) => ({
      traceparent: `${request.getStore()}: ${type}${id === correlationId ? ' first' : ''}`,
    }),
    begin(run) {
      const [text, mark] = [textOf(run), {}]
      open.add(mark)
      return {
        context: run.what === 'handler' ? { traceparent: text, tracestate: 'a=1' } : undefined,
        inside: (work) => active.run(text, work),
        ended(failure) {
          assert.ok(open.delete(mark), `${text} ends once`)
          ended.push(failure ? `${text}: ${(failure.error as Error).message}` : text)
        },
      }
    },
  }
  return { tracing, ended, open, active }
}

const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

test('a handler runs inside its span, and what it emits carries it; so it does when it is tried again', async () => {
  const { tracing, ended, open, active } = recorder()
  const inside: unknown[] = []
  const oracle = service('oracle').on(Asked, { emits: [Answered] }, async ({ id }, { attempt }) => {
    await nextTurn()
    inside.push(active.getStore())
    if (id === 'b' && attempt === 1) throw new TypeError('not yet')
    return Answered({ id })
  })
  const heard: unknown[] = []
  const listener = service('listener').on(Answered, ({ id }, { event }) => {
    heard.push([id, event.traceparent, event.tracestate])
  })
  const w = await lenientWorld([oracle, listener], { tracing })
  await request.run('here', () => w.publish([Asked({ id: 'a' }), Asked({ id: 'b' })]))
  await w.advance('10s')
  await w.stop()
  assert.deepEqual(
    w.events.filter(({ type }) => type === 'asked').map(({ traceparent }) => traceparent),
    ['here: asked first', 'here: asked'],
  )
  // When the batch is run again without the one that has failed, so are the others: each run is one.
  assert.deepEqual([...new Set(ended)].toSorted(), [
    'handler listener/answered run 1 a',
    'handler listener/answered run 1 b',
    'handler oracle/asked run 1 a',
    'handler oracle/asked run 1 b: not yet',
    'handler oracle/asked run 2 b',
  ])
  assert.deepEqual(heard, [
    ['a', 'handler oracle/asked run 1 a', 'a=1'],
    ['b', 'handler oracle/asked run 2 b', 'a=1'],
  ])
  assert.ok(inside.includes('handler oracle/asked run 2 b'))
  assert.equal(open.size, 0)
})

test('what a handler returns wrongly is an error of its span', async () => {
  const { tracing, ended, open } = recorder()
  const wrong = service('wrong').on(Asked, { emits: [Answered], retry: { attempts: 1 } }, ({ id }) =>
    // @ts-expect-error: it is not declared
    Cancelled({ id }),
  )
  const w = await lenientWorld([wrong], { tracing })
  await w.publish(Asked({ id: 'a' }))
  await w.settled()
  await w.stop()
  assert.match(ended[0]!, /^handler wrong\/asked run 1 a: .*cancelled/)
  assert.equal(open.size, 0)
})

test('a batch is one run', async () => {
  const { tracing, ended } = recorder()
  const many = service('many').on(Asked, { emits: [Answered], batch: { size: 10 } }, (asked) =>
    asked.map(({ id }) => Answered({ id })),
  )
  const w = await world([many], { tracing })
  await w.publish([Asked({ id: 'a' }), Asked({ id: 'b' })])
  await w.settled()
  await w.stop()
  assert.deepEqual(ended, ['handler many/asked run 1 a,many/asked run 1 b'])
  assert.deepEqual(
    w.events.filter(({ type }) => type === 'answered').map(({ traceparent }) => traceparent),
    [ended[0], ended[0]],
  )
})

test('calls, undoing, deadlines and late joins are told, each with its role', async () => {
  const { tracing, ended, open, active } = recorder()
  const called: unknown[] = []
  const call = async (): Promise<string> => {
    await nextTurn()
    called.push(active.getStore())
    if (called.length === 1) throw new Error('no answer')
    return 'done'
  }
  const undo = { on: [Cancelled], emits: [Undone], call, run: ({ id }: { id: string }) => Undone({ id }) }
  const acting = service('acting').on(Asked, { emits: [], call, undo, retry: { base: '1s' } }, () => {})
  const timing = service('timing')
    .deadline(Asked, { unless: [Undone], within: '1m', emits: [Cancelled] }, ({ id }) => Cancelled({ id }))
    .all([Asked, Answered], { name: 'both', within: '2m', late: () => {} }, () => {})
  const w = await lenientWorld([acting, timing], { tracing })
  await w.publish(Asked({ id: 'a' }))
  await w.advance('5m')
  await w.stop()
  assert.deepEqual(ended, [
    'call acting/asked run 1 a: no answer',
    'call acting/asked run 2 a',
    'handler acting/asked run 2 a',
    'handler timing/deadline of asked deadline 1 a',
    'call acting/asked undo 1 a',
    'handler acting/asked undo 1 a',
    'handler timing/both late 1 a',
  ])
  assert.deepEqual(called, ['call acting/asked run 1 a', 'call acting/asked run 2 a', 'call acting/asked undo 1 a'])
  assert.equal(open.size, 0)
})

test('transactions that share a commit each run with what their caller has, and their events carry it', async (t) => {
  const { tracing } = recorder()
  const asker = service('asker')
  const a = await app(t, { services: [asker], ledger: sqlite(ledgerFile(t)), tracing })
  const within: string[] = []
  const tokens = await Promise.all(
    Array.from({ length: 20 }, (_, n) =>
      request.run(`request ${n}`, () =>
        a.transact(asker, async () => {
          await nextTurn()
          within.push(`${n} ${request.getStore()}`)
          return Asked({ id: `k${n}` })
        }),
      ),
    ),
  )
  assert.deepEqual(within.toSorted(), tokens.map((_, n) => `${n} request ${n}`).toSorted())
  for (const [n, { correlationId }] of tokens.entries())
    assert.equal((await a.flow(correlationId)).events[0]!.traceparent, `request ${n}: asked first`)
})

test('a batch that goes to a broker is told, also when the broker refuses it', async (t) => {
  const { tracing, ended, open, active } = recorder()
  const hub = memoryHub()
  const inside: unknown[] = []
  const { wire } = scripted(hub.wire(), (_, nth) => {
    inside.push(active.getStore())
    return nth === 1 ? refusedFor.now() : null
  })
  const asker = service('asker')
  const there = await app(t, { services: [service('far').on(Asked, () => {})], wires: [hub.wire()] })
  const here = await app(t, { services: [asker], wires: [{ wire, retry: { base: '10ms' } }], tracing })
  await here.transact(asker, () => Asked({ id: 'a' }))
  await until('it has arrived', async () => (await there.health()).ledger.facts['head'] !== 0 && ended.length === 2)
  assert.match(ended[0]!, /^send asked: .*not now/)
  assert.equal(ended[1], 'send asked')
  assert.deepEqual(inside, ['send asked', 'send asked'])
  assert.equal(open.size, 0)
})

test('hooks of tracing are told before those of start()', async () => {
  const told: string[] = []
  const { tracing } = recorder()
  const w = await world([service('one').on(Asked, () => {})], {
    tracing: { ...tracing, hooks: { handled: () => void told.push('tracing') } },
    hooks: { handled: () => void told.push('start') },
  })
  await w.publish(Asked({ id: 'a' }))
  await w.settled()
  await w.stop()
  assert.deepEqual(told, ['tracing', 'start'])
})

test('where a span has no context, an event carries on that of its cause', async () => {
  const { tracing } = recorder()
  const none: Tracing = {
    traceContext: (event) => (event.type === 'asked' ? { traceparent: 'from outside', tracestate: 'b=2' } : undefined),
    begin: (run) => ({ ...tracing.begin(run), context: undefined }),
  }
  const oracle = service('oracle').on(Asked, { emits: [Answered] }, ({ id }) => Answered({ id }))
  const w = await world([oracle], { tracing: none })
  await w.publish(Asked({ id: 'a' }))
  await w.settled()
  await w.stop()
  assert.deepEqual(
    w.events.map(({ traceparent, tracestate }) => [traceparent, tracestate]),
    [
      ['from outside', 'b=2'],
      ['from outside', 'b=2'],
    ],
  )
})
