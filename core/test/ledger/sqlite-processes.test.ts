/** Several processes on one file: nothing is lost, nobody starves, and a kill at any instant leaves nothing half done. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { DatabaseSync } from 'node:sqlite'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { sqlite } from 'quadrille/sqlite'
import { sleep, systemEnv } from '../../src/base/index.ts'
import { readAll } from '../../src/ledger/conformance/expectation.ts'
import type { MixedReport } from './sqlite-member.ts'
import { temporaryFolder } from './sqlite-harness.ts'

const member = fileURLToPath(new URL('sqlite-member.ts', import.meta.url))
const mixedMs = 3_000
const kills = 20

interface Member {
  readonly child: ChildProcess
  readonly lines: string[]
  /** Resolves with the next line. */
  readonly line: () => Promise<string>
  readonly exited: Promise<unknown>
}

function start(...args: string[]): Member {
  const child = spawn(process.execPath, ['--conditions=quadrille-source', member, ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const lines: string[] = []
  const waiting: ((line: string) => void)[] = []
  let handed = 0
  createInterface({ input: child.stdout! }).on('line', (line) => {
    lines.push(line)
    const next = waiting.shift()
    if (next) {
      handed += 1
      next(line)
    }
  })
  return {
    child,
    lines,
    exited: once(child, 'close'),
    line: () =>
      handed < lines.length ? Promise.resolve(lines[handed++]!) : new Promise((resolve) => waiting.push(resolve)),
  }
}

async function withFile(test: (path: string) => Promise<void>): Promise<void> {
  const folder = temporaryFolder()
  try {
    await test(`${folder.path}/ledger.db`)
  } finally {
    folder.remove()
  }
}

async function fourProcesses(path: string, context: TestContext): Promise<void> {
  const members = ['a', 'b', 'c', 'd'].map((name) => start('mixed', path, name, String(mixedMs)))
  for (const { line } of members) assert.equal(await line(), 'written')
  for (const { child } of members) child.stdin!.write('read\n')
  const reports: MixedReport[] = []
  for (const { line, exited } of members) {
    reports.push(JSON.parse(await line()) as MixedReport)
    assert.deepEqual(await exited, [0, null], 'it ends well')
  }
  const total = reports.reduce((sum, report) => sum + report.appended, 0)
  for (const report of reports) {
    const { appended, stallMs, walBytesMax, lostLeases } = report
    context.diagnostic(
      `appended ${appended}, stall p99 ${stallMs.p99.toFixed(0)} ms, max ${stallMs.max.toFixed(0)} ms, ` +
        `WAL ${(walBytesMax / 1e6).toFixed(1)} MB, leases lost ${lostLeases}`,
    )
    assert.deepEqual(report.failures, [], 'no error comes out')
    assert.equal(report.seen, total, 'everyone sees every committed event')
    assert.deepEqual([report.seenTwice, report.outOfOrder], [0, 0], 'once, and in the order of its key')
    assert.ok(appended > 0, 'nobody starves')
    assert.ok(walBytesMax < 64 * 1024 * 1024, 'the WAL stays small')
  }
  const ledger = sqlite(path)
  await ledger.open(systemEnv)
  assert.equal((await readAll(ledger, { limit: 10_000 })).events.length, total)
  await ledger.close()
}

/** Which transactions left their events, record and row, each with how many of the five parts. */
function partsIn(path: string): Map<string, number> {
  const db = new DatabaseSync(path)
  const parts = new Map<string, number>()
  const queries = [
    'SELECT correlation_id AS id FROM quadrille_events',
    'SELECT id FROM quadrille_records',
    'SELECT id FROM user_rows',
  ]
  for (const sql of queries) {
    for (const { id } of db.prepare(sql).all()) parts.set(String(id), (parts.get(String(id)) ?? 0) + 1)
  }
  assert.equal(db.prepare('PRAGMA integrity_check').get()?.['integrity_check'], 'ok')
  db.close()
  return parts
}

async function killed(path: string, context: TestContext): Promise<void> {
  const db = new DatabaseSync(path)
  db.exec('CREATE TABLE user_rows (id TEXT NOT NULL PRIMARY KEY)')
  db.close()
  const acknowledged: string[] = []
  for (let round = 0; round < kills; round += 2) {
    const members = [round, round + 1].map((n) => start('append', path, `m${n}`))
    await Promise.all(members.map((each) => each.line()))
    for (const { child, exited, lines } of members) {
      await sleep(systemEnv, systemEnv.random() * 60)
      child.kill('SIGKILL')
      await exited
      acknowledged.push(...lines)
    }
  }
  const parts = partsIn(path)
  context.diagnostic(`${acknowledged.length} acknowledged, ${parts.size} committed`)
  assert.deepEqual(
    acknowledged.filter((id) => !parts.has(id)),
    [],
    'what was acknowledged is there',
  )
  assert.deepEqual(
    [...parts].filter(([, count]) => count !== 5),
    [],
    'nothing is half done',
  )
}

describe('several processes', () => {
  it('share one file under load', async (context) => {
    await withFile((path) => fourProcesses(path, context))
  })

  it('can be killed at any instant', async (context) => {
    await withFile((path) => killed(path, context))
  })
})
