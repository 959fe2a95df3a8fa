/** Facts about the database for `health()`, and who holds readers up. */
import type { LedgerHealth } from 'quadrille'
import type { Line } from './connections.ts'
import { schemaVersion } from './schema-migration.ts'
import type { SchemaNames } from './schema-names.ts'
import type { Field } from './wire-values.ts'

/** A transaction that has appended and is still open after this holds up readers for too long. */
const openMsMax = 10_000
/** The same for one whose age the server does not tell. */
const unknownAgeMs = 500

/**
 * Who holds the gate, with the age of the transaction in milliseconds; prepared ones have no pid. Of sessions of other roles
 * the server tells age and state only to members of `pg_read_all_stats`.
 */
const holdersSql = ({ locks }: SchemaNames) => `
  SELECT DISTINCT ON (l.pid, p.gid) l.pid, p.gid, a.application_name, a.usename, a.state,
    extract(epoch FROM clock_timestamp() - coalesce(a.xact_start, p.prepared)) * 1000 AS age, p.owner, l.virtualtransaction
  FROM pg_catalog.pg_locks l
  LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
  LEFT JOIN pg_catalog.pg_locks t ON l.pid IS NULL AND t.pid IS NULL AND t.locktype = 'transactionid'
    AND t.virtualtransaction = l.virtualtransaction
  LEFT JOIN pg_catalog.pg_prepared_xacts p ON p.transaction = t.transactionid
  WHERE l.locktype = 'advisory' AND l.classid = ${locks.gate >>> 0} AND l.objsubid = 2
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  ORDER BY l.pid, p.gid`

const isOfUnknownAge = ([pid, , , , , age]: readonly Field[]): boolean => pid !== null && age === null

/** The transactions that hold the gate after a moment, in which one that is about to commit has done so. */
async function transactionsLater(line: Line, names: SchemaNames): Promise<ReadonlySet<unknown>> {
  const pause = { text: `SELECT pg_sleep(${unknownAgeMs / 1000})` }
  const [, holders] = await line.run(pause, { text: holdersSql(names) })
  return new Set(holders!.map((holder) => holder[7]))
}

/** Looks at the basics: the schema version, the partitions of every reader, open transactions that hold up readers. */
export async function postgresHealth(line: Line, names: SchemaNames, tailEvents: number): Promise<LedgerHealth> {
  const { quoted: s } = names
  const [versions, heads, broken, holders, sizes] = await line.run(
    { text: `SELECT value FROM ${s}.quadrille_meta WHERE name = 'schema'` },
    { text: `SELECT ${s}.head_1(), (SELECT last_value FROM ${s}.positions)` },
    { text: `SELECT reader FROM ${s}.leases GROUP BY reader HAVING count(*) <> 16 ORDER BY reader` },
    { text: holdersSql(names) },
    {
      text: `SELECT pg_total_relation_size(${names.literal('events')}),
        (SELECT count(*) FROM pg_catalog.pg_prepared_xacts WHERE database = current_database())`,
    },
  )
  const problems: string[] = []
  const stillOpen = holders!.some(isOfUnknownAge) ? await transactionsLater(line, names) : new Set()
  const version = Number(versions![0]?.[0])
  if (version !== schemaVersion)
    problems.push(
      `The tables have version ${version}, not ${schemaVersion}: restart everything with one version of Quadrille.`,
    )
  for (const [reader] of broken!) problems.push(`The reader ${reader} does not have its 16 partitions.`)
  for (const holder of holders!) {
    const [pid, gid, application, user, state, age, owner, transaction] = holder
    const seconds = Math.round(Number(age) / 1000)
    const session = `Process ${pid} of the server (${application || 'no application name'}, user ${user}`
    const advice = `and readers wait for it: let it end, or pg_terminate_backend(${pid}).`
    if (gid !== null)
      problems.push(
        `The prepared transaction ${gid} of ${owner} has appended events ${seconds} s ago, and readers wait for it: COMMIT PREPARED or ROLLBACK PREPARED '${gid}'.`,
      )
    else if (Number(age) > openMsMax)
      problems.push(
        `${session}, ${state}) has appended events in a transaction that is open for ${seconds} s, ${advice}`,
      )
    else if (isOfUnknownAge(holder) && stillOpen.has(transaction))
      problems.push(
        `${session}) has appended events in a transaction that is open, for how long only members of pg_read_all_stats are told, ${advice}`,
      )
  }
  const [bytes, prepared] = sizes![0]!
  return {
    ok: problems.length === 0,
    head: Number(heads![0]![0]),
    problems,
    facts: {
      schemaVersion: version,
      drawn: Number(heads![0]![1]),
      appenders: holders!.length,
      eventBytes: Number(bytes),
      preparedTransactions: Number(prepared),
      tailEvents,
    },
  }
}
