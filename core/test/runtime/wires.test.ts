/** Two ledgers, joined by a wire: what is made in one is handled in the other, once, in order, and never sent back. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  event,
  isQuadrilleError,
  service,
  silentLogger,
  type StartOptions,
  type Wire,
  type WireOptions,
} from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import * as z from 'zod'
import { Answered, Asked, Cancelled, ledgerFile, Undone } from './setup.ts'
import { app, collect, memoryHub, scripted, until } from './wire-setup.ts'

test('an event is made in one ledger and handled in another, and the answer comes back', async (t) => {
  const hub = memoryHub()
  const seen: string[] = []
  const asker = service('asker').on(Answered, (answered, { event }) => {
    seen.push(`${answered.id} hops ${event.hops} conversation ${event.correlationId} trace ${event.traceparent}`)
  })
  const oracle = service('oracle').on(Asked, { emits: [Answered] }, (asked) => Answered(asked))
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const here = await app(t, { services: [asker], wires: [hub.wire()], traceContext: () => ({ traceparent }) })
  const there = await app(t, { services: [oracle], wires: [hub.wire()] })
  const token = await here.transact(asker, () => Asked({ id: 'a' }))
  await until('the answer', () => seen.length > 0)
  assert.deepEqual(seen, [`a hops 1 conversation ${token.correlationId} trace ${traceparent}`])
  const flow = await there.flow(token.correlationId)
  assert.deepEqual(
    flow.events.map(({ id, type }) => [type, id === token.events[0]!.id]),
    [
      ['asked', true],
      ['answered', false],
    ],
    'the same event, in the same conversation',
  )
})

test('a thousand events of many keys arrive once, in the order of their keys, whoever sends and receives', async (t) => {
  const hub = memoryHub()
  const path = ledgerFile(t)
  const seen = new Map<string, number[]>()
  const oracle = () =>
    service('oracle').on(Asked, (asked) => void seen.set(asked.id, [...(seen.get(asked.id) ?? []), asked.n]))
  const asker = service('asker')
  const senders = [
    await app(t, { services: [asker], ledger: sqlite(path), wires: [hub.wire()] }),
    await app(t, { services: [asker], ledger: sqlite(path), wires: [hub.wire()] }),
  ]
  const thither = ledgerFile(t)
  for (let process = 0; process < 2; process++)
    await app(t, { services: [oracle()], ledger: sqlite(thither), wires: [hub.wire()] })
  for (let n = 0; n < 50; n++) {
    const events = Array.from({ length: 20 }, (_, key) => Asked({ id: `k${key}`, n }))
    await senders[n % 2]!.transact(asker, () => events)
  }
  await until('all', () => [...seen.values()].reduce((sum, list) => sum + list.length, 0) >= 1_000)
  assert.equal(seen.size, 20)
  const expected = Array.from({ length: 50 }, (_, n) => n)
  for (const [key, list] of seen) assert.deepEqual(list, expected, key)
})

test('what came over a wire is not sent back, nor over another wire, unless the app is a bridge', async (t) => {
  const [left, right] = [memoryHub(), memoryHub()]
  const through = service('through').on(Asked, () => {})
  const bridgeOptions = (forwards: WireOptions): StartOptions => ({
    services: [through],
    wires: [left.wire('left'), forwards],
  })
  const counted = scripted(right.wire('right'), () => null)
  await app(t, bridgeOptions({ wire: counted.wire }))
  const asker = service('asker')
  const far: string[] = []
  const listener = service('listener').on(Asked, (asked, { event }) => void far.push(`${asked.id} ${event.source}`))
  await app(t, { services: [listener], wires: [right.wire()] })
  const here = await app(t, { services: [asker], wires: [left.wire()] })
  const plain = scripted(right.wire('right'), () => null)
  await here.transact(asker, () => Asked({ id: 'first' }))
  const other = service('other').on(Asked, () => {})
  const sent = collect('sent')
  const bridge = await app(t, {
    services: [other],
    wires: [left.wire('left'), { wire: plain.wire, forwards: true }],
    hooks: sent.hooks,
  })
  await until('the bridge has sent both', async () => {
    await here.transact(asker, () => Asked({ id: `later${plain.taken.length}` }))
    return plain.taken.length >= 2
  })
  await until('they arrive', () => far.length >= 2)
  assert.equal(counted.asked.length, 0, 'an app that is no bridge sends nothing that it received')
  for (const { event } of plain.taken) assert.equal(event.extensions, null, 'the mark of the receiver is not sent on')
  assert.ok(far.every((line) => line.endsWith(' asker')))
  assert.deepEqual(
    sent.facts.filter(({ wire }) => wire === 'left').flatMap(({ events }) => events),
    [],
    'nothing goes back over the wire that it came over',
  )
  await until('nothing is left to send', async () =>
    (await bridge.health()).wires.every(({ sending }) => sending.backlog === 0),
  )
})

test('stop() sends what the ledger holds before it ends', async (t) => {
  const hub = memoryHub()
  const asker = service('asker')
  const counted = scripted(hub.wire(), () => null)
  const here = await app(t, { services: [asker], wires: [counted.wire] })
  const events = Array.from({ length: 300 }, (_, n) => Asked({ id: `k${n}` }))
  await here.transact(asker, () => events)
  await here.stop()
  assert.equal(new Set(counted.taken.map(({ event }) => event.id)).size, 300)
})

test('only the types that a wire is told to send are sent, or all but those it is told to leave out', async (t) => {
  const asker = service('asker')
  const types = async (options: Omit<WireOptions, 'wire'>) => {
    const counted = scripted(memoryHub().wire(), () => null)
    const here = await app(t, { services: [asker], wires: [{ wire: counted.wire, ...options }] })
    await here.transact(asker, () => [Asked({ id: 'a' }), Answered({ id: 'a' }), Cancelled({ id: 'a' })])
    await here.stop()
    return counted.taken.map(({ event }) => event.type)
  }
  assert.deepEqual(await types({}), ['asked', 'answered', 'cancelled'])
  assert.deepEqual(await types({ sends: [Asked, 'cancelled'] }), ['asked', 'cancelled'])
  assert.deepEqual(await types({ sends: { except: [Asked] } }), ['answered', 'cancelled'])
})

test('an event goes over several wires at once', async (t) => {
  const asker = service('asker')
  const wires = ['one', 'two'].map((name) => scripted(memoryHub().wire(name), () => null))
  const here = await app(t, { services: [asker], wires: wires.map(({ wire }) => wire) })
  await here.transact(asker, () => [Asked({ id: 'a' })])
  await until('both', () => wires.every(({ taken }) => taken.length === 1))
})

test('a wire that is new on a ledger with events of its own must say where it starts', async (t) => {
  const path = ledgerFile(t)
  const asker = service('asker')
  const without = await app(t, { services: [asker], ledger: sqlite(path) })
  await without.transact(asker, () => [Asked({ id: 'old1' }), Asked({ id: 'old2' })])
  await without.stop()
  const counted = scripted(memoryHub().wire(), () => null)
  const startWith = (options: Omit<WireOptions, 'wire'>, name = 'memory') =>
    app(t, { services: [asker], ledger: sqlite(path), wires: [{ wire: { ...counted.wire, name }, ...options }] })
  await assert.rejects(startWith({}), (error) => isQuadrilleError(error, 'START_POSITION_NEEDED'))
  const only = await startWith({ sends: [Answered] }, 'answers')
  await only.stop()
  const fromNow = await startWith({ from: 'now' })
  await fromNow.transact(asker, () => Asked({ id: 'new' }))
  await fromNow.stop()
  assert.deepEqual(
    counted.taken.map(({ event }) => event.key),
    ['new'],
  )
  await (await startWith({})).stop()
  const fromBeginning = await startWith({ from: 'beginning' }, 'other')
  await fromBeginning.stop()
  assert.deepEqual(
    counted.taken.map(({ event }) => event.key),
    ['new', 'old1', 'old2', 'new'],
  )
})

test('sending may begin elsewhere than receiving', async (t) => {
  const path = ledgerFile(t)
  const both = service('both').on(Undone, () => {})
  const without = await app(t, { services: [both], ledger: sqlite(path) })
  await without.transact(both, () => [Asked({ id: 'old' })])
  await without.stop()
  const counted = scripted(memoryHub().wire(), () => null)
  const capabilities = { ...counted.wire.capabilities, from: ['now' as const] }
  const started: string[] = []
  const receive: typeof counted.wire.receive = (subscription, deliver) => {
    started.push(subscription.from)
    return counted.wire.receive(subscription, deliver)
  }
  const wire = { ...counted.wire, capabilities, receive }
  await app(t, { services: [both], ledger: sqlite(path), wires: [{ wire, from: { sends: 'beginning' } }] })
  await until('what is old is sent', () => counted.taken.length === 1)
  assert.deepEqual(started, ['now'])
})

test('what a wire can not do is refused at the start', async (t) => {
  const asker = service('asker').on(Undone, () => {})
  const wire = memoryHub().wire()
  const cannot = async (change: Partial<typeof wire.capabilities>, options: Omit<WireOptions, 'wire'> = {}) => {
    const less = { ...scripted(wire, () => null).wire, capabilities: { ...wire.capabilities, ...change } }
    await assert.rejects(
      app(t, { services: [asker], wires: [{ wire: less, ...options }] }),
      (error) => isQuadrilleError(error, 'WIRE_CANNOT'),
      JSON.stringify([change, options]),
    )
  }
  await cannot({ order: 'none' })
  await cannot({ from: ['now'] }, { from: 'beginning' })
  await cannot({ from: ['beginning'] }, { from: 'now' })
  await cannot({ from: ['now'] }, { from: { receives: 'beginning' } })
  const sender = { ...scripted(memoryHub().wire(), () => null).wire, capabilities: { ...wire.capabilities, from: [] } }
  await app(t, { services: [service('sender')], wires: [{ wire: sender, receives: [], from: 'beginning' }] })
  await cannot({ filters: false }, { filter: true })
  await assert.rejects(app(t, { services: [asker], wires: [wire, memoryHub().wire()] }), (error) =>
    isQuadrilleError(error, 'WIRE_CANNOT'),
  )
  const unordered = { ...scripted(memoryHub().wire(), () => null).wire }
  const options = { capabilities: { ...wire.capabilities, order: 'none' as const } }
  await app(t, { services: [asker], wires: [{ wire: { ...unordered, ...options }, unordered: true }] })
})

test('an event that a wire could not carry is refused when it is published', async (t) => {
  const asker = service('asker')
  const here = await app(t, { services: [asker], wires: [memoryHub({ messageBytesMax: 20_000 }).wire()] })
  await assert.rejects(
    here.transact(asker, () => Asked({ id: 'k', note: 'x'.repeat(15_000) })),
    (error) => isQuadrilleError(error, 'EVENT_TOO_LARGE'),
  )
})

test('what a broker takes counts from when it is known: when the wire has been opened', async (t) => {
  const asker = service('asker')
  const { wire } = scripted(memoryHub().wire(), () => null)
  let messageBytesMax = 1_048_576
  const told = {
    ...wire,
    get capabilities() {
      return { ...wire.capabilities, messageBytesMax }
    },
    async open(...[context]: Parameters<typeof wire.open>) {
      await wire.open(context)
      messageBytesMax = 20_000
    },
  }
  const here = await app(t, { services: [asker], wires: [told] })
  const ask = (bytes: number) => here.transact(asker, () => Asked({ id: 'k', note: 'x'.repeat(bytes) }))
  await assert.rejects(ask(15_000), (error) => isQuadrilleError(error, 'EVENT_TOO_LARGE'))
  messageBytesMax = 30_000
  await ask(15_000)
})

test('a wire is told which subscriptions the ledger has had, so that a broker that forgets is found out', async (t) => {
  const hub = memoryHub()
  const path = ledgerFile(t)
  const told: (readonly string[] | undefined)[] = []
  const startWith = (...types: (typeof Asked)[]) => {
    const good = hub.wire()
    const wire = {
      ...scripted(good, () => null).wire,
      receive(...[subscription, deliver]: Parameters<typeof good.receive>) {
        told.push(subscription.known)
        return good.receive(subscription, deliver)
      },
    }
    const oracle = types.reduce((made, type) => made.on(type, () => {}), service('oracle'))
    return app(t, { services: [oracle], ledger: sqlite(path), wires: [wire] })
  }
  await (await startWith(Asked)).stop()
  await (await startWith(Asked, Answered as unknown as typeof Asked)).stop()
  await (await startWith(Asked)).stop()
  assert.deepEqual(told, [[], ['asked'], ['answered', 'asked']])
})

test('a subscription that is new and can only start now says so, once; nobody is told what he has asked for', async (t) => {
  const path = ledgerFile(t)
  const told: unknown[] = []
  const info = (facts: object, message: string) => {
    if (message.includes('before it subscribed')) told.push(facts)
  }
  const startWith = async (wire: Wire | WireOptions, types: (typeof Asked)[], ledger = path) => {
    const oracle = types.reduce((made, type) => made.on(type, { from: 'now' }, () => {}), service('oracle'))
    const log = { ...silentLogger, info }
    await (await app(t, { services: [oracle], ledger: sqlite(ledger), wires: [wire], log })).stop()
    return told.splice(0)
  }
  const hub = memoryHub({ reportsUnroutable: true })
  const both = [Asked, Answered as unknown as typeof Asked]
  assert.deepEqual(await startWith(hub.wire(), [Asked]), [{ wire: 'memory', service: 'oracle', types: ['asked'] }])
  assert.deepEqual(await startWith(hub.wire(), [Asked]), [])
  assert.deepEqual(await startWith(hub.wire(), both), [{ wire: 'memory', service: 'oracle', types: ['answered'] }])
  assert.deepEqual(await startWith({ wire: hub.wire(), from: 'now' }, [Asked], ledgerFile(t)), [], 'it was said')
  const keeps = memoryHub().wire()
  assert.deepEqual(await startWith(keeps, [Asked], ledgerFile(t)), [], 'it starts at the beginning')
})

test('the name of a foreign topic with a wildcard or a space is refused: nothing would be mapped', async (t) => {
  const mapping = { events: [Asked], map: () => null }
  const oracle = () => service('oracle').on(Asked, {}, () => {})
  const startWith = (foreign: WireOptions['foreign']) =>
    app(t, { services: [oracle()], wires: [{ wire: memoryHub().wire(), foreign: foreign! }] })
  for (const name of ['legacy.*', 'legacy*', 'legacy.>', '>', 'legacy.#', '#', '#.legacy', 'two words', ''])
    await assert.rejects(
      startWith({ [name]: mapping }),
      (error) => isQuadrilleError(error, 'OPTION_INVALID') && /exact names/.test(error.message),
      name,
    )
  await startWith({ 'legacy.a': mapping, 'urn:a#b': mapping })
})

test('a type that is named as what every object has is received', async (t) => {
  const Constructor = event('constructor', { key: 'id', schema: z.object({ id: z.string() }) })
  const hub = memoryHub()
  const seen: string[] = []
  const oracle = service('oracle').on(Constructor, ({ id }) => void seen.push(id))
  await app(t, { services: [oracle], wires: [hub.wire()] })
  const asker = service('asker')
  const here = await app(t, { services: [asker], wires: [hub.wire()] })
  await here.transact(asker, () => Constructor({ id: 'k' }))
  await until('it arrives', () => seen.length === 1)
})
