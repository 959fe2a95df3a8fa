/**
 * What has changed in the functions since version 1. What takes or gives something else gets a new name, so that processes
 * of the version before go on with the old one; a function that only refuses what was never right is replaced.
 */
import { appendSql, eventColumns, safeSql } from './schema-functions.ts'
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

/**
 * Also version 3. As `log_1`, but no longer than the event with which `data` comes to so many bytes: a thousand large events
 * would not fit into the memory of whoever asks. In the rows of events the first column is the bytes up to and with it.
 */
export const boundedLogSql = ({ quoted: s }: SchemaNames): string => `
${create} ${s}.log_2(p_after bigint, p_limit int, p_bytes bigint, p_known bigint[])
RETURNS TABLE (reach bigint, "position" bigint, id text, type text, version int, source text, key text,
  correlation_id text, causation_id text, reaction text, hops int, "time" float8, traceparent text, tracestate text,
  data text, extensions text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
  -- The first row: how far can be read, what was drawn last, and since when the server runs.
  SELECT found.safe, found.last INTO reach, position FROM ${s}.safe_1() AS found;
  id := pg_postmaster_start_time()::text;
  RETURN NEXT;
  IF reach > p_after THEN
    RETURN QUERY SELECT bytes, position, ${eventColumns} FROM (
      SELECT *, sum(octet_length(data)) OVER (ORDER BY position) AS bytes FROM (
        SELECT * FROM ${s}.events AS event WHERE position > p_after AND position <= reach
          AND NOT EXISTS (SELECT FROM unnest(p_known) AS known WHERE known = event.position)
        ORDER BY position LIMIT p_limit
      ) AS next
    ) AS counted WHERE bytes - octet_length(data) < p_bytes ORDER BY position;
  END IF;
END $$;
`
