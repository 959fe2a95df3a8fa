/** Places for tests on the real server: schemas with random names, removed afterwards. */
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { isQuadrilleError, messageOf, sleep, systemEnv, type Ledger, type NewEvent, type TxHandle } from 'quadrille'
import type { LedgerHarness, LedgerPlace } from 'quadrille/conformance'
import { postgres, type PostgresHandle, type PostgresOptions } from '@quadrille/postgres'

/** Where the tests find a server on which they may create schemas and databases. */
export const serverUrl = process.env['QUADRILLE_TEST_POSTGRES'] ?? 'postgres://postgres@127.0.0.1:5432/postgres'

/** The server, where transactions have another level of isolation unless they say what they want. */
export function atLevel(level: 'repeatable read' | 'serializable'): string {
  const url = new URL(serverUrl)
  url.searchParams.set('options', `-c default_transaction_isolation=${level.replace(' ', '\\ ')}`)
  return url.href
}

/** True for what the runtime would run again. */
export const hasCollided = (ledger: Ledger, error: unknown): boolean =>
  ledger.isConflict(error) || isQuadrilleError(error, 'LEDGER_CONFLICT')

/** A schema name that nobody else uses. */
export const randomName = (): string => `quadrille_test_${randomUUID().replaceAll('-', '').slice(0, 16)}`

/** Waits for a fact, and fails with `what` when it does not come. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  withinMs = 20_000,
): Promise<void> {
  const endsAt = systemEnv.elapsed() + withinMs
  while (!(await condition())) {
    assert.ok(systemEnv.elapsed() < endsAt, what)
    await sleep(systemEnv, 20)
  }
}

/** Runs SQL over a connection of its own. */
export async function onServer<T>(work: (client: pg.Client) => Promise<T>, url = serverUrl): Promise<T> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

let answer: Promise<string | false> | undefined

/**
 * False when the server answers, else why tests that need it are skipped. In CI its absence is a failure.
 */
export function serverMissing(): Promise<string | false> {
  answer ??= onServer(async () => false as const).catch((error: unknown) => {
    if (process.env['CI'] === 'true') throw error
    return `no PostgreSQL at ${serverUrl}: ${messageOf(error)}`
  })
  return answer
}

/** Ledgers in schemas of their own. */
export function postgresHarness(options: PostgresOptions = {}, url = serverUrl): LedgerHarness {
  return {
    name: `postgres ${JSON.stringify(options)}`,
    async create(): Promise<LedgerPlace> {
      const schema = randomName()
      const table = `"${schema}_user".user_rows`
      await onServer(async (client) => {
        await client.query(`CREATE SCHEMA "${schema}_user"; CREATE TABLE ${table} (id text PRIMARY KEY)`)
      }, url)
      return {
        connect: () => postgres(url, { ...options, schema }),
        env: systemEnv,
        advance: (ms) => sleep(systemEnv, ms),
        rows: {
          async put(handle: TxHandle, id: string) {
            await (handle.native as PostgresHandle).query(`INSERT INTO ${table} (id) VALUES ($1)`, [id])
          },
          all: () =>
            onServer(async (client) => {
              const { rows } = await client.query<{ id: string }>(`SELECT id FROM ${table} ORDER BY id`)
              return rows.map((row) => row.id)
            }, url),
        },
        remove: () =>
          onServer(async (client) => {
            await client.query(`DROP SCHEMA IF EXISTS "${schema}" CASCADE; DROP SCHEMA "${schema}_user" CASCADE`)
          }, url),
      }
    },
  }
}

/** An event with this id; the rest as given, or plain. */
export function newEvent(id: string, fields: Partial<NewEvent> = {}): NewEvent {
  return {
    id,
    type: 'thing.happened',
    version: 1,
    source: 'test',
    key: 'key-1',
    correlationId: id,
    causationId: null,
    reaction: null,
    hops: 0,
    time: systemEnv.now(),
    traceparent: null,
    tracestate: null,
    data: `{"id":"${id}"}`,
    extensions: null,
    ...fields,
  }
}
