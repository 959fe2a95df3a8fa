/** What the runtime's tests share: small contracts, a table that counts effects, ledgers that survive a restart. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import * as z from 'zod'
import { event, type AnyService, type App, type Service } from 'quadrille'
import { nodeSqlite, sqlite, type SqliteHandle, type SqliteRow } from 'quadrille/sqlite'
import { world, type World, type WorldOptions } from 'quadrille/testing'

export const schema = z.object({ id: z.string(), note: z.string().optional(), n: z.number().default(0) })
export const Asked = event('asked', { key: 'id', schema })
export const Answered = event('answered', { key: 'id', schema })
export const Cancelled = event('cancelled', { key: 'id', schema })
export const Undone = event('undone', { key: 'id', schema })

/** How handlers of these tests get the transaction. */
export const db = nodeSqlite()

/** Counts an effect in a row, in the handler's own transaction; the table is made by {@link effectTable}. */
export function effect(handle: SqliteHandle, name: string): void {
  handle
    .prepare('INSERT INTO effects (name, times) VALUES (?, 1) ON CONFLICT (name) DO UPDATE SET times = times + 1')
    .run(name)
}

/** Makes the table in which {@link effect} counts. */
export async function effectTable(app: App, service: Service<SqliteHandle>): Promise<void> {
  await app.transact(service, (context) =>
    context.db.exec('CREATE TABLE IF NOT EXISTS effects (name TEXT PRIMARY KEY, times INTEGER NOT NULL)'),
  )
}

/** The rows of a query on the service's database, as the next transaction sees them. */
export async function rows(app: App, service: Service<SqliteHandle>, sql: string): Promise<readonly SqliteRow[]> {
  let found: readonly SqliteRow[] = []
  await app.transact(service, (context) => {
    found = context.db.prepare(sql).all()
  })
  return found
}

/** Effects by name with how often they happened. */
export async function effects(app: App, service: Service<SqliteHandle>): Promise<Record<string, number>> {
  const found = await rows(app, service, 'SELECT name, times FROM effects ORDER BY name')
  return Object.fromEntries(found.map((row) => [String(row['name']), Number(row['times'])]))
}

/** A path for a ledger that survives its app, removed when the test ends. */
export function ledgerFile(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'quadrille-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'ledger.db')
}

/** A world in which errors are retried as in production. */
export const lenientWorld = (services: Parameters<typeof world>[0], options: WorldOptions = {}): Promise<World> =>
  world(services, { errors: 'keep', ...options })

/** The same, with the table of the first service's effects. */
export async function effectWorld(
  services: readonly [Service<SqliteHandle>, ...AnyService[]],
  options: WorldOptions = {},
): Promise<World> {
  const made = await lenientWorld(services, options)
  await effectTable(made.app, services[0])
  return made
}

let starts = 0

/** A world on a file, as a process that was started later would see it; its ids are not those of an earlier one. */
export const fileWorld = (path: string, services: Parameters<typeof world>[0], more: WorldOptions = {}) =>
  lenientWorld(services, { ledger: sqlite(path, { synchronous: 'NORMAL' }), seed: (starts += 1), ...more })

/** A promise with its own `resolve`: what a test holds back, or waits for. */
export function gate<T = void>(): { readonly promise: Promise<T>; readonly open: (value: T) => void } {
  const { promise, resolve } = Promise.withResolvers<T>()
  return { promise, open: resolve }
}
