/**
 * The functions of the ledger, version 1; what has changed since stands in ./schema-changes.ts. They are functions because a plan is then kept by the server without a prepared
 * statement of the session (which a pooler may not have), and because each statement in them sees what was committed
 * before it began, which the order of looks at the gate needs.
 *
 * **The gate.** A position is drawn before its transaction commits, so a reader that sees position 9 can not know by that
 * whether 8 is still to come. So before its first append a transaction reads the last position drawn, L, takes a shared
 * lock that carries L, and only then draws its own: they are all above L. A reader reads the last position drawn, S, then
 * which L are held, and then, in a later snapshot, events up to min(S, the smallest L). Whoever was passed by the look at
 * the locks has drawn nothing up to S; whoever had let go by then is visible, because locks are released after a commit
 * has become visible. Transactions of others, however long, hold no such lock and hold up nobody.
 */
import { leaseLostState, outsideState } from './postgres-errors.ts'
import type { SchemaNames } from './schema-names.ts'

const eventArguments = `
  p_ids text[], p_types text[], p_versions int[], p_sources text[], p_keys text[], p_correlations text[],
  p_causations text[], p_reactions text[], p_hops int[], p_times float8[], p_traceparents text[], p_tracestates text[],
  p_data text[], p_extensions text[]`

/** All but the position. */
export const eventColumns = `id, type, version, source, key, correlation_id, causation_id, reaction, hops, time, traceparent,
      tracestate, data, extensions`

/** What has been drawn last; one less while nothing was. */
const drawn = 'CASE WHEN is_called THEN last_value ELSE last_value - 1 END'

/** What a later version puts in its place, and adds to it. */
interface AppendChanges {
  readonly create: string
  /** Runs between what is appended and the look at what was trimmed. */
  readonly between: string
}

/** Appends events; for each its position, or null for a duplicate. Rows go in by id, so that no two wait for each other. */
export function appendSql(
  { quoted: s, locks, literal }: SchemaNames,
  { create, between }: AppendChanges = { create: 'CREATE FUNCTION', between: '' },
): string {
  const gate = `quadrille.gate_${locks.gate >>> 0}`
  return `
${create} ${s}.append_1(${eventArguments}) RETURNS bigint[] LANGUAGE plpgsql AS $$
DECLARE
  given bigint[];
  newest text;
  old bigint[];
BEGIN
  IF coalesce(current_setting('${gate}', true), '') = '' THEN
    PERFORM pg_advisory_xact_lock_shared(${locks.gate}, (${drawn})::bit(32)::int) FROM ${s}.positions;
    PERFORM set_config('${gate}', '1', true);
  END IF;
  WITH appended AS MATERIALIZED (
    SELECT nextval(${literal('positions')}) AS position, each.*
    FROM unnest(p_ids, p_types, p_versions, p_sources, p_keys, p_correlations, p_causations, p_reactions, p_hops,
      p_times, p_traceparents, p_tracestates, p_data, p_extensions)
      AS each(${eventColumns})
  ), added AS (
    INSERT INTO ${s}.events (position, ${eventColumns})
    SELECT position, ${eventColumns} FROM appended ORDER BY id, position
    ON CONFLICT (id) DO NOTHING RETURNING events.position
  )
  SELECT array_agg(added.position ORDER BY appended.position) INTO given
  FROM appended LEFT JOIN added ON added.position = appended.position;
${between}  -- Looked at afterwards: what is trimmed while this runs is seen here or met as an event above, never missed by both.
  SELECT max(id) INTO newest FROM ${s}.trimmed;
  IF newest >= (SELECT min(each) FROM unnest(p_ids) AS each) THEN
    WITH known AS (
      DELETE FROM ${s}.events WHERE position = ANY(given) AND id IN (SELECT id FROM ${s}.trimmed WHERE id = ANY(p_ids))
      RETURNING position
    )
    SELECT array_agg(position) INTO old FROM known;
    IF old IS NOT NULL THEN
      SELECT array_agg(CASE WHEN each.position <> ALL(old) THEN each.position END ORDER BY each.place) INTO given
      FROM unnest(given) WITH ORDINALITY AS each(position, place);
    END IF;
  END IF;
  RETURN given;
END $$;
`
}

/**
 * Appends events, given as a JSON text, in a transaction that the caller has opened: it has set a token that lasts as long
 * as that, in a statement before this one. As text, so that every driver hands it over and back alike.
 */
function appendInSql({ quoted: s, channel }: SchemaNames): string {
  const texts = [
    'id',
    'type',
    '#version',
    'source',
    'key',
    'correlationId',
    'causationId',
    'reaction',
    '#hops',
    '.time',
  ]
  const fields = [...texts, 'traceparent', 'tracestate', 'data', 'extensions'].map((field) => {
    const type = field.startsWith('#') ? '::int' : field.startsWith('.') ? '::float8' : ''
    return `array_agg((each->>'${field.replace(/^[#.]/, '')}')${type} ORDER BY place)`
  })
  return `
CREATE FUNCTION ${s}.append_in_1(p_token text, p_events text, p_notifies boolean) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
  IF current_setting('quadrille.tx', true) IS DISTINCT FROM p_token THEN
    RAISE EXCEPTION 'no transaction is open' USING ERRCODE = '${outsideState}';
  END IF;
  IF p_notifies THEN PERFORM pg_notify('${channel}', ''); END IF;
  RETURN (SELECT ${s}.append_1(${fields.join(',\n    ')})
    FROM json_array_elements(p_events::json) WITH ORDINALITY AS event(each, place))::text;
END $$;
`
}

/** What was drawn last, and how far the log can be read. */
export function safeSql({ quoted: s, locks }: SchemaNames, create = 'CREATE FUNCTION', first = ''): string {
  return `
${create} ${s}.safe_1(OUT last bigint, OUT safe bigint) LANGUAGE plpgsql AS $$
DECLARE
  low bigint;
BEGIN
${first}  SELECT ${drawn} INTO last FROM ${s}.positions;
  -- The lock has only the lower half of L. It lies within 2^31 of S, which gives the rest.
  SELECT min(last + (objid::bigint - last)::bit(32)::int) INTO low FROM pg_catalog.pg_locks
  WHERE locktype = 'advisory' AND classid = ${locks.gate >>> 0} AND objsubid = 2
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database());
  safe := least(last, low);
END $$;
`
}

/** The end of the log, and its events behind a position, leaving out those whose positions the caller knows. */
function readSql({ quoted: s }: SchemaNames): string {
  return `
CREATE FUNCTION ${s}.head_1() RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  readable bigint := (SELECT safe FROM ${s}.safe_1());
BEGIN
  RETURN (SELECT coalesce(max(position), 0) FROM ${s}.events WHERE position <= readable);
END $$;

CREATE FUNCTION ${s}.log_1(p_after bigint, p_limit int, p_known bigint[])
RETURNS TABLE (safe bigint, "position" bigint, id text, type text, version int, source text, key text,
  correlation_id text, causation_id text, reaction text, hops int, "time" float8, traceparent text, tracestate text,
  data text, extensions text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  readable bigint;
BEGIN
  -- The first row: how far can be read, what was drawn last, and since when the server runs.
  SELECT found.last, found.safe INTO position, readable FROM ${s}.safe_1() AS found;
  safe := readable;
  id := pg_postmaster_start_time()::text;
  RETURN NEXT;
  IF readable > p_after THEN
    RETURN QUERY SELECT readable, position, ${eventColumns} FROM ${s}.events AS event
    WHERE position > p_after AND position <= readable
      AND NOT EXISTS (SELECT FROM unnest(p_known) AS known WHERE known = event.position)
    ORDER BY position LIMIT p_limit;
  END IF;
END $$;
`
}

/** Proves a claim and advances its checkpoints; fails with a state of its own and the lost partitions as detail. */
function holdSql({ quoted: s }: SchemaNames): string {
  return `
CREATE FUNCTION ${s}.hold_1(p_reader text, p_owner text, p_partitions int[], p_epochs float8[], p_position bigint)
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  held int;
BEGIN
  UPDATE ${s}.leases SET position = greatest(position, coalesce(p_position, position))
  FROM unnest(p_partitions, p_epochs) AS claimed(claimed_partition, claimed_epoch)
  WHERE reader = p_reader AND partition = claimed_partition AND owner = p_owner AND epoch = claimed_epoch;
  GET DIAGNOSTICS held = ROW_COUNT;
  IF held < cardinality(p_partitions) THEN
    RAISE EXCEPTION 'partitions are lost' USING ERRCODE = '${leaseLostState}', DETAIL = (
      SELECT string_agg(claimed_partition::text, ',' ORDER BY claimed_partition)
      FROM unnest(p_partitions, p_epochs) AS claimed(claimed_partition, claimed_epoch)
      LEFT JOIN ${s}.leases ON reader = p_reader AND partition = claimed_partition
      WHERE owner IS DISTINCT FROM p_owner OR epoch IS DISTINCT FROM claimed_epoch);
  END IF;
END $$;
`
}

/** Puts records, then removes others. They go in by key, so that no two transactions wait for each other. */
function saveSql({ quoted: s }: SchemaNames): string {
  return `
CREATE FUNCTION ${s}.save_1(p_scopes text[], p_kinds text[], p_ids text[], p_partitions int[], p_lanes text[],
  p_seqs float8[], p_dues float8[], p_expires float8[], p_bodies text[], r_scopes text[], r_kinds text[], r_ids text[])
RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO ${s}.records AS r (scope, kind, id, partition, lane, seq, due, expires, body)
  SELECT * FROM unnest(p_scopes, p_kinds, p_ids, p_partitions, p_lanes, p_seqs, p_dues, p_expires, p_bodies)
    AS put(scope, kind, id, partition, lane, seq, due, expires, body) ORDER BY scope, kind, id
  ON CONFLICT (scope, kind, id) DO UPDATE SET partition = excluded.partition, lane = excluded.lane, seq = excluded.seq,
    due = excluded.due, expires = excluded.expires, body = excluded.body;
  IF cardinality(r_ids) > 0 THEN
    DELETE FROM ${s}.records r USING unnest(r_scopes, r_kinds, r_ids) AS gone(scope, kind, id)
    WHERE r.scope = gone.scope AND r.kind = gone.kind AND r.id = gone.id;
  END IF;
END $$;
`
}

/**
 * Ends the transactions of owners of a reader whose leases are over: they could not commit, but as long as their process
 * sleeps they hold the rows that the heir needs. It is the server's own check who may do that: another role's stay.
 */
function endZombiesSql({ quoted: s, locks }: SchemaNames): string {
  return `
CREATE FUNCTION ${s}.end_zombies_1(p_reader text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
  gone bigint[] := (SELECT array_agg(DISTINCT hashtext(p_reader || ' ' || owner)::bigint & 4294967295) FROM ${s}.leases
    WHERE reader = p_reader AND owner IS NOT NULL AND NOT EXISTS (
      SELECT FROM ${s}.members WHERE members.reader = p_reader AND members.owner = leases.owner));
BEGIN
  IF gone IS NULL THEN RETURN; END IF;
  PERFORM pg_terminate_backend(pid) FROM pg_catalog.pg_locks
  WHERE locktype = 'advisory' AND classid = ${locks.owners >>> 0} AND objsubid = 2 AND pid IS NOT NULL
    AND objid::bigint = ANY(gone)
    AND database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database());
EXCEPTION WHEN insufficient_privilege THEN
  RETURN;
END $$;
`
}

/** Deals out the leases of a reader: joins or leaves, gives back, takes what is free up to the fair share. */
function leaseSql({ quoted: s, locks }: SchemaNames): string {
  return `
CREATE FUNCTION ${s}.lease_1(p_reader text, p_owner text, p_lease_ms float8, p_release int[], p_leave boolean,
  p_keep int[], p_start bigint, p_renumber boolean)
RETURNS TABLE (partition int, epoch bigint, "position" bigint, share int, abandoned boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  now_ms float8;
  fair int;
  held int;
  left_behind int[];
BEGIN
  PERFORM pg_advisory_xact_lock(${locks.leases}, hashtext(p_reader));
  now_ms := extract(epoch FROM clock_timestamp()) * 1000;
  IF NOT EXISTS (SELECT FROM ${s}.leases WHERE reader = p_reader) THEN
    INSERT INTO ${s}.leases (reader, partition, epoch, position) SELECT p_reader, each, 0, p_start
    FROM generate_series(0, 15) AS each;
  END IF;
  IF cardinality(p_release) > 0 OR p_leave THEN
    UPDATE ${s}.leases SET owner = NULL WHERE reader = p_reader AND owner = p_owner
      AND CASE WHEN p_leave THEN partition <> ALL(p_keep) ELSE partition = ANY(p_release) END;
  END IF;
  SELECT count(*) INTO held FROM ${s}.leases WHERE reader = p_reader AND owner = p_owner;
  DELETE FROM ${s}.members WHERE reader = p_reader AND (until <= now_ms AND owner <> p_owner
    OR owner = p_owner AND p_leave AND held = 0);
  IF NOT p_leave OR held > 0 THEN
    INSERT INTO ${s}.members (reader, owner, until, leaving) VALUES (p_reader, p_owner, now_ms + p_lease_ms, p_leave)
    ON CONFLICT (reader, owner) DO UPDATE SET until = excluded.until, leaving = excluded.leaving;
  END IF;
  SELECT ceil(16.0 / greatest(1, count(*))) INTO fair FROM ${s}.members WHERE reader = p_reader AND NOT leaving;
  IF p_renumber THEN
    UPDATE ${s}.leases SET epoch = epoch + 1 WHERE reader = p_reader AND owner = p_owner;
  END IF;
  IF NOT p_leave AND held < fair THEN
    PERFORM ${s}.end_zombies_1(p_reader);
    WITH free AS (
      SELECT partition, owner FROM ${s}.leases AS free
      WHERE reader = p_reader AND partition <> ALL(p_release) AND (owner IS NULL OR NOT EXISTS (
        SELECT FROM ${s}.members WHERE members.reader = p_reader AND members.owner = free.owner))
      ORDER BY partition LIMIT fair - held
    ), taken AS (
      UPDATE ${s}.leases AS lease SET owner = p_owner, epoch = lease.epoch + 1 FROM free
      WHERE lease.reader = p_reader AND lease.partition = free.partition
      RETURNING lease.partition, free.owner AS owner_before
    )
    SELECT array_agg(partition) FILTER (WHERE owner_before IS NOT NULL) INTO left_behind FROM taken;
  END IF;
  RETURN QUERY SELECT -1, 0::bigint, 0::bigint, fair, false;
  RETURN QUERY SELECT partition, epoch, position, fair, coalesce(partition = ANY(left_behind), false) FROM ${s}.leases
  WHERE reader = p_reader AND owner = p_owner ORDER BY partition;
END $$;
`
}

/** One bounded step through each table, from where the last one stopped. */
function trimSql({ quoted: s, locks }: SchemaNames): string {
  return `
CREATE FUNCTION ${s}.trim_1(p_up_to bigint, p_events_before float8, p_ids_before float8, p_records_before float8,
  p_limit int, p_looks int, p_position bigint, p_id text, p_scope text, p_kind text, p_record text)
RETURNS TABLE (removed bigint, trimmed_to bigint, next_position bigint, next_id text, next_scope text, next_kind text,
  next_record text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  gone bigint;
  seen bigint;
BEGIN
  -- Somebody else trims just now: nothing to wait for.
  IF NOT pg_try_advisory_xact_lock(${locks.chores}, 1) THEN
    RETURN QUERY SELECT 0::bigint, 0::bigint, p_position, p_id, p_scope, p_kind, p_record;
    RETURN;
  END IF;
  WITH looked AS MATERIALIZED (
    SELECT position, id, time FROM ${s}.events WHERE position > p_position AND position <= p_up_to
    ORDER BY position LIMIT p_looks
  ), old AS (
    SELECT position FROM looked WHERE time < p_events_before ORDER BY position LIMIT p_limit
  ), taken AS (
    DELETE FROM ${s}.events AS event USING old WHERE event.position = old.position RETURNING event.position, event.id
  ), kept AS (
    INSERT INTO ${s}.trimmed (id, time) SELECT id, extract(epoch FROM clock_timestamp()) * 1000 FROM taken
    ON CONFLICT (id) DO UPDATE SET time = excluded.time
  )
  SELECT (SELECT count(*) FROM taken), (SELECT max(position) FROM taken), (SELECT count(*) FROM looked),
    (SELECT max(position) FROM looked)
  INTO gone, trimmed_to, seen, next_position;
  -- What is old stands in front: where none is, the next look begins there again.
  IF gone = p_limit THEN next_position := trimmed_to;
  ELSIF gone = 0 OR seen < p_looks THEN next_position := 0;
  END IF;
  removed := gone;

  WITH looked AS MATERIALIZED (SELECT id, time FROM ${s}.trimmed WHERE id > p_id ORDER BY id LIMIT p_looks),
  old AS (SELECT id FROM looked WHERE time < p_ids_before ORDER BY id LIMIT p_limit),
  taken AS (DELETE FROM ${s}.trimmed AS known USING old WHERE known.id = old.id RETURNING known.id)
  SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM looked),
    CASE WHEN (SELECT count(*) FROM taken) = p_limit THEN (SELECT max(id) FROM taken) ELSE (SELECT max(id) FROM looked) END
  INTO gone, seen, next_id;
  IF gone < p_limit AND seen < p_looks THEN next_id := ''; END IF;
  removed := removed + gone;

  WITH looked AS MATERIALIZED (
    SELECT scope, kind, id, expires FROM ${s}.records WHERE (scope, kind, id) > (p_scope, p_kind, p_record)
    ORDER BY scope, kind, id LIMIT p_looks
  ), old AS (
    SELECT scope, kind, id FROM looked WHERE expires < p_records_before ORDER BY scope, kind, id LIMIT p_limit
  ), taken AS (
    DELETE FROM ${s}.records AS record USING old
    WHERE record.scope = old.scope AND record.kind = old.kind AND record.id = old.id AND record.expires < p_records_before
    RETURNING record.id
  ), reached AS (
    SELECT scope, kind, id FROM old WHERE (SELECT count(*) FROM old) = p_limit
    UNION ALL SELECT scope, kind, id FROM looked WHERE (SELECT count(*) FROM old) < p_limit
    ORDER BY scope DESC, kind DESC, id DESC LIMIT 1
  )
  SELECT (SELECT count(*) FROM taken), (SELECT count(*) FROM looked), (SELECT scope FROM reached),
    (SELECT kind FROM reached), (SELECT id FROM reached)
  INTO gone, seen, next_scope, next_kind, next_record;
  IF gone < p_limit AND seen < p_looks THEN next_scope := ''; next_kind := ''; next_record := ''; END IF;
  removed := removed + gone;
  RETURN NEXT;
END $$;
`
}

/** All functions of version 1. */
export const functionsSql = (names: SchemaNames): string =>
  [appendSql, appendInSql, safeSql, readSql, holdSql, saveSql, endZombiesSql, leaseSql, trimSql]
    .map((sql) => sql(names))
    .join('')
