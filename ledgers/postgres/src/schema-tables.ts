/** The tables of the ledger: version 1, and what has changed since. */
import type { SchemaNames } from './schema-names.ts'

/**
 * Text is compared by bytes (COLLATE "C"): the same on every machine, and faster. Numbers that JavaScript makes are
 * float8, which holds each of them exactly. What changes often has room in its page, so that a new version of a row stays
 * there and no index is touched (HOT): leases and members always, records when neither lane nor due time changes.
 */
export function tablesSql({ quoted: s }: SchemaNames): string {
  return `
CREATE SEQUENCE ${s}.positions AS bigint CACHE 1;

CREATE TABLE ${s}.events (
  position bigint NOT NULL PRIMARY KEY,
  time float8 NOT NULL,
  version int NOT NULL,
  hops int NOT NULL,
  id text COLLATE "C" NOT NULL,
  type text COLLATE "C" NOT NULL,
  source text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL,
  correlation_id text COLLATE "C" NOT NULL,
  causation_id text COLLATE "C",
  reaction text COLLATE "C",
  traceparent text COLLATE "C",
  tracestate text COLLATE "C",
  data text COLLATE "C" NOT NULL,
  extensions text COLLATE "C"
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.05);
CREATE UNIQUE INDEX events_id ON ${s}.events (id);
CREATE INDEX events_correlation ON ${s}.events (correlation_id);
CREATE INDEX events_key ON ${s}.events (key);

CREATE TABLE ${s}.trimmed (
  id text COLLATE "C" NOT NULL PRIMARY KEY,
  time float8 NOT NULL
);

CREATE TABLE ${s}.records (
  partition int NOT NULL,
  seq float8 NOT NULL,
  due float8,
  expires float8,
  scope text COLLATE "C" NOT NULL,
  kind text COLLATE "C" NOT NULL,
  id text COLLATE "C" NOT NULL,
  lane text COLLATE "C",
  body text COLLATE "C" NOT NULL,
  PRIMARY KEY (scope, kind, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500);
CREATE INDEX records_due ON ${s}.records (scope, kind, due, id) WHERE due IS NOT NULL;
CREATE INDEX records_lane ON ${s}.records (scope, kind, lane, seq, id) WHERE lane IS NOT NULL;

CREATE TABLE ${s}.leases (
  reader text COLLATE "C" NOT NULL,
  partition int NOT NULL,
  epoch bigint NOT NULL,
  position bigint NOT NULL,
  owner text COLLATE "C",
  PRIMARY KEY (reader, partition)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

CREATE TABLE ${s}.members (
  reader text COLLATE "C" NOT NULL,
  owner text COLLATE "C" NOT NULL,
  until float8 NOT NULL,
  leaving boolean NOT NULL,
  PRIMARY KEY (reader, owner)
) WITH (fillfactor = 20, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
`
}

/**
 * Keys come in no order. In one index over all of them every event changes a page of its own, somewhere in a tree that grows
 * with the history, and after each checkpoint the whole page goes into the WAL. So there is one for each 8,192 events,
 * in effect, and only the last of them is written to. Who looks for a key looks into each.
 */
export const chunkBits = 13

/** Version 2. */
export const chunkedKeysSql = ({ quoted: s }: SchemaNames): string => `
DROP INDEX ${s}.events_key;
CREATE INDEX events_chunk_key ON ${s}.events ((position >> ${chunkBits}), key);
`
