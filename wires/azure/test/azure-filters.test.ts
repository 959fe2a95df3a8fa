/** What rules let in: nothing that a pattern wants stays behind, whatever its sender says beside the event. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { silentLogger, systemEnv, type IncomingMessage, type Pattern } from 'quadrille'
import { numbered, until } from '@quadrille/brokers/wire-load'
import { startServiceBus } from '@quadrille/brokers/service-bus'
import { administrationOf } from '../src/azure-topology.ts'
import { checkedOptions } from '../src/azure-options.ts'
import { wireTo } from './azure-setup.ts'

const fields = ['status', 'card.kind']

/** A server, and a receiver with `fields` whose service wants what is like `pattern`. */
async function receiving(t: TestContext, pattern: Pattern) {
  const server = await startServiceBus()
  t.after(() => server.kill())
  const open = async (known: readonly string[]) => {
    const wire = wireTo(server, { fields: known })
    await wire.open({ env: systemEnv, log: silentLogger, sends: [], notice() {} })
    t.after(() => wire.close())
    return wire
  }
  const got: unknown[] = []
  const deliver = async (messages: readonly IncomingMessage[]) =>
    void got.push(...messages.map(({ body }) => JSON.parse(Buffer.from(body).toString())))
  const receive = async () => {
    const types = [{ type: 'paid', patterns: [pattern] }]
    await (await open(fields)).receive({ service: 's', types, from: 'now', instance: 'i' }, deliver)
  }
  const send = async (known: readonly string[], ...data: Pattern[]) => {
    const wire = await open(known)
    const events = data.map((each) => ({ ...numbered(1)[0]!, id: systemEnv.uuid(), type: 'paid', key: 'k', each }))
    const messages = events.map(({ each, ...event }) => ({
      event: { ...event, data: JSON.stringify(each) },
      dedupeId: event.id,
    }))
    assert.deepEqual(
      await wire.send(messages),
      data.map(() => null),
    )
  }
  return { server, receive, send, got }
}

test('what a sender does not say comes through, and what it says is compared', async (t) => {
  const { receive, send, got } = await receiving(t, { status: 'failed' })
  await receive()
  await send(fields, { status: 'done', n: 0 }, { n: 1 }, { status: 'failed', n: 2 })
  await send([], { status: 'failed', n: 3 })
  await until(() => got.length === 2, 'both that are wanted are here')
  assert.deepEqual(got, [
    { status: 'failed', n: 2 },
    { status: 'failed', n: 3 },
  ])
})

test('a field whose name has a full stop is not taken for a path', async (t) => {
  const { receive, send, got } = await receiving(t, { 'card.kind': 'debit' })
  await receive()
  const event = { 'card.kind': 'debit', card: { kind: 'another' } }
  await send(fields, event)
  await until(() => got.length === 1, 'it is here')
  assert.deepEqual(got, [event])
})

test('a subscription whose rules are those of an earlier release gets the wider ones beside them', async (t) => {
  const { server, receive, send, got } = await receiving(t, { status: 'failed' })
  await send([], { n: 0 })
  const admin = administrationOf(checkedOptions({ connectionString: server.connectionString }))
  const filter = { subject: 'paid', applicationProperties: { data_status: 'failed' } }
  const defaultRuleOptions = { name: 'earlier', filter }
  await admin.createSubscription('quadrille', 's', { requiresSession: true, defaultRuleOptions } as never)
  await receive()
  await send([], { status: 'failed', n: 1 })
  await until(() => got.length === 1, 'it is here')
})
