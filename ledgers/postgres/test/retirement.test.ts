/** A service is retired while others work, and never while a process of it may still come back to its partitions. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { event, service, silentLogger, start, systemEnv, type AnyService } from 'quadrille'
import { postgres } from '@quadrille/postgres'
import * as z from 'zod'
import { onServer, randomName, serverMissing, serverUrl, until } from './database.ts'

const skip = await serverMissing()
const waitMs = 30_000
const count = 300

const Ordered = event('ordered', { key: 'id', schema: z.object({ id: z.string() }) })
const retention = { events: '3s', every: '200ms' } as const

test('a service is retired when its processes have ended, and not before; nobody is disturbed', { skip }, async () => {
  const schema = randomName()
  const ledger = () => postgres(serverUrl, { schema })
  const startOn = (services: readonly AnyService[]) =>
    start({ services, ledger: ledger(), log: silentLogger, retention, lease: '1s', poll: '100ms' })
  const handled = { shipping: 0, other: 0 }
  const counting = (name: keyof typeof handled) =>
    service(name).on(Ordered, { name: 'count' }, () => void handled[name]++)
  const here = await startOn([counting('other')])
  const there = await startOn([counting('shipping')])
  const direct = ledger()
  await direct.open(systemEnv)
  const refused = { code: 'RETIRE_REFUSED' }
  try {
    const tries: Promise<unknown>[] = []
    for (let n = 0; n < count; n++) {
      await here.publish(Ordered({ id: `o-${n}` }))
      if (n % 50 === 0) tries.push(assert.rejects(here.retire({ service: 'shipping' }), refused))
    }
    await Promise.all(tries)
    await until(async () => handled.other >= count && handled.shipping >= count, 'all is handled', waitMs)
    assert.deepEqual(handled, { shipping: count, other: count })
    await there.stop()

    // As a process that was killed a moment ago: its leases have not ended.
    const { leases } = await direct.lease({ reader: 'shipping', owner: 'killed', leaseMs: 2_000 })
    assert.equal(leases.length, 16)
    await assert.rejects(here.retire({ service: 'shipping' }), refused)
    const { correlationId } = await here.publish(Ordered({ id: 'late' }))
    const kept = async () => (await here.flow(correlationId)).events.length
    const problem = async () => (await here.health()).problems.join()
    await until(async () => (await problem()).startsWith('shipping has not'), 'health() names it', waitMs)
    assert.equal(await kept(), 1)
    await until(() => here.retire({ service: 'shipping' }).then(() => true, () => false), 'its leases end', waitMs) // prettier-ignore
    await until(async () => (await kept()) === 0, 'its event is forgotten', waitMs)
    // A zombie commits nothing.
    const epochs = new Map(leases.map(({ partition, epoch }) => [partition, epoch]))
    const zombie = direct.transact((tx) => tx.hold({ reader: 'shipping', owner: 'killed', epochs }))
    await assert.rejects(zombie, { code: 'LEASE_LOST' })
    await here.publish(Ordered({ id: 'again' }))
    await assert.rejects(
      startOn([counting('shipping')]).then((app) => app.stop()),
      { code: 'START_POSITION_NEEDED' },
    )
  } finally {
    await Promise.all([here.stop(), there.stop(), direct.close()])
    await onServer((client) => client.query(`DROP SCHEMA "${schema}" CASCADE`))
  }
})
