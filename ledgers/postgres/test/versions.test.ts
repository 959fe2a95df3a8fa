/** The ledger keeps its promises on every version of PostgreSQL that it supports; the other tests run on the one of the machine. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { postgresVersions, realPostgres, type Broker } from '@quadrille/brokers'
import { ledgerCases, runLedgerCase } from 'quadrille/conformance'
import { onServer, postgresHarness } from './database.ts'

for (const version of postgresVersions) {
  const server = realPostgres(version)

  describe(`PostgreSQL ${version}`, { skip: server.skip, concurrency: false }, () => {
    let broker: Broker

    before(async () => {
      broker = await server.start({ settings: ['fsync=off'] })
    })

    after(() => broker?.stop())

    it('is the one that runs', async () => {
      const { rows } = await onServer((client) => client.query('SHOW server_version_num'), broker.url)
      assert.equal(Math.floor(Number(rows[0].server_version_num) / 10_000), Number(version))
    })

    for (const testCase of ledgerCases)
      it(testCase.name, () => runLedgerCase(testCase, postgresHarness({}, broker.url)))
  })
}
