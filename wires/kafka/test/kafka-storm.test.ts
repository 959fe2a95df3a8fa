/** Processes of a service come, go, die and fall asleep while events flow: nothing is lost, nothing turned round. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { it } from 'node:test'
import { Admin } from '@platformatic/kafka'
import { realBroker } from '@quadrille/brokers'
import { silentLogger, systemEnv, type EventRecord } from 'quadrille'
import { kafka } from '../src/index.ts'
import { eventOf, outgoing, until } from './events.ts'

const real = realBroker('kafka')
const [type, service] = ['storm.blew', 'storm']
const [keys, partitions, blows, aBlow] = [40, 6, 24, 60]

interface Taken {
  readonly id: string
  readonly key: string
  readonly n: number
}

/** Follows the committed offsets of the group, and keeps every step back. */
async function watchOffsets(brokers: string, over: AbortSignal): Promise<readonly string[]> {
  const admin = new Admin({ clientId: 'watch', bootstrapBrokers: [brokers] })
  const highest = new Map<number, bigint>()
  const steps: string[] = []
  while (!over.aborted) {
    const groups = await admin.listConsumerGroupOffsets({ groups: [service] }).catch(() => [])
    for (const { partitionIndex, committedOffset } of groups.flatMap(({ topics }) =>
      topics.flatMap((t) => t.partitions),
    )) {
      const before = highest.get(partitionIndex) ?? -1n
      if (committedOffset < before) steps.push(`partition ${partitionIndex}: ${before} -> ${committedOffset}`)
      highest.set(partitionIndex, committedOffset)
    }
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  await admin.close()
  assert.equal(highest.size, partitions, 'it has seen every partition')
  return steps
}

it('a storm of rebalances loses nothing, keeps the order of keys, and never commits backwards', real, async () => {
  const broker = await real.start({ settings: ['group.min.session.timeout.ms=1000'] })
  const folder = mkdtempSync(join(tmpdir(), 'quadrille-storm-'))
  const file = join(folder, 'taken.db')
  const table = new DatabaseSync(file, { timeout: 10_000 })
  table.exec('pragma journal_mode = wal; create table taken (id text unique, key text, n integer)')
  const living: ChildProcess[] = []
  const start = async (): Promise<ChildProcess> => {
    const args = ['--conditions=quadrille-source', join(import.meta.dirname, 'storm-member.ts')]
    const child = spawn(process.execPath, [...args, broker.url, file, type, service], { stdio: ['ignore', 'pipe', 2] })
    living.push(child)
    await once(child.stdout!, 'data')
    return child
  }
  const end = async (signal: NodeJS.Signals): Promise<void> => {
    const child = living.shift()!
    child.kill('SIGCONT')
    child.kill(signal)
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
  }
  const over = new AbortController()
  const wire = kafka({ brokers: [broker.url], topics: { partitions } })
  try {
    await wire.open({ env: systemEnv, log: silentLogger, sends: [type], notice: () => {} })
    await Promise.all([start(), start()])
    const watching = watchOffsets(broker.url, over.signal)
    const sent: EventRecord[] = []
    const happenings = ['join', 'SIGTERM', 'join', 'SIGSTOP', 'SIGKILL', 'join', 'SIGCONT', 'SIGTERM'] as const
    for (let blow = 0; blow < blows; blow++) {
      const events = Array.from({ length: aBlow }, (_, at) => {
        const n = sent.length + at
        return eventOf(type, `key-${(n * 7) % keys}`, { n })
      })
      sent.push(...events)
      assert.deepEqual(new Set(await wire.send(events.map(outgoing))), new Set([null]))
      const happening = happenings[blow % happenings.length]!
      if (happening === 'join') void start()
      else if (living.length > 2 && (happening === 'SIGTERM' || happening === 'SIGKILL')) await end(happening)
      else if (happening === 'SIGSTOP') living[0]?.kill('SIGSTOP')
      else if (happening === 'SIGCONT') for (const child of living) child.kill('SIGCONT')
      await new Promise((resolve) => setTimeout(resolve, 300))
    }
    for (const child of living) child.kill('SIGCONT')
    const count = () => (table.prepare('select count(*) as n from taken').get() as { n: number }).n
    await until(() => count() === sent.length, `all ${sent.length} events, have ${count()}`, 90_000)
    const rows = table.prepare('select id, key, n from taken order by rowid').all() as unknown as Taken[]
    for (const [key, taken] of Map.groupBy(rows, (row) => row.key)) {
      const wanted = sent.filter((event) => event.key === key).map(({ id }) => id)
      assert.deepEqual(
        taken.map(({ id }) => id),
        wanted,
        `order of ${key}`,
      )
    }
    over.abort()
    assert.deepEqual(await watching, [])
  } finally {
    over.abort()
    for (const child of living) child.kill('SIGKILL')
    await wire.close()
    await broker.stop()
    table.close()
    rmSync(folder, { recursive: true, force: true })
  }
})
