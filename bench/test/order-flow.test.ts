/** The benchmark says what was agreed, checks what it measures, and explains itself when asked for what is not there. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { defaultServer, runOn } from '../src/postgres-server.ts'
import { checkTally, expectedTally } from '../src/tally.ts'

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function bench(...words: string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, ['--conditions=quadrille-source', main, ...words], (error, stdout, stderr) =>
      resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr }),
    )
  })
}

const agreed = ['ordersPerSecond', 'emitterOrdersPerSecond', 'handWrittenOrdersPerSecond', 'p50Ms', 'p99Ms']

test('order-flow prints one line of JSON with the agreed keys, of results that were checked', async () => {
  const numbers = ['--orders', '60', '--warm-up', '20', '--rounds', '1', '--rate', '40', '--seconds', '1']
  const { code, stdout, stderr } = await bench('order-flow', '--ledger', 'sqlite', '--json', ...numbers)
  assert.equal(code, 0, stderr)
  assert.equal(stdout.trim().split('\n').length, 1)
  const result = JSON.parse(stdout) as Record<string, unknown>
  assert.deepEqual(Object.keys(result).slice(0, 6), [...agreed, 'cpuSecondsPer1000'])
  for (const key of [...agreed, 'cpuSecondsPer1000', 'handWrittenFullOrdersPerSecond', 'batchOrdersPerSecond'])
    assert.ok((result[key] as number) > 0, `${key} is ${String(result[key])}`)
  const systems = 5
  assert.equal(result['verifiedOrders'], systems * (60 + 20) + 20 + 40)
})

const postgres = await runOn(defaultServer, 'SELECT 1').then(
  () => false as const,
  (error: Error) => {
    if (process.env['CI'] === 'true') throw error
    return `no PostgreSQL at ${defaultServer}: ${error.message}`
  },
)

test('on PostgreSQL it has the same keys, and counts the server with the process', { skip: postgres }, async () => {
  const numbers = ['--orders', '60', '--warm-up', '20', '--rounds', '1', '--rate', '40', '--seconds', '1']
  const { code, stdout, stderr } = await bench('order-flow', '--ledger', 'postgres', '--json', ...numbers)
  assert.equal(code, 0, stderr)
  const result = JSON.parse(stdout) as Record<string, unknown>
  assert.deepEqual(Object.keys(result).slice(0, 6), [...agreed, 'cpuSecondsPer1000'])
  const systems = 4
  assert.equal(result['verifiedOrders'], systems * (60 + 20) + 20 + 40)
  assert.ok((result['cpuSecondsPer1000'] as number) > 0)
})

test('scale places the orders from one process and from two, and each is done once', { skip: postgres }, async () => {
  const numbers = ['--processes', '1,2', '--orders', '60', '--warm-up', '20', '--rounds', '1']
  const { code, stdout, stderr } = await bench('scale', '--ledger', 'postgres', '--json', ...numbers)
  assert.equal(code, 0, stderr)
  const { rows } = JSON.parse(stdout) as { rows: readonly { processes: number; ordersPerSecond: number }[] }
  assert.deepEqual(
    rows.map(({ processes, ordersPerSecond }) => [processes, ordersPerSecond > 0]),
    [
      [1, true],
      [2, true],
    ],
  )
})

test('growth on PostgreSQL appends, reads and removes every event', { skip: postgres }, async () => {
  const numbers = ['--events', '4k', '--orders', '20', '--warm-up', '5']
  const { code, stdout, stderr } = await bench('growth', '--ledger', 'postgres', '--json', ...numbers)
  assert.equal(code, 0, stderr)
  const { read, retention } = JSON.parse(stdout) as Record<'read' | 'retention', { events: number }>
  // Four events an order; the flow before the reading, and that behind it.
  assert.deepEqual([read.events, retention.events], [4_000 + 25 * 4, 4_000 + 2 * 25 * 4])
})

test('a row that is missing, doubled or wrong fails the benchmark', () => {
  const right = expectedTally(10)
  checkTally('some system', right, 10)
  for (const name of Object.keys(right) as (keyof typeof right)[]) {
    for (const by of [-1, 1]) {
      const wrong = { ...right, [name]: right[name] + by }
      assert.throws(() => checkTally('some system', wrong, 10), new RegExp(`some system: wrong results.*${name} `))
    }
  }
})

test('what there is not is answered with what there is', async () => {
  const cases: readonly [words: string[], says: RegExp][] = [
    [[], /no benchmark given; there is: order-flow, survival, scale, simulate, growth, wire, check/],
    [['sprint'], /unknown benchmark "sprint"; there is: order-flow, survival, scale/],
    [['order-flow', '--ledger', 'abacus'], /unknown ledger "abacus"; there is: sqlite, postgres/],
    [['order-flow', '--fast'], /'--fast'\. There is:\n {2}--ledger/],
    [['order-flow', '--orders', 'many'], /--orders takes a number above zero, not "many"/],
    [['scale', '--ledger', 'sqlite'], /--ledger takes postgres, not "sqlite"/],
    [['growth', '--ledger', 'postgres', '--events', '1m,5m'], /--events takes one number such as 10m/],
    [['growth', '--events', '5m,1m'], /--events takes rising numbers such as 10k,1m,5m, not "5m,1m"/],
  ]
  for (const [words, says] of cases) {
    const { code, stdout, stderr } = await bench(...words)
    assert.equal(code, 1)
    assert.equal(stdout, '')
    assert.match(stderr, says)
  }
})
