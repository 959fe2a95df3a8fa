/** `simulate` on the command line: its options, and its result as JSON or as a table; with `--broken`, what wrong variants take. */
import { variants } from '@quadrille/example-broken-orders/index'
import { simulationOf } from '@quadrille/example-broken-orders/simulation'
import type { Outside } from '@quadrille/example-orders/choreography'
import { simulatePhases } from 'quadrille/simulate'
import type { Given, OptionKinds } from './arguments.ts'
import { simulateBench, type SimulateFigures } from './simulate.ts'

const budgetDefault = 60
const seedsDefault = 30

export const simulateOptions: OptionKinds = {
  budget: { takes: 'number', says: `seconds at most for each of the four measurements (default ${budgetDefault})` },
  broken: {
    takes: 'nothing',
    says: 'instead: how many schedules it takes to find each variant of examples/broken-orders',
  },
  seeds: { takes: 'number', says: `with --broken: random searches of each variant (default ${seedsDefault})` },
  json: { takes: 'nothing', says: 'print one line of JSON, and nothing else on standard output' },
}

export async function simulateCommand(given: Given): Promise<void> {
  const json = given.flags.has('json')
  if (given.flags.has('broken')) return brokenTable(given.number('seeds', seedsDefault), json)
  const progress = (text: string) => (json ? undefined : console.error(text))
  const result = await simulateBench(given.number('budget', budgetDefault), progress)
  if (json) return console.log(JSON.stringify(result))
  const { exhaustive, inMemory, random, randomOfThree } = result
  console.log(
    table({
      'one order, up to two faults': exhaustive,
      'without tables, four faults': inMemory,
      'one order, random': random,
      'one to three, random': randomOfThree,
    }),
  )
  console.log(JSON.stringify(result.machine))
}

function table(rows: Readonly<Record<string, SimulateFigures>>): string {
  const head = ['', 'schedules', 'states', 'CPU-s', 'schedules/CPU-s', 'states/CPU-s', 'steps/CPU-s', 'other cores']
  const lines = Object.entries(rows).map(([name, each]) => [
    name,
    each.schedules,
    each.states,
    each.cpuSeconds,
    each.schedulesPerSecond,
    each.statesPerSecond,
    each.stepsPerSecond,
    each.otherCores ?? '?',
  ])
  return [head, ...lines]
    .map((line) => line.map((cell, index) => String(cell).padStart(index === 0 ? 30 : 16)).join(''))
    .join('\n')
}

const schedulesMax = 5_000

/** For each variant: after how many schedules it is found, systematically and at random, and in how many constraints. */
async function brokenTable(seeds: number, json: boolean): Promise<void> {
  const rows: Record<string, string | number | null>[] = []
  for (const variant of variants) {
    const dance = (outside: Outside) => variant.choreography(outside)
    const options = { ...simulationOf(variant), budget: '10m', schedules: schedulesMax, maxFaults: 1 } as const
    const [systematic] = (await simulatePhases(dance, options, ['default', 'single', 'exhaustive'])).findings
    const random: { readonly schedules: number; readonly constraints: number }[] = []
    for (let seed = 1; seed <= seeds; seed++) {
      const [finding] = (await simulatePhases(dance, { ...options, seed }, ['random'])).findings
      random.push({ schedules: finding?.schedules ?? Infinity, constraints: finding?.constraints.length ?? Infinity })
      // What no schedule shows is not found by more of them.
      if (seed === 2 && random.every(({ schedules }) => schedules === Infinity)) break
    }
    const at = (share: number, of: 'schedules' | 'constraints') => {
      const values = random.map((each) => each[of]).sort((a, b) => a - b)
      const value = values[Math.min(values.length - 1, Math.floor(values.length * share))]!
      return value === Infinity ? null : value
    }
    rows.push({
      variant: variant.name, code: systematic?.code ?? null, systematic: systematic?.schedules ?? null,
      constraints: systematic?.constraints.length ?? null, randomMedian: at(0.5, 'schedules'), randomP90: at(0.9, 'schedules'),
      randomConstraints: at(0.5, 'constraints'),
    }) // prettier-ignore
    if (!json)
      console.log(
        Object.values(rows[rows.length - 1]!)
          .map((cell, index) => String(cell ?? '-').padEnd(index < 2 ? 26 : 10))
          .join(''),
      )
  }
  if (json) console.log(JSON.stringify({ seeds, variants: rows }))
}
