/** Ledgers of several processes, joined by NATS alone; any of them and the server are killed again and again (kill -9). */
import assert from 'node:assert/strict'
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { realBroker } from '@quadrille/brokers'
import type { MemberOptions } from './kill-member.ts'

const server = realBroker('nats')
const [keys, to] = [12, 400]
const killsMin = 10
const limit = { timeout: 150_000, skip: server.skip }

test(
  'nothing is lost, doubled or turned round when processes and the server are killed at random',
  limit,
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'quadrille-kill-'))
    const broker = await server.start()
    const children = new Set<ChildProcess>()
    t.after(async () => {
      for (const child of children) child.kill('SIGKILL')
      await broker.stop()
      await rm(folder, { recursive: true, force: true })
    })
    const heardFile = join(folder, 'hears.db')
    const shared = { servers: broker.url, stream: 'KILL', keys, to }
    const optionsOf = (role: MemberOptions['role']): MemberOptions => ({
      ...shared,
      role,
      ledger: role === 'hears' ? heardFile : join(folder, 'counts.db'),
    })
    let counted = false
    const startMember = async (role: MemberOptions['role']): Promise<ChildProcess> => {
      for (;;) {
        const child = fork(new URL('./kill-member.ts', import.meta.url), [JSON.stringify(optionsOf(role))], {
          execArgv: ['--conditions=quadrille-source'],
          silent: true,
        })
        children.add(child)
        child.on('exit', () => children.delete(child))
        child.on('message', (message) => (counted ||= message === 'counted'))
        const [first] = (await Promise.race([once(child, 'message'), once(child, 'exit')])) as [unknown]
        if (first === 'ready') return child
      }
    }
    const roles = ['counts', 'counts', 'hears', 'hears'] as const
    const members = await Promise.all(roles.map(startMember))
    let kills = 0
    while (!counted || kills < killsMin) {
      await sleep(100 + Math.random() * 500)
      kills += 1
      if (kills % 5 === 0) {
        await broker.kill()
        await sleep(Math.random() * 500)
        await broker.restart()
        continue
      }
      const place = Math.floor(Math.random() * roles.length)
      members[place]!.kill('SIGKILL')
      members[place] = await startMember(roles[place]!)
    }
    const heard = () => {
      const db = new DatabaseSync(heardFile, { readOnly: true })
      try {
        return db.prepare('SELECT key, n FROM heard ORDER BY seq').all() as { key: string; n: number }[]
      } finally {
        db.close()
      }
    }
    const endsAt = Date.now() + 60_000
    while (heard().length < keys * to && Date.now() < endsAt) await sleep(200)
    const rows = heard()
    const distinct = new Set(rows.map(({ key, n }) => `${key} ${n}`)).size
    let inversions = 0
    for (const list of Map.groupBy(rows, ({ key }) => key).values())
      list.forEach(({ n }, index) => (inversions += index > 0 && n < list[index - 1]!.n ? 1 : 0))
    const counts = { lost: keys * to - distinct, doubled: rows.length - distinct, inversions }
    t.diagnostic(`${kills} kills, ${rows.length} events: ${JSON.stringify(counts)}`)
    assert.deepEqual(counts, { lost: 0, doubled: 0, inversions: 0 })
  },
)
