/** Several processes on one ledger: they share the work, replace a dead one, and a sleeper that wakes up commits nothing. */
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { service, silentLogger, sleep, start, systemEnv, type App } from 'quadrille'
import { postgres } from '@quadrille/postgres'
import { onServer, randomName, serverMissing, serverUrl } from './database.ts'
import { Answered, Asked, deadlyId, type MemberOptions } from './member.ts'

const skip = await serverMissing()
const leaseMs = 2_000
/** After the end of its lease, what a process held is somebody else's within this. */
const takeoverMs = 2_000
const waitMs = 30_000

/** A member in a process of its own. */
class Member {
  readonly lines: string[] = []
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown>
  readonly #wakes = new Set<() => void>()

  constructor(options: MemberOptions) {
    const path = fileURLToPath(new URL('member.ts', import.meta.url))
    const args = ['--conditions=quadrille-source', path, JSON.stringify(options)]
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    this.#exited = new Promise((resolve) => this.#child.once('exit', resolve))
    createInterface({ input: this.#child.stdout! }).on('line', (line) => {
      this.lines.push(line)
      for (const wake of this.#wakes) wake()
    })
  }

  get held(): number {
    return Number(this.lines.findLast((line) => line.startsWith('held'))?.slice(5) ?? 0)
  }

  /** Resolves when `condition` holds for what it has told. */
  async until(condition: (lines: readonly string[]) => boolean, what: string): Promise<void> {
    const endsAt = systemEnv.elapsed() + waitMs
    while (!condition(this.lines)) {
      assert.ok(systemEnv.elapsed() < endsAt, `${what}: ${this.lines.slice(-5).join(', ')}`)
      await new Promise<void>((resolve) => {
        const cancel = systemEnv.timer(200, resolve)
        this.#wakes.add(() => (cancel(), resolve()))
      })
    }
  }

  /** Resolves when the process is gone. */
  get exited(): Promise<unknown> {
    return this.#exited
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async end(signal: NodeJS.Signals = 'SIGKILL'): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    this.#child.kill('SIGCONT')
    this.#child.kill(signal)
    await this.#exited
  }
}

describe('several processes', { skip, concurrency: false }, () => {
  let schema: string
  let app: App
  let members: Member[]

  const member = async (name: string, shiftMs = 0): Promise<Member> => {
    const made = new Member({ url: serverUrl, schema, name, shiftMs })
    members.push(made)
    await made.until((lines) => lines.includes('ready'), `${name} is ready`)
    return made
  }
  const ask = (...ids: readonly string[]) => app.publish(ids.map((id) => Asked({ id })))
  const done = () =>
    onServer(async (client) => {
      const { rows } = await client.query<{ id: string; member: string }>(
        `SELECT id, member FROM "${schema}_user".done`,
      )
      const hot = await client.query<{ n: number }>(`SELECT n FROM "${schema}_user".hot`)
      return { rows, hot: hot.rows[0]!.n }
    })
  const allDone = async (count: number): Promise<Awaited<ReturnType<typeof done>>> => {
    const endsAt = systemEnv.elapsed() + waitMs
    for (;;) {
      const found = await done()
      if (found.rows.length >= count) return found
      assert.ok(systemEnv.elapsed() < endsAt, `${found.rows.length} of ${count} are done`)
      await sleep(systemEnv, 20)
    }
  }

  const setUp = async () => {
    schema = randomName()
    members = []
    await onServer((client) =>
      client.query(`CREATE SCHEMA "${schema}_user"; CREATE TABLE "${schema}_user".done (id text, member text);
        CREATE TABLE "${schema}_user".hot (n int); INSERT INTO "${schema}_user".hot VALUES (0)`),
    )
    // Publishes, and handles nothing itself.
    const watching = service('watching').on(Answered, () => {})
    app = await start({ services: [watching], ledger: postgres(serverUrl, { schema }), log: silentLogger })
  }
  const tearDown = async () => {
    for (const each of members) await each.end()
    await app.stop()
    await onServer((client) => client.query(`DROP SCHEMA "${schema}" CASCADE; DROP SCHEMA "${schema}_user" CASCADE`))
  }
  before(setUp)
  after(tearDown)
  const anew = async () => {
    await tearDown()
    await setUp()
  }

  it('spread the partitions evenly as they come and go', async () => {
    const [a, b, c] = [await member('a'), await member('b'), await member('c')]
    const spread = async (expected: readonly number[], ...of: readonly Member[]) => {
      for (const each of of)
        await each.until(() => of.every((one) => one.held > 0 && one.held <= expected[0]!), 'spread')
      const endsAt = systemEnv.elapsed() + waitMs
      const held = () => of.map((each) => each.held).toSorted((x, y) => y - x)
      while (String(held()) !== String(expected)) {
        assert.ok(systemEnv.elapsed() < endsAt, `held ${String(held())}`)
        await sleep(systemEnv, 20)
      }
    }
    await spread([6, 6, 4], a, b, c)
    await b.end('SIGTERM')
    await spread([8, 8], a, c)
    await c.end()
    await spread([16], a)
  })

  it('take over from one that was killed within 2 s of the end of its lease, and nothing is lost or doubled', async () => {
    await anew()
    const [a, b] = [await member('a'), await member('b')]
    await a.until(() => a.held === 8 && b.held === 8, 'they share')
    const ids = Array.from({ length: 400 }, (_, n) => `id-${n}`)
    await ask(...ids.slice(0, 200))
    await allDone(50)
    await a.end()
    const killedAt = systemEnv.elapsed()
    await b.until(() => b.held === 16, 'it takes over')
    const tookMs = systemEnv.elapsed() - killedAt
    await ask(...ids.slice(200))
    const { rows, hot } = await allDone(ids.length)
    assert.deepEqual(rows.map(({ id }) => id).sort(), ids.toSorted())
    assert.equal(hot, ids.length)
    assert.ok(tookMs < leaseMs + takeoverMs, `${Math.round(tookMs)} ms`)
  })

  it('go on although one fell asleep in a transaction that holds a row which all need, and it commits nothing', async () => {
    await anew()
    const sleeper = await member('first')
    await sleeper.until(() => sleeper.held === 16, 'it has all')
    await ask('slow-1')
    await sleeper.until((lines) => lines.includes('inside slow-1'), 'it is in the handler')
    sleeper.signal('SIGSTOP')
    const stoppedAt = systemEnv.elapsed()
    await member('heir')
    await ask('quick-1', 'quick-2')
    const before = await allDone(3)
    const tookMs = systemEnv.elapsed() - stoppedAt
    assert.deepEqual(
      before.rows.map((row) => row.member),
      ['heir', 'heir', 'heir'],
    )
    assert.ok(tookMs < leaseMs + takeoverMs, `${Math.round(tookMs)} ms`)
    sleeper.signal('SIGCONT')
    // It is well again when it gets partitions back, and has had every chance to commit what it had.
    await sleeper.until((lines) => lines.slice(lines.indexOf('inside slow-1')).includes('held 8'), 'it is well again')
    const { rows, hot } = await done()
    assert.deepEqual([rows.length, hot], [3, 3])
    const page = await app.ledger.read({ after: 0, limit: 100, types: ['answered'] })
    assert.equal(page.events.length, 3)
  })

  it('find an event whose schema kills them, and all others are handled once', async () => {
    await anew()
    // The service is known to the ledger before the first event, and its partitions are given back.
    await (await member('first')).end('SIGTERM')
    const ids = Array.from({ length: 30 }, (_, n) => `id-${n}`)
    await ask(...ids.slice(0, 7), deadlyId, ...ids.slice(7))
    let deaths = 0
    let ended = false
    const supervised = (async () => {
      while (!ended) {
        const one = new Member({ url: serverUrl, schema, name: `life ${deaths}`, shiftMs: 0, lease: 300 })
        members.push(one)
        await one.exited
        if (!ended) deaths += 1
      }
    })()
    try {
      await allDone(ids.length)
      const letters = () => app.ledger.query({ scope: 'answering', kind: 'dead', limit: 10 })
      const endsAt = systemEnv.elapsed() + waitMs
      while ((await letters()).length === 0) {
        assert.ok(systemEnv.elapsed() < endsAt, `no dead letter after ${deaths} deaths`)
        await sleep(systemEnv, 20)
      }
      const [letter] = (await letters()).map(({ body }) => JSON.parse(body) as { code: string; event: { key: string } })
      assert.deepEqual([letter?.code, letter?.event.key], ['PROCESS_DIED', deadlyId])
    } finally {
      ended = true
      await members.at(-1)!.end()
      await supervised
    }
    // Two until what is looked at is marked; with 30 others, with six others, and alone, once for each attempt.
    assert.ok(deaths >= 2 + 3 && deaths <= 2 + 4 + 3, `${deaths} deaths`)
    const { rows, hot } = await done()
    assert.deepEqual(rows.map(({ id }) => id).sort(), ids.toSorted())
    assert.equal(hot, ids.length)
  })

  it('do not mind that their clocks are ten minutes apart', async () => {
    await anew()
    const fiveMinutesMs = 300_000
    const [fast, slow] = [await member('fast', fiveMinutesMs), await member('slow', -fiveMinutesMs)]
    await fast.until(() => fast.held === 8 && slow.held === 8, 'they share')
    const told = fast.lines.length + slow.lines.length
    const ids = Array.from({ length: 100 }, (_, n) => `id-${n}`)
    for (let from = 0; from < ids.length; from += 20) {
      await ask(...ids.slice(from, from + 20))
      await allDone(from + 20)
      // Longer than a lease in all, so that each has renewed several times.
      await sleep(systemEnv, 600)
    }
    const { rows, hot } = await done()
    assert.deepEqual(rows.map(({ id }) => id).sort(), ids.toSorted())
    assert.equal(hot, ids.length)
    assert.deepEqual(new Set(rows.map((row) => row.member)), new Set(['fast', 'slow']))
    const moves = [...fast.lines, ...slow.lines].filter((line) => line.startsWith('held')).length
    assert.ok(told > 0 && [fast.held, slow.held].every((held) => held === 8), `${moves} moves of leases`)
  })
})
