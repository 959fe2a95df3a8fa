/** With `create: false` subscriptions are somebody else's: one that is missing is not made, and not passed over. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { freePort } from '@quadrille/brokers'
import { connectionStringFor, startServiceBus } from '@quadrille/brokers/service-bus'
import { until } from '@quadrille/brokers/wire-load'
import { quietContext } from '@quadrille/brokers/wire-world'
import { isQuadrilleError, type Subscription, type WireNotice } from 'quadrille'
import { checkedOptions } from '../src/azure-options.ts'
import { administrationOf } from '../src/azure-topology.ts'
import { wireTo } from './azure-setup.ts'

const subscription: Subscription = {
  service: 's',
  types: [{ type: 'a', patterns: null }],
  from: 'now',
  instance: 'i',
}
const nothing = async () => {}

/** A server where the subscription was made, and a wire that makes none. */
async function place(t: TestContext, options: Parameters<typeof wireTo>[1] = {}) {
  const server = await startServiceBus()
  const notices: WireNotice[] = []
  const maker = wireTo(server)
  const wire = wireTo(server, { create: false, ...options })
  t.after(async () => {
    await maker.close()
    await wire.close()
    await server.kill()
  })
  await maker.open(quietContext)
  await (await maker.receive(subscription, nothing)).stop()
  await wire.open({ ...quietContext, notice: (notice) => notices.push(notice) })
  const { subscriptions } = server.topics.get('quadrille')!
  const made = subscriptions.get('s')!
  const remove = () => {
    made.drop()
    subscriptions.delete('s')
  }
  return { wire, remove, restore: () => subscriptions.set('s', made), told: () => notices.map(({ kind }) => kind) }
}

/** An administration that this process can not reach, as one that it has no right to. */
const noRights = async () =>
  administrationOf(checkedOptions({ connectionString: connectionStringFor(await freePort()) }))

test('one that is missing at the start is lost when the ledger knows it, and waited for when it does not', async (t) => {
  const { wire, remove, restore } = await place(t)
  remove()
  const known = { ...subscription, known: ['a'] }
  await assert.rejects(wire.receive(known, nothing), { code: 'WIRE_POSITION_LOST' })
  const waits = (error: unknown) => isQuadrilleError(error, 'WIRE_UNREACHABLE') && error.retryable
  await assert.rejects(wire.receive(subscription, nothing), waits)
  await assert.rejects(wire.receive({ ...known, lost: 'accept' }, nothing), waits)
  restore()
  assert.deepEqual(await (await wire.receive(known, nothing)).health(), { lag: 0, problems: [] })
})

for (const rights of [true, false])
  test(`one that is removed later is told, and that it is back: ${rights ? 'with' : 'without'} the right to look`, async (t) => {
    const { wire, remove, restore, told } = await place(t, rights ? {} : { administration: await noRights() })
    const receiver = await wire.receive(subscription, nothing)
    remove()
    await until(async () => /could not be found/.test((await receiver.health()).problems.join()), 'health tells')
    assert.deepEqual(told(), ['lost'])
    restore()
    await until(async () => (await receiver.health()).problems.length === 0, 'it is back')
    assert.deepEqual(told(), ['lost', 'restored'])
  })
