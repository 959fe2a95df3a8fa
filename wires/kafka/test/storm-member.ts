/** One process of a service, for the storm: takes what comes into a table that all processes share. */
import { DatabaseSync } from 'node:sqlite'
import { silentLogger, systemEnv } from 'quadrille'
import { eventIn } from './events.ts'
import { kafka } from '../src/index.ts'

const [, , brokers, file, type, service] = process.argv as string[]

const table = new DatabaseSync(file!, { timeout: 10_000 })
table.exec('pragma journal_mode = wal')
const insert = table.prepare('insert or ignore into taken (id, key, n) values (?, ?, ?)')

const wire = kafka({ brokers: [brokers!], sessionMs: 3_000, requestMs: 2_000 })
await wire.open({ env: systemEnv, log: silentLogger, sends: [], notice: () => {} })
const receiver = await wire.receive(
  { service: service!, types: [{ type: type!, patterns: null }], from: 'beginning', instance: systemEnv.uuid() },
  async (messages) => {
    table.exec('begin immediate')
    for (const message of messages) {
      const { id, key, data } = eventIn(message)
      insert.run(id, key, (JSON.parse(data) as { n: number }).n)
    }
    table.exec('commit')
  },
)
process.on('SIGTERM', () => {
  void receiver
    .stop()
    .then(() => wire.close())
    .then(() => process.exit(0))
})
console.log('receiving')
