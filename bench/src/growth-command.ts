/** `growth` on the command line: its options, and its result as JSON or as a table. */
import { countOf, UsageError, type Given, type OptionKinds } from './arguments.ts'
import { defaultServer } from './postgres-server.ts'
import { growthOnPostgres } from './growth-postgres.ts'
import { growth, type GrowthOptions, type GrowthResult, type SizeResult } from './growth.ts'

type Numbers = Omit<GrowthOptions, 'progress'>

const full: Numbers = {
  sizes: [10_000, 1_000_000, 5_000_000],
  backlog: 1_000_000,
  orders: 5_000,
  warmUp: 500,
  rounds: 3,
  scatters: false,
}
const quick: Numbers = { ...full, sizes: [10_000, 100_000, 300_000], backlog: 50_000, orders: 3_000 }

export const growthOptions: OptionKinds = {
  ledger: { takes: 'text', says: 'sqlite (default) or postgres, which has one size and no backlog' },
  server: { takes: 'text', says: `with postgres: where (default ${defaultServer})` },
  events: { takes: 'text', says: 'history to measure with, rising: 10k,1m,5m (default; --quick: 10k,100k,300k)' },
  backlog: { takes: 'number', says: `events that wait when the services start (default 1m; --quick: 50k)` },
  'no-backlog': { takes: 'nothing', says: 'leave the backlog out' },
  orders: { takes: 'number', says: `orders of a throughput run (default ${full.orders})` },
  'warm-up': { takes: 'number', says: `orders before the clock starts (default ${full.warmUp})` },
  rounds: { takes: 'number', says: `throughput runs of each size (default ${full.rounds})` },
  scattered: {
    takes: 'nothing',
    says: 'sqlite only: ids of orders come in no order, as random ones do (backlog left as it is)',
  },
  quick: { takes: 'nothing', says: 'smaller numbers: a minute instead of many' },
  json: { takes: 'nothing', says: 'print one line of JSON, and nothing else on standard output' },
}

/** @throws UsageError for a ledger or sizes that make no sense. */
export async function growthCommand(given: Given): Promise<void> {
  const ledger = given.texts.get('ledger') ?? 'sqlite'
  if (ledger === 'postgres') return growthOnPostgresCommand(given)
  if (ledger !== 'sqlite') throw new UsageError(`--ledger takes sqlite or postgres, not ${JSON.stringify(ledger)}`)
  const otherwise = given.flags.has('quick') ? quick : full
  const json = given.flags.has('json')
  const result = await growth({
    sizes: given.texts.has('events') ? sizesOf(given.texts.get('events')!) : otherwise.sizes,
    backlog: given.flags.has('no-backlog') ? 0 : given.number('backlog', otherwise.backlog),
    orders: given.number('orders', otherwise.orders),
    warmUp: given.number('warm-up', otherwise.warmUp),
    rounds: given.number('rounds', otherwise.rounds),
    scatters: given.flags.has('scattered'),
    progress: (text) => {
      if (!json) console.error(text)
    },
  })
  console.log(json ? JSON.stringify(result) : table(result))
}

async function growthOnPostgresCommand(given: Given): Promise<void> {
  if (given.flags.has('scattered')) throw new UsageError('--scattered is for --ledger sqlite')
  const events = countOf(given.texts.get('events') ?? (given.flags.has('quick') ? '200k' : '10m'))
  if (events === undefined) throw new UsageError('--events takes one number such as 10m')
  const result = await growthOnPostgres({
    server: given.texts.get('server') ?? defaultServer,
    events,
    orders: given.number('orders', full.orders),
    warmUp: given.number('warm-up', full.warmUp),
    progress: (text) => console.error(text),
  })
  console.log(given.flags.has('json') ? JSON.stringify(result) : JSON.stringify(result, undefined, 2))
}

function sizesOf(text: string): readonly number[] {
  const sizes = text.split(',').map(countOf)
  if (sizes.every((size, index) => size !== undefined && size > (sizes[index - 1] ?? 0))) return sizes as number[]
  throw new UsageError(`--events takes rising numbers such as 10k,1m,5m, not ${JSON.stringify(text)}`)
}

function table({ sizes, control, backlog, machine, seconds }: GrowthResult): string {
  const line = (name: string, each: SizeResult): string =>
    [name, each.ordersPerSecond, each.shareOfFirst, each.cpuSecondsPer1000, each.cpuOfFirst, each.startMs, each.fileMb]
      .concat(`${each.rssBeforeMb} -> ${each.rssAfterMb}`)
      .map((cell) => String(cell).padStart(14))
      .join('')
  const head = [
    'events',
    'orders/s',
    'of the first',
    'CPU-s / 1,000',
    'of the first',
    'start, ms',
    'file, MB',
    'RSS, MB',
  ]
  return [
    head.map((cell) => cell.padStart(14)).join(''),
    ...sizes.map((each) => line(String(each.events), each)),
    line('control', control),
    '',
    backlog ? `backlog: ${JSON.stringify(backlog)}` : 'no backlog measured',
    `${seconds} s on ${JSON.stringify(machine)}`,
  ].join('\n')
}
