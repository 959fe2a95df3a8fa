/** The flow of a conversation is whole in every process of a ledger, also where only some of its services run. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { event, service, silentLogger, sleep, start, systemEnv, type AnyService } from 'quadrille'
import { flowDiagram } from 'quadrille/observe'
import { postgres } from '@quadrille/postgres'
import * as z from 'zod'
import { onServer, randomName, serverMissing, serverUrl } from './database.ts'

const skip = await serverMissing()
const waitMs = 30_000

const schema = z.object({ id: z.string() })
const Ordered = event('ordered', { key: 'id', schema })
const Paid = event('paid', { key: 'id', schema })
const payments = service('payments').on(Ordered, { emits: [Paid] }, ({ id }) => Paid({ id }))
const mail = service('mail')
  .on(Ordered, { name: 'greet', retry: { attempts: 1 } }, () => {
    throw new Error('no such mailbox')
  })
  .on(Paid, { name: 'tell', retry: { base: '1h', max: '1h' } }, (_, { attempt }) => {
    if (attempt === 1) throw new Error('mailbox full')
  })

test('two processes with other services show the same flow', { skip }, async () => {
  const name = randomName()
  const startOn = (services: readonly AnyService[]) =>
    start({ services, ledger: postgres(serverUrl, { schema: name }), log: silentLogger })
  const one = await startOn([payments])
  const other = await startOn([mail])
  try {
    const { correlationId } = await one.publish(Ordered({ id: 'o-1' }))
    const shown = async () =>
      (await one.flow(correlationId)).deliveries.map((each) => `${each.service}/${each.reaction} ${each.status}`)
    const expected = ['mail/greet dead', 'payments/ordered handled', 'mail/tell waiting']
    const endsAt = systemEnv.elapsed() + waitMs
    while (String(await shown()) !== String(expected)) {
      assert.ok(systemEnv.elapsed() < endsAt, String(await shown()))
      await sleep(systemEnv, 20)
    }
    const [here, there] = [await one.flow(correlationId), await other.flow(correlationId)]
    assert.deepEqual(there, here)
    assert.equal(flowDiagram(there), flowDiagram(here))
    assert.deepEqual(here.notes.map(({ kind, reaction }) => `${kind} ${reaction}`).sort(), ['dead greet', 'retry tell'])
  } finally {
    await Promise.all([one.stop(), other.stop()])
    await onServer((client) => client.query(`DROP SCHEMA "${name}" CASCADE`))
  }
})
