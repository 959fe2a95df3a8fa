/** The tables of the ledger, and how an older file becomes one of this version. */
import type { DatabaseSync } from 'node:sqlite'
import { QuadrilleError } from '../../base/index.ts'

/**
 * Keys come in no order. In one index over all of them every event would change a page of its own, somewhere in a tree that
 * grows with the history; so there is one for each 8,192 events, in effect, and only the last of them is written to.
 * Who looks for a key looks into each.
 */
export const chunkBits = 13

/**
 * One entry per schema version, in order; an entry that was released never changes. Columns of events that a scan reads
 * first stand first, the payload last, because a row larger than its page is read column by column.
 */
const migrations: readonly string[] = [
  `CREATE TABLE quadrille_events (
     position INTEGER PRIMARY KEY,
     id TEXT NOT NULL,
     type TEXT NOT NULL,
     time INTEGER NOT NULL,
     version INTEGER NOT NULL,
     source TEXT NOT NULL,
     key TEXT NOT NULL,
     correlation_id TEXT NOT NULL,
     causation_id TEXT,
     reaction TEXT,
     hops INTEGER NOT NULL,
     traceparent TEXT,
     tracestate TEXT,
     data TEXT NOT NULL,
     extensions TEXT
   );
   CREATE UNIQUE INDEX quadrille_events_id ON quadrille_events (id);
   CREATE INDEX quadrille_events_correlation ON quadrille_events (correlation_id);
   CREATE INDEX quadrille_events_key ON quadrille_events (key);

   CREATE TABLE quadrille_trimmed (
     id TEXT NOT NULL PRIMARY KEY,
     time INTEGER NOT NULL
   ) WITHOUT ROWID;

   CREATE TABLE quadrille_records (
     scope TEXT NOT NULL,
     kind TEXT NOT NULL,
     id TEXT NOT NULL,
     partition INTEGER NOT NULL,
     lane TEXT,
     seq INTEGER NOT NULL,
     due INTEGER,
     expires INTEGER,
     body TEXT NOT NULL,
     PRIMARY KEY (scope, kind, id)
   ) WITHOUT ROWID;
   CREATE INDEX quadrille_records_due ON quadrille_records (scope, kind, due, id, partition) WHERE due IS NOT NULL;
   CREATE INDEX quadrille_records_lane ON quadrille_records (scope, kind, lane, seq, id) WHERE lane IS NOT NULL;

   CREATE TABLE quadrille_leases (
     reader TEXT NOT NULL,
     partition INTEGER NOT NULL,
     owner TEXT,
     epoch INTEGER NOT NULL,
     until INTEGER NOT NULL,
     position INTEGER NOT NULL,
     PRIMARY KEY (reader, partition)
   ) WITHOUT ROWID;
   CREATE TABLE quadrille_members (
     reader TEXT NOT NULL,
     owner TEXT NOT NULL,
     until INTEGER NOT NULL,
     PRIMARY KEY (reader, owner)
   ) WITHOUT ROWID;`,
  `DROP INDEX quadrille_events_key;
   CREATE INDEX quadrille_events_chunk_key ON quadrille_events ((position >> ${chunkBits}), key);`,
]

/** The schema version that this code writes. */
export const schemaVersion = migrations.length

/** The version in the file; 0 when it has none of our tables. */
function versionOf(db: DatabaseSync, ledger: string): number {
  const names = db.prepare(`SELECT name FROM sqlite_schema WHERE type = 'table' AND name GLOB 'quadrille_*'`).all()
  if (names.length === 0) return 0
  const incompatible = (problem: string) => new QuadrilleError('LEDGER_INCOMPATIBLE', { ledger, problem })
  if (!names.some((row) => row['name'] === 'quadrille_meta')) {
    throw incompatible(`it has tables called quadrille_..., but no quadrille_meta`)
  }
  const columns = db.prepare(`SELECT name FROM pragma_table_info('quadrille_meta') ORDER BY name`).all()
  if (columns.map((row) => row['name']).join() !== 'name,value') {
    throw incompatible(`its table quadrille_meta is not one of Quadrille's`)
  }
  const version = Number(db.prepare(`SELECT value FROM quadrille_meta WHERE name = 'schema'`).get()?.['value'])
  if (!Number.isInteger(version) || version < 1) throw incompatible(`quadrille_meta names no schema version`)
  if (version > schemaVersion) {
    throw incompatible(`its tables have version ${version}, newer than ${schemaVersion}, the newest known here`)
  }
  return version
}

/**
 * Creates or migrates the tables in one transaction; does nothing, and takes no lock, when they are up to date.
 *
 * @throws QuadrilleError `LEDGER_INCOMPATIBLE` when a newer version has made them, or they are not ours.
 */
export function migrate(db: DatabaseSync, ledger: string): void {
  if (versionOf(db, ledger) === schemaVersion) return
  db.exec('BEGIN IMMEDIATE')
  try {
    // Asked again under the lock: another process may have migrated meanwhile.
    const from = versionOf(db, ledger)
    if (from === 0) db.exec('CREATE TABLE quadrille_meta (name TEXT NOT NULL PRIMARY KEY, value) WITHOUT ROWID')
    for (const migration of migrations.slice(from)) db.exec(migration)
    db.prepare(`INSERT OR REPLACE INTO quadrille_meta (name, value) VALUES ('schema', ?)`).run(schemaVersion)
    db.exec('COMMIT')
  } catch (error) {
    if (db.isTransaction) db.exec('ROLLBACK')
    throw error
  }
}
