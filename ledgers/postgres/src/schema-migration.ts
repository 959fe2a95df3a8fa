/** How a schema is made, and how an older one becomes one of this version. */
import { QuadrilleError } from 'quadrille'
import { boundedLogSql, oneSnapshotSql } from './schema-changes.ts'
import { functionsSql } from './schema-functions.ts'
import type { SchemaNames } from './schema-names.ts'
import { chunkedKeysSql, tablesSql } from './schema-tables.ts'
import type { Rows, Statement } from './statement-group.ts'

/**
 * One entry per schema version, in order; an entry that was released never changes. A later entry leaves the functions of
 * the version before it in place, so that processes of that version go on until they are replaced.
 */
const migrations: readonly ((names: SchemaNames) => string)[] = [
  (names) => tablesSql(names) + functionsSql(names),
  chunkedKeysSql,
  (names) => oneSnapshotSql(names) + boundedLogSql(names),
]

/** The schema version that this code writes. */
export const schemaVersion = migrations.length

/** Runs SQL of several statements without parameters, and statements with. */
export interface SqlRunner {
  script(sql: string): Promise<void>
  rows(statement: Statement): Promise<Rows>
}

/** What there is: a schema of that name, and the version of our tables in it, 0 for none. */
interface Present {
  readonly exists: boolean
  readonly version: number
}

async function presentIn(runner: SqlRunner, names: SchemaNames, ledger: string): Promise<Present> {
  const text = 'SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1'
  const exists = (await runner.rows({ text, values: [names.schema] })).length > 0
  return { exists, version: exists ? await versionOf(runner, names, ledger) : 0 }
}

/** The version in the database; 0 when the schema has none of our tables. */
async function versionOf(runner: SqlRunner, names: SchemaNames, ledger: string): Promise<number> {
  const incompatible = (problem: string) => new QuadrilleError('LEDGER_INCOMPATIBLE', { ledger, problem })
  const tables = await runner.rows({
    text: `SELECT c.relname FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
      WHERE n.nspname = $1 AND c.relkind IN ('r', 'p', 'v', 'm', 'S') ORDER BY c.relname`,
    values: [names.schema],
  })
  const found = tables.map(([name]) => name!)
  if (found.length === 0) return 0
  if (!found.includes('quadrille_meta')) {
    const taken = ['events', 'trimmed', 'records', 'leases', 'members', 'positions'].filter((name) =>
      found.includes(name),
    )
    if (taken.length === 0) return 0
    throw incompatible(`its schema ${names.schema} has ${taken.join(', ')}, but not as Quadrille's (no quadrille_meta)`)
  }
  const text = `SELECT value FROM ${names.quoted}.quadrille_meta WHERE name = 'schema'`
  const version = Number((await runner.rows({ text }))[0]?.[0] ?? 0)
  if (!Number.isInteger(version) || version < 1) throw incompatible('quadrille_meta names no schema version')
  if (version > schemaVersion)
    throw incompatible(`its tables have version ${version}, newer than ${schemaVersion}, the newest known here`)
  return version
}

/** The SQL that brings a schema from a version to the newest one; empty when it is there. */
export function migrationSql(names: SchemaNames, { exists, version: from }: Present): string {
  if (from === schemaVersion) return ''
  const { quoted: s } = names
  // Not CREATE SCHEMA IF NOT EXISTS: that asks for the right to create one even when it is there.
  const schema = exists ? '' : `CREATE SCHEMA ${s};\n`
  const meta = `CREATE TABLE ${s}.quadrille_meta (name text NOT NULL PRIMARY KEY, value text NOT NULL);
INSERT INTO ${s}.quadrille_meta (name, value) VALUES ('schema', '0');
`
  const steps = migrations.slice(from).map((migration) => migration(names))
  const version = `UPDATE ${s}.quadrille_meta SET value = '${schemaVersion}' WHERE name = 'schema';\n`
  return schema + (from === 0 ? meta : '') + steps.join('') + version
}

/** What {@link migrate} would run now. */
export async function pendingSql(runner: SqlRunner, names: SchemaNames, ledger: string): Promise<string> {
  return migrationSql(names, await presentIn(runner, names, ledger))
}

/**
 * Creates or migrates the tables in one transaction; does nothing, and takes no lock, when they are up to date.
 *
 * @throws QuadrilleError `LEDGER_INCOMPATIBLE` when a newer version has made them, or they are not ours.
 */
export async function migrate(runner: SqlRunner, names: SchemaNames, ledger: string): Promise<void> {
  if ((await presentIn(runner, names, ledger)).version === schemaVersion) return
  // With one snapshot for all, the look under the lock would see what was there before it waited.
  await runner.script('BEGIN ISOLATION LEVEL READ COMMITTED')
  try {
    await runner.script(`SELECT pg_advisory_xact_lock(${names.locks.chores}, 0)`)
    // Asked again under the lock: another process may have migrated meanwhile.
    await runner.script(migrationSql(names, await presentIn(runner, names, ledger)))
    await runner.script('COMMIT')
  } catch (error) {
    await runner.script('ROLLBACK').catch(() => {})
    throw error
  }
}
