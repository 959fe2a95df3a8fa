/** A process in a storm: its handler updates two hot rows, in the order that the key wants. Started by storms.test.ts. */
import { event, service, silentLogger, start } from 'quadrille'
import { pgClient, postgres, type PostgresHandle } from '@quadrille/postgres'
import * as z from 'zod'

export const Wanted = event('wanted', { key: 'id', schema: z.object({ id: z.string(), order: z.array(z.number()) }) })
export const Served = event('served', { key: 'id', schema: z.object({ id: z.string() }) })

/** Two services that want the same rows, each with partitions in every process. */
export const stormy = (schema: string) =>
  ['left', 'right'].map((name) =>
    service(name, { db: pgClient() }).on(Wanted, { emits: [Served] }, async ({ id, order }, { db }) => {
      for (const row of name === 'left' ? order : order.toReversed()) await touch(db, schema, row)
      await db.query(`INSERT INTO "${schema}".served VALUES ($1)`, [`${name} ${id}`])
      return Served({ id })
    }),
  )

const touch = (db: PostgresHandle, schema: string, row: number) =>
  db.query(`UPDATE "${schema}".hot SET n = n + 1 WHERE id = $1`, [row])

async function run(url: string, schema: string): Promise<void> {
  const app = await start({
    services: stormy(schema),
    ledger: postgres(url, { schema: 'storm', statementTimeout: '3s' }),
    log: silentLogger,
  })
  process.stdout.write('ready\n')
  process.once('SIGTERM', () => void app.stop().then(() => process.exit(0)))
}

if (process.argv[2] !== undefined) await run(process.argv[2], process.argv[3]!)
