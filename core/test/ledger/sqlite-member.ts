/**
 * A process that works on a ledger file, started by the tests. Modes:
 * `mixed <path> <name> <ms>`: writes for so long, in small and batched transactions, some of which roll back, while it
 * leases and follows the log; prints `written`, waits for a line, reads to the end and prints what it saw as JSON.
 * `append <path> <name>`: appends three events, a record and a row in one transaction, again and again, and prints the
 * number of each one after it has committed.
 */
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { nodeSqlite, sqlite } from 'quadrille/sqlite'
import { isQuadrilleError, systemEnv } from '../../src/base/index.ts'
import { newEvent, newRecord } from '../../src/ledger/conformance/expectation.ts'
import type { Ledger } from '../../src/ledger/ledger.ts'

const [mode, path, name, ms] = process.argv.slice(2) as [string, string, string, string]

class Wanted extends Error {}

/** What a `mixed` member tells at its end. */
export interface MixedReport {
  readonly appended: number
  readonly failures: readonly string[]
  readonly seen: number
  readonly seenTwice: number
  readonly outOfOrder: number
  readonly lostLeases: number
  readonly stallMs: { readonly p99: number; readonly max: number }
  readonly walBytesMax: number
}

async function mixed(ledger: Ledger): Promise<void> {
  const stall = monitorEventLoopDelay({ resolution: 5 })
  stall.enable()
  const until = systemEnv.elapsed() + Number(ms)
  const report = { appended: 0, failures: [] as string[], lostLeases: 0, walBytesMax: 0 }
  const caught = (error: unknown) => {
    if (error instanceof Wanted) return
    if (isQuadrilleError(error, 'LEASE_LOST')) report.lostLeases += 1
    else report.failures.push(String(error))
  }
  let number = 0
  const event = (key: string) => newEvent(`${name}-${String(++number).padStart(8, '0')}`, { key: `${name}/${key}` })
  const small = async (key: string) => {
    while (systemEnv.elapsed() < until) {
      const work = ledger.transact(async (tx) => {
        await tx.append([event(key)])
        if (systemEnv.random() < 0.1) throw new Wanted()
      })
      await work.then(() => (report.appended += 1), caught)
      if (key === 'slow') await new Promise<void>((done) => systemEnv.timer(5, done))
    }
  }
  const batches = async () => {
    while (systemEnv.elapsed() < until) {
      const grant = await ledger.lease({ reader: 'r', owner: name, leaseMs: 500 }).catch(caught)
      if (!grant) continue
      const give = grant.leases.slice(grant.fairShare).map((lease) => lease.partition)
      if (give.length > 0) await ledger.lease({ reader: 'r', owner: name, leaseMs: 500, release: give }).catch(caught)
      const kept = grant.leases.slice(0, grant.fairShare)
      const epochs = new Map(kept.map((lease) => [lease.partition, lease.epoch]))
      const work = ledger.transact(async (tx) => {
        await tx.hold({ reader: 'r', owner: name, epochs, position: number })
        await tx.append(Array.from({ length: 20 }, () => event('batch')))
        await tx.save([newRecord(`${name}-${number % 50}`, { due: number })])
        if (systemEnv.random() < 0.1) throw new Wanted()
      })
      await work.then(() => (report.appended += 20), caught)
      report.walBytesMax = Math.max(report.walBytesMax, statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0)
      await new Promise<void>((done) => systemEnv.timer(10, done))
    }
  }
  const seen = new Set<string>()
  const newest = new Map<string, string>()
  const counts = { seenTwice: 0, outOfOrder: 0 }
  let after = 0
  const follow = async () => {
    for (;;) {
      const page = await ledger.read({ after, limit: 200 })
      for (const { id, key } of page.events) {
        if (seen.has(id)) counts.seenTwice += 1
        if ((newest.get(key) ?? '') >= id) counts.outOfOrder += 1
        newest.set(key, id)
        seen.add(id)
      }
      after = page.upTo
      if (page.end) return
      await systemEnv.breathe()
    }
  }
  const following = async () => {
    while (systemEnv.elapsed() < until) {
      await follow().catch(caught)
      await new Promise<void>((done) => systemEnv.timer(10, done))
    }
  }
  await Promise.all([small('fast'), small('slow'), batches(), following()])
  stall.disable()
  process.stdout.write('written\n')
  await once(process.stdin, 'data')
  await follow().catch(caught)
  const stallMs = { p99: stall.percentile(99) / 1e6, max: stall.max / 1e6 }
  process.stdout.write(`${JSON.stringify({ ...report, ...counts, seen: seen.size, stallMs } satisfies MixedReport)}\n`)
}

async function appendForEver(ledger: Ledger): Promise<void> {
  const one = async (lane: number) => {
    for (let n = 0; ; n++) {
      const id = `${name}-${lane}-${n}`
      await ledger.transact(async (tx) => {
        await tx.append([newEvent(`${id}/1`, { correlationId: id }), newEvent(`${id}/2`, { correlationId: id })])
        nodeSqlite().open(tx.handle).prepare('INSERT INTO user_rows (id) VALUES (?)').run(id)
        if (n % 7 === 0) await systemEnv.breathe()
        await tx.save([newRecord(id)])
        await tx.append([newEvent(`${id}/3`, { correlationId: id })])
      })
      process.stdout.write(`${id}\n`)
    }
  }
  await Promise.all([0, 1, 2, 3].map(one))
}

if (mode !== undefined) {
  const ledger = sqlite(path)
  await ledger.open(systemEnv)
  await (mode === 'mixed' ? mixed(ledger) : appendForEver(ledger))
  await ledger.close()
  process.exit(0)
}
