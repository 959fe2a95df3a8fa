/** The flow of a conversation is whole in every process of a ledger, also where only some of its services run. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import * as z from 'zod'
import { event, service, silentLogger, start, type AnyService, type App, type Ledger, type LedgerTx } from 'quadrille'
import { flowDiagram } from 'quadrille/observe'
import { sqlite } from 'quadrille/sqlite'
import { until } from '../crash/crew.ts'
import { ledgerFile } from './setup.ts'

const schema = z.object({ id: z.string(), status: z.enum(['good', 'bad']).default('good') })
const Ordered = event('ordered', { key: 'id', schema })
const Paid = event('paid', { key: 'id', schema })
const Packed = event('packed', { key: 'id', schema })

const orders = service('orders')
  .deadline(Ordered, { unless: [Packed], within: '1h' }, () => {})
  .all([Paid, Packed], { name: 'complete' }, () => {})
const payments = service('payments').on(Ordered, { emits: [Paid] }, ({ id }) => Paid({ id }))
const packing = service('packing')
  .on(Paid.where({ status: 'good' }), { name: 'pack', emits: [Packed], filter: () => true }, ({ id }) => Packed({ id }))
  .on(Paid.where({ status: 'bad' }), { name: 'complain' }, () => {})
const mail = service('mail')
  .on(Ordered, { name: 'greet', retry: { attempts: 1 } }, () => {
    throw new Error('no such mailbox')
  })
  .on(Packed, { name: 'tell', retry: { base: '1h', max: '1h' } }, (_, { attempt }) => {
    if (attempt === 1) throw new Error('mailbox full')
  })
  .on(Packed, { name: 'sum up', batch: { size: 10, within: '1h' } }, () => {})
  .on(Packed, { name: 'latest', coalesce: { within: '1h' } }, () => {})

/** An app on the file, as a process of its own would be; ended with the test. */
async function startOn(t: TestContext, services: readonly AnyService[], ledger: string | Ledger): Promise<App> {
  const own = typeof ledger === 'string' ? sqlite(ledger, { synchronous: 'NORMAL' }) : ledger
  const app = await start({ services, ledger: own, log: silentLogger, poll: '50ms' })
  t.after(() => app.stop())
  return app
}

const shown = async (app: App, id: string) =>
  (await app.flow(id)).deliveries.map((each) => `${each.service}/${each.reaction} ${each.role} ${each.status}`)

/** Waits until the flow is this, and says what it is when it does not come to that. */
async function showing(app: App, what: { readonly correlationId: string; readonly expected: readonly string[] }) {
  const look = () => shown(app, what.correlationId)
  const isThere = async () => String(await look()) === String(what.expected)
  await until('the flow', isThere).catch(async () => assert.deepEqual(await look(), what.expected))
}

test('two processes with other services show the same flow, with what is dead, retried and collected elsewhere', async (t) => {
  const file = ledgerFile(t)
  const one = await startOn(t, [payments, orders], file)
  const other = await startOn(t, [mail, packing], file)
  const { correlationId } = await one.publish(Ordered({ id: 'o-1' }))
  const expected = [
    'mail/greet run dead',
    'orders/deadline of ordered start handled',
    'payments/ordered run handled',
    'orders/complete part handled',
    'packing/pack run handled',
    'mail/tell run waiting',
    'mail/sum up run waiting',
    'mail/latest run waiting',
    'orders/deadline of ordered unless handled',
    'orders/complete part handled',
  ]
  await showing(one, { correlationId, expected })
  const [here, there] = [await one.flow(correlationId), await other.flow(correlationId)]
  assert.deepEqual(there, here)
  assert.equal(flowDiagram(there), flowDiagram(here))
  assert.match(flowDiagram(here), /p0--xp1: ordered \(dead\)/)
  const kinds = here.notes.map(({ kind, service: name, reaction }) => `${kind} ${name}/${reaction}`)
  assert.deepEqual(kinds.sort(), ['dead mail/greet', 'retry mail/tell'])
})

test('what a service elsewhere has not come to is pending, and what it passed without a trace of its filter is not shown', async (t) => {
  const file = ledgerFile(t)
  const picky = service('picky')
    .on(Ordered, { name: 'all' }, () => {})
    .on(Ordered, { name: 'some', filter: () => false }, () => {})
    .on(Ordered, { name: 'others', filter: () => true }, () => {})
  const first = await startOn(t, [picky], file)
  await first.stop()
  const one = await startOn(t, [payments], file)
  const { correlationId } = await one.publish(Ordered({ id: 'o-1' }))
  const of = async (app: App) => (await shown(app, correlationId)).filter((line) => line.startsWith('picky'))
  assert.deepEqual(await of(one), ['picky/all run pending'])
  const other = await startOn(t, [picky], file)
  await other.quiet()
  assert.deepEqual(await of(one), ['picky/all run handled'])
  assert.deepEqual(await of(other), ['picky/all run handled', 'picky/others run handled'])
})

test('a pattern of a service elsewhere is compared with the data as its readers get it', async (t) => {
  const file = ledgerFile(t)
  const strict = service('strict')
    .on(Paid.where({ status: 'good' }), { name: 'good' }, () => {})
    .on(Paid.where({ status: 'bad' }), { name: 'bad' }, () => {})
  await startOn(t, [strict], file)
  const one = await startOn(t, [payments], file)
  // The status is a default of the schema: it is not in the event as it was sent.
  const { correlationId } = await one.publish(Ordered({ id: 'o-1' }))
  const expected = ['payments/ordered run handled', 'strict/good run handled']
  await showing(one, { correlationId, expected })
})

test('while two versions of a service take turns, none shows as handled what only the other one does', async (t) => {
  const file = ledgerFile(t)
  const old = service('clerk')
    .on(Ordered, { name: 'file' }, () => {})
    .on(Ordered, { name: 'stamp' }, () => {})
  const next = service('clerk')
    .on(Ordered, { name: 'file' }, () => {})
    .on(Ordered, { name: 'scan', from: 'now' }, () => {})
  const watching = await startOn(t, [service('watching').on(Packed, () => {})], file)
  const handle = async (clerk: AnyService, id: string) => {
    const app = await start({ services: [clerk], ledger: sqlite(file), log: silentLogger })
    const { correlationId } = await app.publish(Ordered({ id }))
    await app.quiet()
    await app.stop()
    return correlationId
  }
  const first = await handle(old, 'o-1')
  assert.deepEqual(await shown(watching, first), ['clerk/file run handled', 'clerk/stamp run handled'])
  const second = await handle(next, 'o-2')
  assert.deepEqual(await shown(watching, second), ['clerk/file run handled', 'clerk/scan run handled'])
  assert.deepEqual(await shown(watching, first), ['clerk/file run handled', 'clerk/stamp run handled'])
  // A process of the old version comes back: what it passes, the new one has not scanned.
  const third = await handle(old, 'o-3')
  assert.deepEqual(await shown(watching, third), ['clerk/file run handled', 'clerk/stamp run handled'])
})

/** The ledger, and how many records of reactions are written through it. */
function counted(ledger: Ledger): { readonly ledger: Ledger; readonly written: () => number } {
  let written = 0
  const own = ledger.transact.bind(ledger)
  const transact: Ledger['transact'] = (work) =>
    own((tx) => {
      const save = tx.save.bind(tx)
      const counting: LedgerTx['save'] = (puts, removes) => {
        written += puts.filter(({ kind }) => kind === 'reaction').length
        return save(puts, removes)
      }
      return work(Object.assign(tx, { save: counting }))
    })
  return { ledger: Object.assign(ledger, { transact }), written: () => written }
}

test('a declaration is written when it has changed, and a ledger of an older version shows what it can', async (t) => {
  const file = ledgerFile(t)
  const writes = async () => {
    const { ledger, written } = counted(sqlite(file))
    await (await start({ services: [payments, mail], ledger, log: silentLogger })).stop()
    return written()
  }
  assert.equal(await writes(), 5)
  assert.equal(await writes(), 0)
  const one = await startOn(t, [orders], file)
  // As whoever knows nothing of declarations has left it.
  const [record] = await one.ledger.query({ scope: 'payments', kind: 'reaction', limit: 1 })
  const body = JSON.stringify({ reader: 'service', since: 0, replayUntil: 0 })
  await one.ledger.transact((tx) => tx.save([{ ...record!, body }]))
  const { correlationId } = await one.publish(Ordered({ id: 'o-1' }))
  const services = async () => {
    const { deliveries } = await one.flow(correlationId)
    return deliveries.filter(({ eventId }) => eventId === correlationId).map((each) => each.service)
  }
  assert.deepEqual(await services(), ['mail', 'orders'])
  assert.equal(await writes(), 1)
  assert.deepEqual(await services(), ['mail', 'orders', 'payments'])
})

test('a declaration that is too long is not kept, and its service runs all the same', async (t) => {
  const file = ledgerFile(t)
  const long = (chars: number) =>
    service('long').on(Ordered.where({ id: 'x'.repeat(chars) }), { name: 'listens' }, () => {})
  const declared = async (chars: number) => {
    const app = await start({ services: [long(chars)], ledger: sqlite(file), log: silentLogger })
    const [record] = await app.ledger.query({ scope: 'long', kind: 'reaction', limit: 1 })
    await app.stop()
    return (JSON.parse(record!.body) as { declared?: object }).declared
  }
  const rest = JSON.stringify(await declared(1)).length - 1
  const charsMax = 16_384 - rest
  assert.equal(JSON.stringify(await declared(charsMax)).length, 16_384)
  assert.equal(await declared(charsMax + 1), undefined)
})
