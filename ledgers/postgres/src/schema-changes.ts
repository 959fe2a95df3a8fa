/**
 * What has changed in the functions since version 1. What takes or gives something else gets a new name, so that processes
 * of the version before go on with the old one; a function that only refuses what was never right is replaced.
 */
import { appendSql, safeSql } from './schema-functions.ts'
import type { SchemaNames } from './schema-names.ts'

const create = 'CREATE OR REPLACE FUNCTION'

/** Each statement in a function has a snapshot of its own at this level only. */
const isOneSnapshot = `current_setting('transaction_isolation') <> 'read committed'`

/**
 * Version 3. The log is not read with one snapshot for the gate and the events, by which those would be passed that commit
 * between the two. Who appends may have one, which is his own choice. It does not show what was trimmed since, but the index
 * of the ids does: to meet one there that the snapshot has not is a serialization failure, and he begins anew.
 */
export const oneSnapshotSql = (names: SchemaNames): string =>
  safeSql(
    names,
    create,
    `  IF ${isOneSnapshot} THEN
    RAISE EXCEPTION 'the log is read in READ COMMITTED, not in %', upper(current_setting('transaction_isolation'));
  END IF;
`,
  ) +
  appendSql(names, {
    create,
    between: `  IF ${isOneSnapshot} THEN
    INSERT INTO ${names.quoted}.trimmed (id, time) SELECT id, -1 FROM unnest(p_ids, given) AS each(id, position)
    WHERE position IS NOT NULL ORDER BY id ON CONFLICT (id) DO NOTHING;
    DELETE FROM ${names.quoted}.trimmed WHERE id = ANY(p_ids) AND time = -1;
  END IF;
`,
  })
