/** Moments of a relay that chance seldom brings about: what is parked, in the air and taken over at the same time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { service, type Ledger, type Wire } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { Asked, gate, ledgerFile } from './setup.ts'
import { app, collect, memoryHub, refusedFor, scripted, until } from './wire-setup.ts'

const asker = service('asker')
const asked = (id: string, n = 0) => Asked({ id, n })
type Scripted = ReturnType<typeof scripted>

const numbersOf = ({ taken }: Scripted, key: string): number[] =>
  taken.filter(({ event }) => event.key === key).map(({ event }) => (JSON.parse(event.data) as { n: number }).n)

/** Sends of the key `slow` do not end before the gate is open. */
function slowly(wire: Wire, opened: Promise<void>): Wire {
  const send: Wire['send'] = async (messages) => {
    if (messages.some(({ event }) => event.key === 'slow')) await opened
    return wire.send(messages)
  }
  return { ...wire, send }
}

test('what is parked is not sent while later events of its key are still to be parked behind it', async (t) => {
  const opened = gate()
  t.after(() => opened.open())
  const counted = scripted(memoryHub().wire(), ({ event }, nth) =>
    event.key === 'k' && event.data.includes('"n":0}') && nth === 1 ? refusedFor.now() : null,
  )
  const failed = collect('sendFailed')
  const retry = { attempts: 10, base: '100ms', max: '100ms' } as const
  const wires = [{ wire: slowly(counted.wire, opened.promise), retry }]
  const here = await app(t, { services: [asker], wires, hooks: failed.hooks })
  await here.transact(asker, () => [asked('k', 0), asked('other')])
  await until('it is refused', () => failed.facts.length === 1)
  await here.transact(asker, () => asked('slow'))
  await here.transact(asker, () => asked('k', 1))
  await until('it is due', () => Date.now() > failed.facts[0]!.retryAt! + 100)
  opened.open()
  await until('both', () => numbersOf(counted, 'k').length === 2)
  await here.transact(asker, () => asked('k', 2))
  await until('all', () => numbersOf(counted, 'k').length === 3)
  assert.deepEqual(numbersOf(counted, 'k'), [0, 1, 2])
})

test('a relay that begins knows what the one before it has parked', async (t) => {
  const path = ledgerFile(t)
  let broken = true
  const counted = scripted(memoryHub().wire(), ({ event }) => (broken && event.key === 'k' ? refusedFor.now() : null))
  const retry = { attempts: 100, base: '1m', max: '1m' } as const
  const started = () =>
    app(t, { services: [asker], ledger: sqlite(path), wires: [{ wire: counted.wire, retry, from: 'beginning' }] })
  const first = await started()
  await first.transact(asker, () => [asked('k', 0), asked('other')])
  await until('it is parked', async () => (await first.health()).wires[0]!.sending.parked === 1)
  await first.stop()
  broken = false
  const second = await started()
  await second.transact(asker, () => [asked('k', 1), asked('other')])
  await until('the other one', () => numbersOf(counted, 'other').length === 2)
  // The first one is due at any time within a minute; the second one waits for it.
  const sent = numbersOf(counted, 'k')
  assert.deepEqual(sent, [0, 1].slice(0, sent.length))
})

/** The ledger, and how many of its transactions are open. */
function watched(ledger: Ledger) {
  const open = { now: 0 }
  const transact: Ledger['transact'] = async (work) => {
    open.now += 1
    try {
      return await ledger.transact(work)
    } finally {
      open.now -= 1
    }
  }
  const get = (target: Ledger, name: keyof Ledger) => {
    if (name === 'transact') return transact
    const value: unknown = target[name]
    return typeof value === 'function' ? (value.bind(target) as unknown) : value
  }
  return { open, ledger: new Proxy(ledger, { get }) }
}

test('a broker that takes nothing for a while holds up neither transactions nor the events of other keys', async (t) => {
  const opened = gate()
  t.after(() => opened.open())
  const counted = scripted(memoryHub().wire(), () => null)
  const { open, ledger } = watched(sqlite(ledgerFile(t)))
  const here = await app(t, { services: [asker], ledger, wires: [slowly(counted.wire, opened.promise)] })
  await here.transact(asker, () => asked('slow'))
  for (let n = 0; n < 50; n++) await here.transact(asker, () => [asked('slow', n), asked(`other-${n}`)])
  // What does not wait for that key is sent meanwhile, as far as there is room in the air.
  await until('others', () => counted.taken.length > 0)
  assert.deepEqual(numbersOf(counted, 'slow'), [])
  await until('no transaction waits for the broker', () => open.now === 0)
  const { backlog, parked } = (await here.health()).wires[0]!.sending
  assert.equal(parked, 0)
  assert.equal(backlog, 101, 'the checkpoint waits for the first of them')
  opened.open()
  await until('all', () => counted.taken.length === 101)
  await until('nothing is left', async () => (await here.health()).wires[0]!.sending.backlog === 0)
})
