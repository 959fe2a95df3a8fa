/** `scale` on the command line. */
import { countOf, UsageError, type Given, type OptionKinds } from './arguments.ts'
import { defaultServer } from './postgres-server.ts'
import { scale, type ScaleResult } from './scale.ts'

const defaults = { processes: [1, 2, 4], orders: 8_000, warmUp: 1_000, rounds: 3 }

export const scaleOptions: OptionKinds = {
  ledger: { takes: 'text', says: 'postgres (default), the only one that several machines can share' },
  server: { takes: 'text', says: `the server to make databases on (default ${defaultServer})` },
  processes: { takes: 'text', says: `how many, in turn (default ${defaults.processes.join()})` },
  orders: { takes: 'number', says: `of all processes together (default ${defaults.orders})` },
  'warm-up': { takes: 'number', says: `orders before the clock starts (default ${defaults.warmUp})` },
  rounds: { takes: 'number', says: `runs of each (default ${defaults.rounds})` },
  batch: { takes: 'nothing', says: 'with handlers that take up to 100 events at once' },
  json: { takes: 'nothing', says: 'print one line of JSON, and nothing else on standard output' },
}

/** @throws UsageError for a ledger or numbers that make no sense. */
export async function scaleCommand(given: Given): Promise<void> {
  const ledger = given.texts.get('ledger') ?? 'postgres'
  if (ledger !== 'postgres') throw new UsageError(`--ledger takes postgres, not ${JSON.stringify(ledger)}`)
  const text = given.texts.get('processes') ?? defaults.processes.join()
  const processes = text.split(',').map(countOf)
  if (processes.includes(undefined)) throw new UsageError(`--processes takes numbers such as 1,2,4, not ${text}`)
  const result = await scale({
    server: given.texts.get('server') ?? defaultServer,
    processes: processes as number[],
    orders: given.number('orders', defaults.orders),
    warmUp: given.number('warm-up', defaults.warmUp),
    rounds: given.number('rounds', defaults.rounds),
    batches: given.flags.has('batch'),
    progress: (line) => console.error(line),
  })
  console.log(given.flags.has('json') ? JSON.stringify(result) : table(result))
}

function table({ rows, machine }: ScaleResult): string {
  const head = ['processes', 'orders/s', 'of the first', 'CPU-s / 1,000', 'server / 1,000', 'other cores']
  const line = (cells: readonly (string | number)[]): string => cells.map((cell) => String(cell).padStart(16)).join('')
  return [
    line(head),
    ...rows.map((row) =>
      line([
        row.processes,
        row.ordersPerSecond,
        row.ofFirst,
        row.cpuSecondsPer1000,
        row.serverCpuSecondsPer1000,
        row.otherCores ?? '',
      ]),
    ),
    JSON.stringify(machine),
  ].join('\n')
}
