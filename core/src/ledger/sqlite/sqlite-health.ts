/** Facts about the database file for `health()`. */
import { statSync } from 'node:fs'
import type { LedgerHealth } from '../ledger.ts'
import { schemaVersion } from './schema-migration.ts'
import type { Connection } from './sqlite-connection.ts'

/** A WAL above this means that something keeps it from being moved into the database. */
const walBytesMax = 64 * 1024 * 1024

/** The size of a file; 0 when there is none. */
export function fileBytes(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0
}

/** What {@link sqliteHealth} looks at. */
export interface HealthSource {
  readonly reader: Connection
  /** The database file; undefined when it is in memory. */
  readonly file: string | undefined
  readonly tailEvents: number
  /** The first position that is not in the table is behind this one. */
  readonly head: number
}

/** Looks at the basics: the schema version, the partitions of every reader, the size of the WAL. */
export function sqliteHealth({ reader, file, tailEvents, head }: HealthSource): LedgerHealth {
  const { statements } = reader
  const problems: string[] = []
  const version = statements.get(`SELECT value FROM quadrille_meta WHERE name = 'schema'`).get()?.['value']
  if (version !== schemaVersion) {
    problems.push(
      `The tables have version ${String(version)}, not ${schemaVersion}: restart with one version of Quadrille.`,
    )
  }
  const broken = statements
    .get('SELECT reader FROM quadrille_leases GROUP BY reader HAVING count(*) <> 16 ORDER BY reader')
    .all()
  for (const row of broken) problems.push(`The reader ${String(row['reader'])} does not have its 16 partitions.`)
  const walBytes = file === undefined ? 0 : fileBytes(`${file}-wal`)
  if (walBytes > walBytesMax) {
    const mib = Math.round(walBytes / 1024 / 1024)
    problems.push(`The WAL has ${mib} MiB: some process keeps a read transaction open, or checkpoints can not keep up.`)
  }
  const pages = statements.get('SELECT page_count * page_size AS bytes FROM pragma_page_count, pragma_page_size').get()
  return {
    ok: problems.length === 0,
    head,
    problems,
    facts: { schemaVersion: Number(version), databaseBytes: Number(pages?.['bytes']), walBytes, tailEvents },
  }
}
