/** `survival` on the command line. */
import type { Given, OptionKinds } from './arguments.ts'
import { survival, type SurvivalResult } from './survival.ts'

const defaults = { orders: 20_000, processes: 2, rate: 1_000, seed: 1 }
/** What two cores can take while processes are started again every second. */
const soak = { minutes: 10, rate: 6, remember: '60s' }

export const survivalOptions: OptionKinds = {
  orders: { takes: 'number', says: `how many (default ${defaults.orders})` },
  processes: { takes: 'number', says: `of each of the four services (default ${defaults.processes})` },
  rate: { takes: 'number', says: `orders a second, at most (default ${defaults.rate}; with --minutes ${soak.rate})` },
  seed: { takes: 'number', says: `of orders, trouble and kills (default ${defaults.seed})` },
  minutes: { takes: 'number', says: 'a soak: so long, at a steady rate, with retention on' },
  'kills-apart': { takes: 'number', says: 'pauses between kills are so many times 0.3 to 1.5 seconds (default 1)' },
  'server-kills': { takes: 'number', says: 'how often the server is killed (default 1)' },
  remember: { takes: 'text', says: `for how long what was handled is remembered (with --minutes ${soak.remember})` },
  json: { takes: 'nothing', says: 'print one line of JSON, and nothing else on standard output' },
}

/** The exit code is 1 when anything was lost, done twice or stuck. */
export async function survivalCommand(given: Given): Promise<void> {
  const isSoak = given.texts.has('minutes')
  const minutes = given.number('minutes', soak.minutes)
  const rate = given.number('rate', isSoak ? soak.rate : defaults.rate)
  const result = await survival({
    orders: isSoak ? Math.round(minutes * 60 * rate) : given.number('orders', defaults.orders),
    processes: given.number('processes', defaults.processes),
    rate,
    seed: given.number('seed', defaults.seed),
    killsApart: given.number('kills-apart', 1),
    serverKills: given.number('server-kills', 1),
    remember: given.texts.get('remember') ?? (isSoak ? soak.remember : undefined),
    progress: (text) => console.error(text),
  })
  console.log(given.flags.has('json') ? JSON.stringify(result) : report(result))
  if (result.invariants !== 'hold' || result.lost > 0 || result.duplicates > 0) process.exitCode = 1
}

function report(result: SurvivalResult): string {
  const { samples, warnings, machine, ...summary } = result
  const columns = ['second', 'orders', 'events', 'ids', 'records', 'ledgerMb', 'rssMb', 'rssMostMb'] as const
  const row = (cells: readonly (string | number)[]): string => cells.map((cell) => String(cell).padStart(11)).join('')
  return [
    JSON.stringify(summary, undefined, 2),
    '',
    row(columns),
    ...samples.map((sample) => row(columns.map((column) => sample[column]))),
    '',
    ...Object.entries(warnings).map(([sentence, count]) => `${String(count).padStart(6)}  ${sentence}`),
    JSON.stringify(machine),
  ].join('\n')
}
