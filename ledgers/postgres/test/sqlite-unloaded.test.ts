/** Whoever has a server does not load SQLite. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { it } from 'node:test'

it('a program on PostgreSQL does not load node:sqlite', () => {
  const program = `
    await import('quadrille')
    await import('@quadrille/postgres')
    await import('@quadrille/kysely')
    await import('@quadrille/drizzle')
    const loaded = () => process.moduleLoadList.some((name) => /sqlite/.test(name))
    const before = loaded()
    await import('quadrille/sqlite')
    console.log(before, loaded())`
  const args = ['--conditions=quadrille-source', '--input-type=module', '--eval', program]
  assert.equal(execFileSync(process.execPath, args, { encoding: 'utf8', stdio: 'pipe' }).trim(), 'false true')
})
