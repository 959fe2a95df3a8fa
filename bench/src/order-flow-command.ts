/** `order-flow` on the command line: its options, and its result as JSON, as a table or as a profile. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UsageError, type Given, type OptionKinds } from './arguments.ts'
import { summarizeProfile } from './cpu-profile.ts'
import { systemNames, systemsOn, type LedgerName, type SystemName } from './job.ts'
import { onNewDatabase, orderFlow, type OrderFlowResult, type Where } from './order-flow.ts'
import { defaultServer } from './postgres-server.ts'
import type { StatementCost } from './sql-meter.ts'
import { round } from './statistics.ts'

const defaults = { warmUp: 500, rounds: 5, rate: 100, seconds: 8 }
const ordersOn: Readonly<Record<LedgerName, number>> = { sqlite: 5_000, postgres: 2_500 }

const ledgers = Object.keys(systemsOn) as LedgerName[]

/** Where to measure: options of every benchmark that knows several ledgers. */
const whereOptions: OptionKinds = {
  ledger: { takes: 'text', says: `one of: ${ledgers.join(', ')} (default sqlite)` },
  server: { takes: 'text', says: `with --ledger postgres: where it is (default ${defaultServer})` },
}

/** @throws UsageError for a ledger that there is not. */
export function whereOf(given: Given): Where {
  const ledger = oneOf(given, { name: 'ledger', choices: ledgers, otherwise: 'sqlite' })
  return { ledger, server: given.texts.get('server') ?? defaultServer }
}

export const orderFlowOptions: OptionKinds = {
  ...whereOptions,
  json: { takes: 'nothing', says: 'print one line of JSON, and nothing else on standard output' },
  orders: {
    takes: 'number',
    says: `orders of a throughput run (default ${ordersOn.sqlite}; postgres ${ordersOn.postgres})`,
  },
  'warm-up': { takes: 'number', says: `orders before the clock starts (default ${defaults.warmUp})` },
  rounds: { takes: 'number', says: `throughput runs of each system, at most (default ${defaults.rounds})` },
  rate: { takes: 'number', says: `orders per second of the latency run (default ${defaults.rate})` },
  seconds: { takes: 'number', says: `length of the latency run (default ${defaults.seconds})` },
  profile: { takes: 'nothing', says: 'instead: profile one throughput run and say where the time went' },
  system: { takes: 'text', says: `with --profile, one of: ${systemNames.join(', ')} (default quadrille)` },
}

/** @throws UsageError for a ledger or system that there is not. */
export async function orderFlowCommand(given: Given): Promise<void> {
  const where = whereOf(given)
  const options = {
    orders: given.number('orders', ordersOn[where.ledger]),
    warmUp: given.number('warm-up', defaults.warmUp),
    rounds: given.number('rounds', defaults.rounds),
    rate: given.number('rate', defaults.rate),
    seconds: given.number('seconds', defaults.seconds),
  }
  const choices: readonly SystemName[] = systemsOn[where.ledger]
  const system = oneOf(given, { name: 'system', choices, otherwise: 'quadrille' })
  if (given.flags.has('profile')) return printProfile(where, system, options)
  const json = given.flags.has('json')
  const progress = (text: string): void => {
    if (!json) console.error(text)
  }
  const result = await orderFlow({ ...options, ...where, progress })
  console.log(json ? JSON.stringify(result) : table(where.ledger, result))
}

function oneOf<Choice extends string>(
  given: Given,
  { name, choices, otherwise }: { name: string; choices: readonly Choice[]; otherwise: Choice },
): Choice {
  const text = given.texts.get(name) ?? otherwise
  const found = choices.find((choice) => choice === text)
  if (found === undefined)
    throw new UsageError(`unknown ${name} ${JSON.stringify(text)}; there is: ${choices.join(', ')}`)
  return found
}

const goals = {
  sqlite: { timesHandWritten: 2, shareOfEmitter: 0.333, batch: '', p50Ms: 2, p99Ms: 20 },
  postgres: { timesHandWritten: 1, shareOfEmitter: null, batch: 'goal: at least 2.5', p50Ms: 5, p99Ms: 30 },
} as const

function table(ledger: LedgerName, result: OrderFlowResult): string {
  const goal = goals[ledger]
  const line = (name: string, value: number | string, note = ''): string =>
    `${name.padEnd(44)}${String(value).padStart(9)}  ${note}`.trimEnd()
  const full = result.handWrittenFullOrdersPerSecond
  return [
    `order flow on ${ledger}: medians of ${result.rounds.length} rounds of ${result.orders} orders`,
    '',
    line('in-process emitter, orders/s', result.emitterOrdersPerSecond),
    line('hand-written outbox, batched, orders/s', result.handWrittenOrdersPerSecond, full ? 'synchronous=NORMAL' : ''),
    ...(full ? [line('the same with synchronous=FULL, orders/s', full)] : []),
    line('Quadrille, orders/s', result.ordersPerSecond, 'one event at a time'),
    line('Quadrille with batch reactions, orders/s', result.batchOrdersPerSecond),
    line('Quadrille / hand-written', result.timesHandWritten, `goal: at least ${goal.timesHandWritten}`),
    line('batch reactions / hand-written', result.batchTimesHandWritten, goal.batch),
    line(
      'Quadrille / emitter',
      result.shareOfEmitter,
      goal.shareOfEmitter ? `goal: at least ${goal.shareOfEmitter}` : '',
    ),
    line(
      'CPU seconds per 1,000 orders',
      result.cpuSecondsPer1000,
      `batch ${result.batchCpuSecondsPer1000}, hand-written ${result.handWrittenCpuSecondsPer1000}, emitter ${result.emitterCpuSecondsPer1000}`,
    ),
    ...(ledger === 'sqlite' ? [] : [`  of these the server: ${JSON.stringify(result.serverCpuSecondsPer1000)}`]),
    line('latency p50 at a steady rate, ms', result.p50Ms, `goal: under ${goal.p50Ms}`),
    line('latency p99, ms', result.p99Ms, `goal: under ${goal.p99Ms}; the longest: ${result.maxMs}`),
    '',
    `cores used by others: ${result.otherCores ?? 'unknown'} (at the steady rate: ${result.otherCoresAtRate ?? 'unknown'})`,
    `${result.verifiedOrders} orders checked: every row there, exactly once. ${JSON.stringify(result.machine)}`,
  ].join('\n')
}

async function printProfile(
  where: Where,
  system: SystemName,
  options: { orders: number; warmUp: number },
): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'quadrille-profile-'))
  const profile = join(folder, `${system}.cpuprofile`)
  const job = { ...options, system, prefix: 'p' }
  const { throughput } = await onNewDatabase(where, { ...job, profile })
  const counted = await onNewDatabase(where, { ...job, countSql: where.ledger === 'sqlite' })
  const { functions, places } = summarizeProfile(profile, options.orders)
  const lines = (list: typeof functions, count: number): string[] =>
    list
      .slice(0, count)
      .map((each) => `${each.microsPerOrder.toFixed(1).padStart(8)} µs ${percent(each.share)}  ${each.name}`)
  const statements = (counted.facts['sql'] as readonly StatementCost[] | undefined) ?? []
  const micros = round(1e6 / throughput!.ordersPerSecond)
  console.log(
    [
      `${system}: ${round(throughput!.ordersPerSecond)} orders/s under the profiler, ${micros} µs an order`,
      '\nself time by function, an order:',
      ...lines(functions, 45),
      '\nself time by file or module, an order:',
      ...lines(places, 40),
      '\nSQL by statement, an order (calls, time, time a call):',
      ...statements.map(
        (each) =>
          `${each.callsPerOrder.toFixed(3).padStart(8)} x ${each.microsPerOrder.toFixed(1).padStart(7)} µs ` +
          `${each.microsPerCall.toFixed(1).padStart(8)} µs  ${each.sql}`,
      ),
      `\nfacts: ${JSON.stringify({ ...counted.facts, sql: undefined })}`,
      `profile for Chrome DevTools: ${profile}`,
    ].join('\n'),
  )
}

const percent = (share: number): string => `${(share * 100).toFixed(1).padStart(5)} %`
