/** A release of a receiving service: processes of the old and of the new version run at the same time, on one ledger. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { event, service, silentLogger, start, type AnyPattern, type AnyService, type App, type Wire } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import * as z from 'zod'
import type { Broker, RealBroker } from './index.ts'
import { until } from './wire-load.ts'

const schema = z.object({ key: z.string() })
const Old = event('release.old', { key: 'key', schema })
const Added = event('release.added', { key: 'key', schema })
const count = 200
const keys = Array.from({ length: count }, (_, n) => `key-${n}`)

/** What happens to the old process while the new one runs. */
export const releases = ['the old process goes on', 'the old process is started again'] as const

/** The new version starts beside the old one; from then on it gets each event of a type that only it reacts to, once. */
export async function releaseLosesNothing(
  t: TestContext,
  { wire, what }: { readonly wire: () => Wire; readonly what: (typeof releases)[number] },
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'quadrille-release-'))
  const apps: App[] = []
  t.after(async () => {
    for (const app of apps) await app.stop()
    rmSync(folder, { recursive: true, force: true })
  })
  const run = async (file: string, of: AnyService, sends: readonly AnyPattern[]): Promise<App> => {
    const ledger = sqlite(join(folder, file), { synchronous: 'NORMAL' })
    const receives = sends.length > 0 ? { receives: [] } : {}
    const wires = [{ wire: wire(), sends, ...receives }]
    const app = await start({ services: [of], ledger, wires, log: silentLogger, lease: '1s', poll: '100ms' })
    apps.push(app)
    return app
  }
  const [old, added]: [string[], string[]] = [[], []]
  const mail = () => service('mail').on(Old, { name: 'old' }, ({ key }) => void old.push(key))
  const source = service('source')
  // What receives comes first: a subscription that is not there yet keeps nothing.
  const first = await run('mail.db', mail(), [])
  const sender = await run('source.db', source, [Old, Added])
  await sender.transact(source, () => Old({ key: 'before' }))
  await until(() => old.length === 1, 'the old version receives')
  const young = await run(
    'mail.db',
    mail().on(Added, { name: 'added' }, ({ key }) => void added.push(key)),
    [],
  )
  if (what === 'the old process is started again') {
    await first.stop()
    await run('mail.db', mail(), [])
  }
  for (const key of keys) await sender.transact(source, () => [Old({ key }), Added({ key })])
  await until(() => added.length >= count && old.length > count, 'all of it is handled').catch(() => {})
  await young.quiet()
  const once = (heard: readonly string[]) => ({ heard: heard.length, different: new Set(heard).size })
  assert.deepEqual(once(added), { heard: count, different: count }, 'events of the added type')
  assert.deepEqual(once(old), { heard: count + 1, different: count + 1 }, 'events of the known type')
  assert.deepEqual(await young.deadLetters.list(), [])
}

/** Tries each of {@link releases} over a real broker that is shared, in a place of its own. */
export function testReleases(
  server: RealBroker,
  placeOn: (broker: Broker) => Promise<{ connect(): Wire; remove(): Promise<void> }>,
): void {
  const limit = { timeout: 240_000, skip: server.skip }
  for (const what of releases)
    test(`a release loses nothing that only the new version receives; ${what}`, limit, async (t) => {
      const broker = await server.borrow()
      const place = await placeOn(broker)
      t.after(async () => {
        await place.remove()
        await broker.stop()
      })
      await releaseLosesNothing(t, { wire: () => place.connect(), what })
    })
}
