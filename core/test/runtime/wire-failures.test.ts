/** What a wire can not send or read holds up nothing else, and nothing of it is lost. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isQuadrilleError, QuadrilleError, service, type Deliver, type IncomingMessage, type Wire } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { Answered, Asked, ledgerFile } from './setup.ts'
import { app, collect, memoryHub, refusedFor, scripted, until } from './wire-setup.ts'

const bytesOf = (text: string) => new TextEncoder().encode(text)
const asker = service('asker')
const asks = (...ids: readonly string[]) => ids.map((id, n) => Asked({ id, n }))
const quick = { attempts: 3, base: '20ms', max: '40ms' } as const

test('an event that is refused for ever is a dead letter; its key and the others go on, and a redrive sends it again', async (t) => {
  let poison = true
  const counted = scripted(memoryHub().wire(), ({ event }) =>
    poison && event.data.includes('"n":1}') ? refusedFor.ever() : null,
  )
  const failed = collect('sendFailed')
  const here = await app(t, { services: [asker], wires: [counted.wire], hooks: failed.hooks })
  await here.transact(asker, () => asks('k', 'k', 'k', 'other'))
  await until('the others', () => counted.taken.length === 3)
  await until('the letter', async () => (await here.deadLetters.list()).length === 1)
  const [letter] = await here.deadLetters.list()
  assert.equal(letter?.service, '~relay/memory')
  assert.equal(letter.role, 'send')
  assert.equal(letter.code, 'WIRE_MESSAGE_REFUSED')
  assert.equal(letter.event?.key, 'k')
  assert.equal(letter.attempts.length, 1)
  assert.deepEqual(
    failed.facts.map(({ wire, retryAt }) => [wire, retryAt]),
    [['memory', null]],
  )
  const health = await here.health()
  assert.match(health.problems.join(), /~relay\/memory has 1 dead letter/)
  poison = false
  assert.equal((await here.deadLetters.redrive({ service: '~relay/memory' })).matched, 1)
  await until('the redrive', () => counted.taken.length === 4)
  const last = counted.taken[3]!
  assert.equal(last.event.id, letter.event.id, 'the same event')
  assert.equal(last.dedupeId, `${letter.event.id}#1`, 'under another dedupe id, so that the broker does not swallow it')
  await until('nothing is left', async () => (await here.health()).ok)
})

test('an event that is refused for now waits with the later ones of its key, and the other keys go on', async (t) => {
  const hub = memoryHub()
  let broken = true
  const counted = scripted(hub.wire(), ({ event }) =>
    broken && event.key === 'bad' && event.data.includes('"n":0}') ? refusedFor.now() : null,
  )
  const wires = [{ wire: counted.wire, retry: { attempts: 1_000, base: '10ms', max: '20ms' } as const }]
  const here = await app(t, { services: [asker], wires })
  await here.transact(asker, () => asks('good', 'good'))
  await until('it works', () => counted.taken.length === 2)
  await here.transact(asker, () => [...asks('bad', 'bad', 'bad'), ...asks('x', 'y', 'z')])
  for (let n = 0; n < 5; n++)
    await here.transact(asker, () => [Asked({ id: 'bad', n: 10 + n }), Asked({ id: `g${n}` })])
  await until('the others', () => counted.taken.length === 10)
  await until('it is parked', async () => (await here.health()).wires[0]!.sending.parked === 8)
  assert.ok(!counted.taken.some(({ event }) => event.key === 'bad'))
  const { sending } = (await here.health()).wires[0]!
  const { type, key, failed, error } = sending.oldestParked!
  assert.deepEqual([sending.backlog, type, key], [0, 'asked', 'bad'])
  assert.ok(failed > 0)
  assert.match(error!, /WIRE_SEND_FAILED/)
  const { events } = await here.flow(sending.oldestParked!.id)
  const ageMs = here.env.now() - events[0]!.time
  assert.ok(sending.oldestUnsentMs > 0 && sending.oldestUnsentMs <= ageMs, 'what is parked is unsent, and ages')
  broken = false
  await until('all', () => counted.taken.length === 18)
  const order = counted.taken.filter(({ event }) => event.key === 'bad')
  const positions = order.map(({ event }) => event.position)
  assert.deepEqual(
    positions,
    positions.toSorted((a, b) => a - b),
    'in the order of the ledger',
  )
  for (const { event, dedupeId } of counted.taken) assert.equal(dedupeId, event.id, 'the same id on every try')
  await until('nothing is left', async () => (await here.health()).wires[0]!.sending.parked === 0)
})

test('after the last attempt it is a dead letter with the history of its tries, and its key goes on', async (t) => {
  const counted = scripted(memoryHub().wire(), ({ event }) => (event.data.includes('"n":0}') ? refusedFor.now() : null))
  const here = await app(t, { services: [asker], wires: [{ wire: counted.wire, retry: quick }] })
  await here.transact(asker, () => Asked({ id: 'other', n: 7 }))
  await until('it works', () => counted.taken.length === 1)
  await here.transact(asker, () => asks('k', 'k', 'k'))
  await until('the later ones', () => counted.taken.length === 3)
  const [letter] = await here.deadLetters.list()
  assert.equal(letter?.code, 'WIRE_SEND_FAILED')
  assert.equal(letter.attempts.length, 3)
  assert.deepEqual(await here.deadLetters.groups(), [
    { service: '~relay/memory', reaction: 'send', code: 'WIRE_SEND_FAILED', count: 1 },
  ])
  assert.equal((await here.deadLetters.discard({ id: letter.id }, 'nobody needs it')).matched, 1)
  assert.equal((await here.health()).ok, true)
})

test('an event over which the adapter itself breaks is a dead letter after its attempts, and holds up nothing else', async (t) => {
  const counted = scripted(memoryHub().wire(), () => null)
  const breaking = {
    ...counted.wire,
    async send(messages: Parameters<typeof counted.wire.send>[0]) {
      if (messages.some(({ event }) => event.data.includes('"n":0}'))) throw new TypeError('it can not be encoded')
      return counted.wire.send(messages)
    },
  }
  const here = await app(t, { services: [asker], wires: [{ wire: breaking, retry: quick }] })
  await here.transact(asker, () => [Asked({ id: 'other', n: 1 }), ...asks('k', 'k', 'k'), Asked({ id: 'more', n: 1 })])
  await until('the others', () => counted.taken.length === 4)
  const [letter] = await here.deadLetters.list()
  assert.equal(letter?.code, 'WIRE_SEND_FAILED')
  assert.equal(letter.attempts.length, 3)
  assert.match(letter.attempts[0]!.message, /it can not be encoded/)
  await until('nothing is left', async () => (await here.health()).wires[0]!.sending.parked === 0)
})

test('an event for which a wire throws what no waiting would mend is a dead letter after its attempts, and holds up nothing else', async (t) => {
  const counted = scripted(memoryHub().wire(), () => null)
  const throwing = {
    ...counted.wire,
    async send(messages: Parameters<typeof counted.wire.send>[0]) {
      if (messages.some(({ event }) => event.data.includes('"n":0}')))
        throw new QuadrilleError('WIRE_INCOMPATIBLE', { wire: 'memory', problem: 'no such topic' })
      return counted.wire.send(messages)
    },
  }
  const here = await app(t, { services: [asker], wires: [{ wire: throwing, retry: quick }] })
  await here.transact(asker, () => [Asked({ id: 'other', n: 1 }), ...asks('k', 'k', 'k'), Asked({ id: 'more', n: 1 })])
  await until('the others', () => counted.taken.length === 4)
  const [letter] = await here.deadLetters.list()
  assert.equal(letter?.attempts.length, 3)
  assert.match(letter.attempts[0]!.message, /no such topic/)
  await until('nothing is left', async () => (await here.health()).wires[0]!.sending.parked === 0)
})

test('what a wire throws for every event fills no dead letters while it is not well', async (t) => {
  let isBarred = true
  const counted = scripted(memoryHub().wire(), () => null)
  let tries = 0
  const barred = {
    ...counted.wire,
    health: async () => ({ problems: isBarred ? ['the login may not write'] : [], facts: {} }),
    async send(messages: Parameters<typeof counted.wire.send>[0]) {
      tries += 1
      if (isBarred) throw new QuadrilleError('WIRE_INCOMPATIBLE', { wire: 'memory', problem: 'may not write' })
      return counted.wire.send(messages)
    },
  }
  const here = await app(t, { services: [asker], wires: [{ wire: barred, retry: quick }] })
  await here.transact(asker, () => asks('a', 'b', 'c', 'a'))
  await until('many tries', () => tries > 16)
  assert.deepEqual(await here.deadLetters.list(), [])
  isBarred = false
  await until('all', () => counted.taken.length === 4)
})

test('while the broker is away nothing is parked and nothing dies; afterwards everything goes in order', async (t) => {
  const hub = memoryHub()
  const seen: number[] = []
  const oracle = service('oracle').on(Asked, ({ n }) => void seen.push(n))
  await app(t, { services: [oracle], wires: [hub.wire()] })
  const wire = collect('wire')
  const here = await app(t, { services: [asker], wires: [{ wire: hub.wire(), retry: quick }], hooks: wire.hooks })
  await here.transact(asker, () => Asked({ id: 'k', n: 0 }))
  await until('it works', () => seen.length === 1)
  const back = hub.switchOff()
  for (let n = 1; n <= 40; n++) await here.transact(asker, () => Asked({ id: 'k', n }))
  await until('it is noticed', async () => !(await here.health()).ok)
  const { sending, problems } = (await here.health()).wires[0]!
  assert.equal(sending.parked + sending.dead, 0)
  assert.equal(sending.backlog, 40)
  assert.ok(sending.oldestUnsentMs >= 0)
  assert.match(problems.join(), /memory: nothing can be sent/)
  await new Promise((resolve) => setTimeout(resolve, 400)) // longer than all attempts would take
  back()
  await until('all', () => seen.length === 41)
  assert.deepEqual(
    seen,
    Array.from({ length: 41 }, (_, n) => n),
  )
  await until('all is well', async () => (await here.health()).ok)
  const states = wire.facts.filter(({ service: name }) => name === null).map(({ state }) => state)
  assert.ok(states.includes('lost') && states.includes('restored'), states.join())
})

test('a broker that refuses everything for a while fills no dead letters', async (t) => {
  let wedged = true
  const counted = scripted(memoryHub().wire(), () => (wedged ? refusedFor.now() : null))
  const sick = { ...counted.wire, health: async () => ({ problems: wedged ? ['out of memory'] : [], facts: {} }) }
  const here = await app(t, { services: [asker], wires: [{ wire: sick, retry: quick }] })
  await here.transact(asker, () => asks('a', 'b', 'c', 'a'))
  await until('many tries', () => counted.asked.length > 20)
  assert.deepEqual(await here.deadLetters.list(), [])
  wedged = false
  await until('all', () => counted.taken.length === 4)
})

test('a broker that is said to be away for each event by itself is away: nothing is parked and no try is counted', async (t) => {
  let away = true
  const unreachable = new QuadrilleError('WIRE_UNREACHABLE', { wire: 'memory', message: 'no leader' })
  const counted = scripted(memoryHub().wire(), ({ event }) => (away && event.key !== 'fine' ? unreachable : null))
  const failed = collect('sendFailed')
  const here = await app(t, { services: [asker], wires: [{ wire: counted.wire, retry: quick }], hooks: failed.hooks })
  await here.transact(asker, () => asks('fine', 'a', 'b', 'a'))
  await until('several tries', () => counted.asked.filter(({ event }) => event.key === 'a').length > quick.attempts)
  assert.equal((await here.health()).wires[0]!.sending.parked, 0)
  away = false
  await until('all', () => counted.taken.length === 4)
  assert.deepEqual(failed.facts, [])
})

test('a key with more parked events than are sent at once loses none, and stays in order', async (t) => {
  let broken = true
  const counted = scripted(memoryHub().wire(), ({ event }) =>
    broken && event.key === 'k' && event.data.includes('"n":0}') ? refusedFor.now() : null,
  )
  const retry = { attempts: 1_000, base: '10ms', max: '20ms' } as const
  const here = await app(t, { services: [asker], wires: [{ wire: counted.wire, retry }] })
  await here.transact(asker, () => Asked({ id: 'other', n: 1 }))
  await until('it works', () => counted.taken.length === 1)
  await here.transact(asker, () => asks(...Array.from({ length: 130 }, () => 'k')))
  await until('all are parked', async () => (await here.health()).wires[0]!.sending.parked === 130)
  broken = false
  await until('all', () => counted.taken.length === 131)
  const numbers = counted.taken.slice(1).map(({ event }) => (JSON.parse(event.data) as { n: number }).n)
  assert.deepEqual(numbers, [...Array(130).keys()])
})

test('an app starts while the broker is away, and works when it comes', async (t) => {
  const hub = memoryHub()
  const back = hub.switchOff()
  const seen: string[] = []
  const oracle = service('oracle').on(Asked, ({ id }) => void seen.push(id))
  const there = await app(t, { services: [oracle], wires: [hub.wire()] })
  const here = await app(t, { services: [asker], wires: [hub.wire()] })
  await here.transact(asker, () => Asked({ id: 'early' }))
  assert.equal((await there.health()).ok, false)
  back()
  await until('it arrives', () => seen.length === 1)
  await until('all is well', async () => (await there.health()).ok && (await here.health()).ok)
})

test('what can not be read is a dead letter with its bytes and headers, once it can be read it is received', async (t) => {
  const hub = memoryHub()
  const path = ledgerFile(t)
  const seen: string[] = []
  const oracle = service('oracle').on(Asked, ({ id }) => void seen.push(id))
  const there = await app(t, { services: [oracle], ledger: sqlite(path), wires: [hub.wire()] })
  const attributes = { specversion: '1.0', id: 'e1', source: 'far', type: 'answered', partitionkey: 'k' }
  const body = bytesOf('{ "id": "k" }')
  hub.inject('asked', bytesOf('\u0000 not json'))
  hub.inject('asked', body, attributes)
  await until('two letters', async () => (await there.deadLetters.list()).length === 2)
  const letters = await there.deadLetters.list()
  assert.deepEqual(letters.map(({ code }) => code).toSorted(), ['EVENT_TYPE_UNKNOWN', 'EVENT_UNDECODABLE'])
  const unknown = letters.find(({ code }) => code === 'EVENT_TYPE_UNKNOWN')!
  assert.deepEqual(unknown.bytes, body)
  assert.equal((await there.deadLetters.redrive({ id: unknown.id })).matched, 0, 'still nobody knows the type')
  await there.stop()
  const both = service('oracle')
    .on(Asked, ({ id }) => void seen.push(id))
    .on(Answered, ({ id }) => void seen.push(`answered ${id}`))
  const again = await app(t, { services: [both], ledger: sqlite(path), wires: [memoryHub().wire()] })
  assert.equal((await again.deadLetters.redrive({ id: unknown.id })).matched, 1)
  await until('it is handled', () => seen.includes('answered k'))
})

test('what the wire has parsed is not parsed again, and its bytes are only asked for when it is a dead letter', async (t) => {
  const hub = memoryHub()
  let deliver: Deliver = async () => {}
  const good = hub.wire()
  const wire: Wire = {
    ...scripted(good, () => null).wire,
    receive: (subscription, given) => good.receive(subscription, (deliver = given)),
  }
  const answerer = service('answerer').on(Asked, {}, () => {})
  const here = await app(t, { services: [answerer], wires: [wire] })
  const asked: unknown[] = []
  const message = (json: Record<string, unknown>): IncomingMessage => ({
    attributes: null,
    parsed: { json },
    get body() {
      asked.push(json['id'])
      return bytesOf(JSON.stringify(json))
    },
  })
  const event = { specversion: '1.0', id: 'good', source: 's', type: 'asked', data: { id: 'k', n: 1 }, tenant: 7 }
  const bad = { ...event, id: 'bad', hops: -1 }
  await deliver([message(event), message(bad)])
  assert.deepEqual(asked, ['bad'])
  const [letter] = await here.deadLetters.list()
  assert.equal(letter?.bytes && new TextDecoder().decode(letter.bytes), JSON.stringify(bad))
  const { events } = await here.flow('good')
  assert.deepEqual(
    events.map(({ id }) => id),
    ['good'],
  )
})

test('a topic that does not speak CloudEvents is mapped; a copy is a duplicate, what the mapping throws a dead letter', async (t) => {
  const hub = memoryHub()
  const seen: string[] = []
  const oracle = service('oracle').on(Asked, ({ id, n }, { event }) => void seen.push(`${id} ${n} ${event.source}`))
  const foreign = {
    'legacy.questions': {
      events: [Asked],
      map: (message: { json(): unknown }) => {
        const { question, number } = message.json() as { question: string; number: number }
        return question === 'ignore' ? null : Asked({ id: question, n: number })
      },
    },
  }
  const there = await app(t, { services: [oracle], wires: [{ wire: hub.wire(), foreign }] })
  const send = (text: string) => hub.inject('legacy.questions', bytesOf(text), { 'x-kind': 'legacy' })
  send('{"question":"why","number":1}')
  send('{"question":"why","number":1}')
  send('{"question":"ignore","number":1}')
  send('broken')
  send('{"question":"how","number":2}')
  await until('both', () => seen.length === 2)
  assert.deepEqual(seen.toSorted(), ['how 2 legacy.questions', 'why 1 legacy.questions'])
  await until('the letter', async () => (await there.deadLetters.list()).length === 1)
  const [letter] = await there.deadLetters.list()
  assert.equal(letter?.code, 'SyntaxError')
  assert.deepEqual(letter.bytes, bytesOf('broken'))
})

test('a dry run runs no mapping, and a redrive runs it once', async (t) => {
  const hub = memoryHub()
  let runs = 0
  const map = () => {
    runs += 1
    throw new Error('wrong')
  }
  const oracle = service('oracle').on(Asked, () => {})
  const foreign = { 'legacy.questions': { events: [Asked], map } }
  const { deadLetters } = await app(t, { services: [oracle], wires: [{ wire: hub.wire(), foreign }] })
  hub.inject('legacy.questions', bytesOf('{}'), {})
  await until('the letter', async () => (await deadLetters.list()).length === 1)
  runs = 0
  assert.equal((await deadLetters.redrive({}, { dryRun: true })).matched, 1)
  assert.equal(runs, 0)
  assert.equal((await deadLetters.redrive({})).matched, 0)
  assert.equal(runs, 1)
})

test('a subscription whose messages were dropped refuses to start, unless the loss is accepted', async (t) => {
  const hub = memoryHub()
  const path = ledgerFile(t)
  const seen: number[] = []
  const oracle = service('oracle').on(Asked, ({ n }) => void seen.push(n))
  const startWith = (lost?: 'accept') =>
    app(t, { services: [oracle], ledger: sqlite(path), wires: [{ wire: hub.wire(), ...(lost ? { lost } : {}) }] })
  await (await startWith()).stop()
  const here = await app(t, { services: [asker], wires: [hub.wire()] })
  await here.transact(asker, () => Asked({ id: 'k', n: 1 }))
  await until('sent', async () => (await here.health()).wires[0]!.sending.backlog === 0)
  hub.dropAll()
  await assert.rejects(startWith(), (error) => isQuadrilleError(error, 'WIRE_POSITION_LOST'))
  await startWith('accept')
  await here.transact(asker, () => Asked({ id: 'k', n: 2 }))
  await until('the later one', () => seen.length === 1)
  assert.deepEqual(seen, [2])
})

test('where only one may receive, one process is elected; another takes over when it stops', async (t) => {
  const hub = memoryHub()
  const path = ledgerFile(t)
  const seen: number[] = []
  const subscribed: string[] = []
  const receiver = (name: string) => {
    const good = hub.wire()
    return {
      ...scripted(good, () => null).wire,
      capabilities: { ...good.capabilities, order: 'one-receiver' as const },
      async receive(...[subscription, deliver]: Parameters<typeof good.receive>) {
        subscribed.push(name)
        return good.receive(subscription, deliver)
      },
    }
  }
  const oracle = () => service('oracle').on(Asked, ({ n }) => void seen.push(n))
  const first = await app(t, { services: [oracle()], ledger: sqlite(path), wires: [receiver('first')] })
  const second = await app(t, { services: [oracle()], ledger: sqlite(path), wires: [receiver('second')] })
  const here = await app(t, { services: [asker], wires: [hub.wire()] })
  await here.transact(asker, () => Asked({ id: 'k', n: 1 }))
  await until('the first event', () => seen.length === 1)
  const stateOf = async (each: typeof first) => (await each.health()).wires[0]!.receiving[0]!.state
  assert.deepEqual([await stateOf(first), await stateOf(second)], ['receiving', 'elsewhere'])
  assert.deepEqual(subscribed, ['first'])
  await first.stop()
  await here.transact(asker, () => Asked({ id: 'k', n: 2 }))
  await until('the second event', () => seen.length === 2)
  assert.deepEqual(subscribed, ['first', 'second'])
  assert.equal(await stateOf(second), 'receiving')
})
