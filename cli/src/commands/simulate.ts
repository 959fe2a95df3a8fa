/** `quadrille simulate`: the choreography under every order of events and every fault that matters. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { durationMs, QuadrilleError, type Duration } from 'quadrille'
import { replay, type Schedule, type SimulationReport } from 'quadrille/simulate'
import type { Simulation } from '../config.ts'
import type { Console } from '../console.ts'
import type { Surroundings } from '../main.ts'
import { loadSimulations } from '../simulate/simulations.ts'
import { runSimulation, type Overrides } from '../simulate/workers.ts'

interface Given extends Overrides {
  readonly workers: number
  readonly json: boolean
  readonly save?: string
  readonly replay?: string
}

/** More threads than this only fight over memory. */
const workersMax = 8

const wholeNumber = (min: number) => (text: string) => {
  const value = Number(text)
  if (Number.isSafeInteger(value) && value >= min) return value
  throw new InvalidArgumentError(`It takes a whole number from ${min} on.`)
}

const duration = (text: string): Duration => {
  try {
    durationMs(text as Duration, 'budget')
    return text as Duration
  } catch {
    throw new InvalidArgumentError("It takes a duration such as '20s' or '2m'.")
  }
}

export function simulateCommand({ console, end }: Surroundings): Command {
  const cores = Math.max(1, Math.min(workersMax, availableParallelism()))
  return new Command('simulate')
    .description('Runs the real services under every order of events and every fault that matters.')
    .argument('[target]', 'a folder with a quadrille.config.ts, or a file that exports choreographies', '.')
    .addOption(
      new Option('--seed <number>', 'decides everything that is random (default: 1)').argParser(wholeNumber(0)),
    )
    .addOption(new Option('--budget <time>', "for all of it, such as '20s' (default: 10s)").argParser(duration))
    .addOption(
      new Option('--max-faults <number>', 'of one schedule in the exhaustive search (default: 2)').argParser(
        wholeNumber(0),
      ),
    )
    .addOption(new Option('--schedules <number>', 'random ones at most, of each thread').argParser(wholeNumber(0)))
    .addOption(
      new Option('--conversations <number>', 'at once in random schedules (default: 3)').argParser(wholeNumber(1)),
    )
    .addOption(
      new Option('--workers <number>', 'threads; with 1 the same seed gives the same result')
        .argParser(wholeNumber(1))
        .default(cores),
    )
    .option('--save <folder>', 'write the schedule of each finding there, as a *.schedule.json')
    .option('--replay <file>', 'run one *.schedule.json and nothing else')
    .option('--json', 'print one line of JSON at the end, and nothing else on standard output', false)
    .addHelpText('after', '\nExit codes: 0 nothing was found, 1 something was, 2 it could not be found out.')
    .action(async (target: string, given: Given) => {
      const simulations = await loadSimulations(target, console.cwd)
      if (given.replay !== undefined) return end(await replayed(simulations, given.replay, console))
      const reports: SimulationReport[] = []
      for (const [index, simulation] of simulations.entries()) {
        const { workers, json, save: _save, replay: _replay, ...overrides } = given
        const job = { target, cwd: console.cwd, index, overrides }
        const progress = (text: string) => console.err(`${text}\n`)
        const report = await runSimulation(simulation, job, { workers: Math.min(workers, workersMax), progress })
        reports.push(report)
        if (!json) console.out(`${report.text()}\n`)
        if (given.save !== undefined) saved(report, resolve(console.cwd, given.save), console)
        if (!json && !report.ok) console.out(again(target, report))
      }
      if (given.json) console.out(`${JSON.stringify(summary(reports))}\n`)
      end(reports.every((report) => report.ok) ? 0 : 1)
    })
}

const again = (target: string, report: SimulationReport): string =>
  `again: npx quadrille simulate ${target} --seed ${report.seed} --workers 1; ` +
  `to keep it: --save <folder>, and then --replay <file>\n`

function summary(reports: readonly SimulationReport[]) {
  const sum = (of: (report: SimulationReport) => number) => reports.reduce((total, report) => total + of(report), 0)
  return {
    schedules: sum((report) => report.schedules),
    states: sum((report) => report.states),
    faultsComplete: Math.min(...reports.map((report) => report.completeFaults)),
    findings: reports.flatMap((report) =>
      report.findings.map((found) => ({ choreography: report.choreography, ...found })),
    ),
    choreographies: reports.map(({ data }) => ({ ...data, findings: data.findings.length })),
  }
}

function saved(report: SimulationReport, folder: string, console: Console): void {
  for (const { schedule, code } of report.findings) {
    mkdirSync(folder, { recursive: true })
    const name = `${report.choreography}-${code}`.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-')
    const file = join(folder, `${name}.schedule.json`)
    writeFileSync(file, `${JSON.stringify(schedule, null, 2)}\n`)
    console.err(`saved ${file}\n`)
  }
}

async function replayed(simulations: readonly Simulation[], name: string, console: Console): Promise<0 | 1> {
  const file = resolve(console.cwd, name)
  let schedule: Schedule
  try {
    schedule = JSON.parse(readFileSync(file, 'utf8')) as Schedule
  } catch (error) {
    throw new QuadrilleError('SCHEDULE_INVALID', { problem: `${file}: ${(error as Error).message}` }, error)
  }
  let code: 0 | 1 = 0
  for (const { choreography, ...options } of simulations) {
    const result = await replay(choreography, schedule, options)
    for (const step of result.steps) console.out(`  ${step}\n`)
    for (const { code: rule, message } of result.violations) console.out(`${rule}: ${message}\n`)
    if (result.ok) console.out('nothing went wrong\n')
    else code = 1
  }
  return code
}
