/** Everything works behind a pooler that hands out connections for one transaction. */
import { describe, it } from 'node:test'
import { runLedgerCase, ledgerCases } from 'quadrille/conformance'
import { poolerMissing, startPooler } from './cluster.ts'
import { postgresHarness, serverMissing, serverUrl } from './database.ts'

const skip = (await serverMissing()) || poolerMissing()

describe('behind PgBouncer in transaction mode', { skip, concurrency: false }, () => {
  const started = skip === false ? startPooler(Number(new URL(serverUrl).port || 5432)) : undefined

  for (const testCase of ledgerCases)
    it(testCase.name, async () => {
      const { url } = await started!
      await runLedgerCase(testCase, postgresHarness({ listen: false }, url))
    })

  it('and the pooler can be stopped afterwards', async () => {
    await (await started!).stop()
  })
})
