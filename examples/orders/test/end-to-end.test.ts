/** The runs of README.md, as processes, the way people start them. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { test, type TestContext } from 'node:test'
import pg from 'pg'
import { realBroker } from '@quadrille/brokers'
import type { Summary } from '../src/running/summary.ts'
import type { OrderView } from '../src/order-view.ts'
import { wireKinds, type WireName } from '../src/running/wires.ts'

/** A run that takes longer hangs. */
const limit = { timeout: 120_000 }
const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

const start = (t: TestContext, ...args: string[]) => spawned(t, args, { detached: false })

/** Detached, it leads a process group of its own, with its children in it. */
function spawned(t: TestContext, args: readonly string[], { detached }: { readonly detached: boolean }) {
  const child = spawn(process.execPath, ['--conditions=quadrille-source', main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    detached,
  })
  t.after(() => child.kill('SIGKILL'))
  let out = ''
  let errors = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, out, errors }))
  return { child, ended, out: () => out }
}

async function summaryOf(t: TestContext, ...args: string[]): Promise<Summary> {
  const { code, out, errors } = await start(t, ...args).ended
  assert.equal(code, 0, `${out}${errors}`)
  assert.equal(out.trimEnd().split('\n').length, 1, out)
  return JSON.parse(out) as Summary
}

function assertRight(summary: Summary, orders: number): void {
  assert.partialDeepStrictEqual(summary, { orders, lost: 0, duplicates: 0, invariants: 'hold' })
  assert.equal(summary.completed + summary.cancelled, orders)
  assert.equal(summary.mails, summary.completed)
  assert.equal(summary.chargedMinor - summary.refundedMinor, summary.completedTotalMinor)
  assert.ok(summary.completed > 0 && summary.cancelled > 0, 'some complete and some do not')
}

test('a run ends by itself, and everything holds', limit, async (t) => {
  const summary = await summaryOf(t, '--once', '--json', '--orders', '60', '--seed', '7')
  assertRight(summary, 60)
  assert.ok(summary.repeatedCharges > 0, 'the provider has made trouble')
})

test('killed again and again in the middle of it, everything holds', limit, async (t) => {
  const summary = await summaryOf(t, '--once', '--json', '--chaos', '--orders', '120', '--seed', '7')
  assertRight(summary, 120)
  assert.ok(summary.kills >= 5, `${summary.kills} kills`)
})

test('each service in a process of its own on the same file: everything holds', limit, async (t) => {
  assertRight(await summaryOf(t, '--once', '--json', '--processes', '--orders', '60', '--seed', '7'), 60)
})

test('two processes of each service, any of them killed at any time: everything holds', limit, async (t) => {
  const summary = await summaryOf(
    t,
    '--once',
    '--json',
    '--processes',
    '2',
    '--chaos',
    '--orders',
    '120',
    '--seed',
    '7',
  )
  assertRight(summary, 120)
  assert.ok(summary.kills >= 5, `${summary.kills} kills`)
})

const overWire = (wire: WireName) => ({ timeout: 240_000, skip: realBroker(wireKinds[wire].broker).skip })

for (const wire of Object.keys(wireKinds) as WireName[]) {
  const { survivesKill } = wireKinds[wire]
  const killed = survivesKill ? 'any process and the broker' : 'any process'
  const name = `four ledgers joined by ${wire} alone, ${killed} killed at any time: everything holds`
  test(name, overWire(wire), async (t) => {
    const summary = await summaryOf(t, '--once', '--json', '--chaos', '--wire', wire, '--orders', '60', '--seed', '7')
    assertRight(summary, 60)
    assert.ok(summary.kills >= 5, `${summary.kills} kills`)
    assert.equal(summary.brokerKills >= 1, survivesKill, `${summary.brokerKills} kills of the broker`)
  })
}

const postgres = realBroker('postgres')
const onPostgres = { timeout: 240_000, skip: postgres.skip || realBroker('nats').skip }

test(
  'four databases on PostgreSQL joined by NATS alone, under kills: everything holds, and they are removed',
  onPostgres,
  async (t) => {
    const server = await postgres.start()
    t.after(() => server.stop())
    const what = ['--once', '--json', '--chaos', '--wire', 'nats', '--ledger', server.url]
    const summary = await summaryOf(t, ...what, '--orders', '60', '--seed', '7')
    assertRight(summary, 60)
    assert.ok(summary.kills >= 5, `${summary.kills} kills`)
    assert.ok(summary.brokerKills >= 1, `${summary.brokerKills} kills of the broker`)
    assert.deepEqual(await databasesOf(server.url), ['postgres'])
  },
)

test('a service by itself on PostgreSQL, over a wire, finds or makes its own database', onPostgres, async (t) => {
  const [server, broker] = await Promise.all([postgres.start(), realBroker('nats').start()])
  t.after(() => Promise.all([server.stop(), broker.stop()]))
  const where = ['--wire', 'nats', '--broker', broker.url, '--ledger', server.url]
  for (let times = 0; times < 2; times++) {
    const { child, ended, out } = start(t, '--service', 'inventory', ...where)
    while (!/inventory runs on/.test(out())) await once(child.stdout, 'data')
    child.kill('SIGTERM')
    assert.equal((await ended).code, 0)
  }
  const names = ['postgres', 'postgres_inventory', 'postgres_notifications', 'postgres_payments']
  assert.deepEqual(await databasesOf(server.url), names)
})

async function databasesOf(url: string): Promise<string[]> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  const { rows } = await client.query<{ datname: string }>('SELECT datname FROM pg_database WHERE NOT datistemplate')
  await client.end()
  return rows.map(({ datname }) => datname).sort()
}

test('over a wire the page still shows an order to its end', overWire('nats'), async (t) => {
  const { child, ended, out } = start(t, '--wire', 'nats', '--orders', '5', '--rate', '50')
  while (!/follow them at (http:\S+)/.test(out())) await once(child.stdout, 'data')
  const api = /follow them at (http:\S+)/.exec(out())![1]!
  const place = async (productId: string, quantity: number) => {
    const body = JSON.stringify({ customerId: 'ada', items: [{ productId, quantity }] })
    const { headers } = await fetch(`${api}/orders`, { method: 'POST', body })
    const events = await (await fetch(`${api}${headers.get('location')}/events`)).text()
    assert.match(events, /event: end/)
    return (await (await fetch(api + headers.get('location'))).json()) as OrderView
  }
  const { status, events } = await place('print', 99)
  assert.equal(status, 'cancelled')
  assert.ok(events.some(({ type, service }) => type === 'inventory.rejected' && service === 'inventory'))
  child.kill('SIGTERM')
  assert.equal((await ended).code, 0)
})

test(
  'without --once it prints a conversation and the address of the page, stays up, and stops on SIGTERM',
  limit,
  async (t) => {
    const { child, ended, out } = start(t, '--orders', '10', '--rate', '50')
    while (!/follow them at (http:\S+)/.test(out())) await once(child.stdout, 'data')
    const page = /follow them at (http:\S+)/.exec(out())![1]!
    assert.match(out(), /sequenceDiagram/)
    assert.equal((await fetch(page)).status, 200)
    child.kill('SIGTERM')
    const { code, errors } = await ended
    assert.equal(code, 0)
    assert.equal(errors, '')
  },
)

test('a run that is interrupted can be taken up again on the same data', limit, async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'quadrille-again-'))
  t.after(() => rm(data, { recursive: true }))
  const { child, ended, out } = start(t, '--data', data, '--orders', '40', '--rate', '10')
  while (!/completed [1-9]/.test(out())) await once(child.stdout, 'data')
  child.kill('SIGINT')
  assert.deepEqual(await ended.then(({ code, errors }) => ({ code, errors })), { code: 0, errors: '' })
  assert.match(out(), /^Stopped. Orders that are open go on when the shop opens again on the same --data.$/m)
  assertRight(await summaryOf(t, '--once', '--json', '--data', data, '--orders', '40'), 40)
})

test('a run that is interrupted without --data promises nothing, and leaves no folder', limit, async (t) => {
  const { child, ended, out } = start(t, '--orders', '40', '--rate', '10')
  while (!/completed [1-9]/.test(out())) await once(child.stdout, 'data')
  child.kill('SIGTERM')
  assert.equal((await ended).code, 0)
  assert.match(out(), /\nStopped\.\n$/)
  assert.equal(existsSync(/^data (.+), payment provider/m.exec(out())![1]!), false)
})

test(
  'a PostgreSQL database can be used again with the data of the runs before, and is refused without',
  { ...limit, skip: postgres.skip },
  async (t) => {
    const server = await postgres.start()
    const data = await mkdtemp(join(tmpdir(), 'quadrille-again-'))
    t.after(() => Promise.all([server.stop(), rm(data, { recursive: true })]))
    const what = ['--once', '--json', '--ledger', server.url, '--orders', '20']
    assertRight(await summaryOf(t, ...what, '--data', data, '--seed', '1'), 20)
    assertRight(await summaryOf(t, ...what, '--data', data, '--seed', '2'), 40)
    assertRight(await summaryOf(t, ...what, '--data', data, '--seed', '2'), 40)
    const other = join(data, 'other')
    for (const [args, why] of [
      [[], 'kept without --data'],
      [['--data', other], `in ${other}`],
      [['--data', other], `in ${other}`],
    ] as const) {
      const { code, out, errors } = await start(t, ...what, ...args).ended
      const refused = `error: the database holds orders of an earlier run, whose payments and mails are not ${why}: name the folder of that run with --data, or use an empty database\n`
      assert.deepEqual({ code, out, errors }, { code: 1, out: '', errors: refused })
    }
  },
)

test('services started one by one, by hand, are the same shop', limit, async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'quadrille-alone-'))
  t.after(() => rm(data, { recursive: true }))
  const orders = start(t, '--service', 'orders', '--data', data)
  const inventory = start(t, '--service', 'inventory', '--data', data)
  for (const service of [orders, inventory])
    while (!service.out().includes('runs on')) await once(service.child.stdout, 'data')
  const api = /its API at (http:\S+)/.exec(orders.out())![1]!
  // Nobody takes payments here, so what the inventory can not deliver is all that can end an order.
  const body = JSON.stringify({ customerId: 'ada', items: [{ productId: 'print', quantity: 99 }] })
  const { headers } = await fetch(`${api}/orders`, { method: 'POST', body })
  const deadline = AbortSignal.timeout(20_000)
  const status = async () => ((await (await fetch(api + headers.get('location'))).json()) as { status: string }).status
  while ((await status()) === 'pending') deadline.throwIfAborted()
  assert.equal(await status(), 'cancelled')
  for (const service of [orders, inventory]) service.child.kill('SIGTERM')
  for (const service of [orders, inventory]) {
    const { code, errors } = await service.ended
    assert.equal(code, 0, errors)
  }
})

test('what makes no sense is refused with a sentence', { timeout: 240_000 }, async (t) => {
  const wrong: [string[], RegExp][] = [
    [['--fast'], /unknown option '--fast'/],
    [['--orders', 'many'], /must be a whole number/],
    [['--service', 'shipping', '--data', 'x'], /Allowed choices are orders, payments, inventory, notifications/],
    [['--service', 'payments'], /needs --data or --ledger/],
    [['--service', 'payments', '--data', join(tmpdir(), 'nobody')], /needs --provider/],
    [['--processes', 'many'], /must be a whole number/],
    [['--wire', 'pigeon'], /Allowed choices are kafka, nats/],
    [['--broker', 'nats://127.0.0.1'], /--broker needs --wire/],
    [['--wire', 'nats', '--data', 'x'], /needs --broker/],
    [['--rate', '0'], /must be at least 1/],
    [['--kills-apart', '1000001'], /must be at most 1000000/],
    [['--port', '99999'], /must be at most 65535/],
    [['--ledger', 'mysql://127.0.0.1/shop'], /must be an address like postgres:/],
    [['--ledger', 'postgres'], /must be an address like postgres:/],
    [['--provider', 'nonsense'], /must be an address like http:/],
    [['--provider', 'file:///tmp'], /must be an address like http:/],
    [['--mailbox', 'http://127.0.0.1:25'], /must be an address like smtp:/],
    [['--remember', 'long'], /must be a duration like 90s/],
    [['extra'], /too many arguments/],
  ]
  for (const [args, message] of wrong) {
    const { code, errors } = await start(t, ...args).ended
    assert.equal(code, 1, args.join(' '))
    assert.match(errors, message)
  }
})

/** One line that says what to do, and nothing else. */
async function assertCannotRun(t: TestContext, args: string[], sentence: RegExp): Promise<void> {
  const { code, out, errors } = await start(t, '--once', ...args).ended
  assert.deepEqual({ code, out, lines: errors.split('\n').length }, { code: 1, out: '', lines: 2 }, out + errors)
  assert.match(errors, sentence)
}

test('a port that somebody else has is said in one line, also when processes would listen', limit, async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const sentence = new RegExp(`^error: port ${port} is taken: name another one with --port, or none`)
  for (const args of [[], ['--processes']]) await assertCannotRun(t, ['--port', `${port}`, ...args], sentence)
  const data = await mkdtemp(join(tmpdir(), 'quadrille-taken-'))
  t.after(() => rm(data, { recursive: true }))
  await assertCannotRun(t, ['--service', 'orders', '--data', data, '--port', `${port}`], sentence)
})

test('a database or a server that is not there is said in one line', { ...limit, skip: postgres.skip }, async (t) => {
  const server = await postgres.start()
  t.after(() => server.stop())
  const missing = new URL(server.url)
  missing.pathname = '/nowhere'
  for (const args of [[], ['--processes'], ['--service', 'inventory']])
    await assertCannotRun(t, ['--ledger', missing.href, ...args], /^error: database "nowhere" does not exist: make it/)
  await server.stop()
  const sentence = new RegExp(`^error: nobody answers at 127.0.0.1:${missing.port}: start the server`)
  for (const args of [[], ['--processes']]) await assertCannotRun(t, ['--ledger', server.url, ...args], sentence)
})

test('a broker that does not answer, and a folder that is none, are said in one line', limit, async (t) => {
  // A port that was free a moment ago.
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  for (const wire of ['nats', 'redis', 'rabbitmq'] as const) {
    const scheme = wire === 'rabbitmq' ? 'amqp' : wire
    const args = ['--wire', wire, '--broker', `${scheme}://127.0.0.1:${port}`]
    await assertCannotRun(t, args, new RegExp(`^error: WIRE_UNREACHABLE: ${wire} can not be reached`))
  }
  await assertCannotRun(t, ['--data', main], /^error: .*main.ts is no folder: name one with --data/)
  await assertCannotRun(t, ['--data', join(main, 'data')], /^error: .*data is no folder: name one with --data/)
})

test('a stop that reaches every process of the run, as a container sends it, ends in good order', limit, async (t) => {
  const run = spawned(t, ['--processes', '--orders', '5'], { detached: true })
  while (!run.out().includes('Place orders')) await once(run.child.stdout, 'data')
  process.kill(-run.child.pid!, 'SIGTERM')
  const { code, errors } = await run.ended
  assert.equal(code, 0, errors)
})
