/** Measures how many schedules a simulation tries in a second of processor time: with real SQL handlers, and without tables. */
import { checkout } from '@quadrille/example-orders/choreography'
import { simulation } from '@quadrille/example-orders/simulation'
import { choreography, event, service, type Choreography } from 'quadrille'
import { simulatePhases, type Phase, type SimulateOptions, type SimulationReport } from 'quadrille/simulate'
import * as z from 'zod'
import { machine, meter } from './machine.ts'
import { round } from './statistics.ts'

/** One measurement. */
export interface SimulateFigures {
  readonly schedules: number
  readonly states: number
  readonly completeFaults: number
  readonly cpuSeconds: number
  readonly seconds: number
  readonly otherCores: number | null
  readonly schedulesPerSecond: number
  readonly statesPerSecond: number
  readonly stepsPerSecond: number
}

export interface SimulateResult {
  /** One order, real SQL handlers, every schedule with up to two faults. By seconds of processor time, as all figures here. */
  readonly schedulesPerSecond: number
  readonly statesPerSecond: number
  /** The same dance without tables: every schedule with up to four faults, and 20,000 at random. */
  readonly schedulesPerSecondInMemory: number
  /** Random schedules of one order, and of one to three. */
  readonly randomPerSecond: number
  readonly randomOfThreePerSecond: number
  readonly exhaustive: SimulateFigures
  readonly inMemory: SimulateFigures
  readonly random: SimulateFigures
  readonly randomOfThree: SimulateFigures
  readonly machine: Readonly<Record<string, unknown>>
}

/** The dance of the order application without its tables: every handler only says what comes next. */
function bare(): Choreography {
  const schema = z.object({ id: z.string() })
  const made = (type: string) => event(type, { key: 'id', schema })
  const [Created, Paid, Reserved, Completed] = [made('created'), made('paid'), made('reserved'), made('completed')]
  const Cancelled = made('cancelled')
  return choreography('bare', {
    services: [
      service('orders')
        .all([Paid, Reserved], { name: 'complete', emits: [Completed] }, ([{ id }]) => Completed({ id }))
        .deadline(Created, { unless: [Completed, Cancelled], within: '15m', emits: [Cancelled] }, ({ id }) =>
          Cancelled({ id }),
        ),
      service('payments').on(
        Created,
        { name: 'charge', emits: [Paid], call: () => ({ paid: true }), undo: { on: [Cancelled], run: () => {} } },
        ({ id }) => Paid({ id }),
      ),
      service('inventory').on(
        Created,
        { name: 'reserve', emits: [Reserved], undo: { on: [Cancelled], run: () => {} } },
        ({ id }) => Reserved({ id }),
      ),
      service('notifications').on(Completed, { name: 'confirm', call: () => ({ sent: true }) }, () => {}),
    ],
    starts: [Created],
    ends: { success: [Completed], failure: [Cancelled] },
    within: '15m',
  })
}

async function measure(run: () => Promise<SimulationReport>): Promise<SimulateFigures> {
  const read = meter()
  const report = await run()
  const { seconds, cpuSeconds, otherCores } = read()
  if (!report.ok && report.findings[0]!.code !== 'TWO_ENDS') throw new Error(report.text())
  const { schedules, states, steps, completeFaults } = report
  return {
    schedules, states, completeFaults, otherCores,
    cpuSeconds: round(cpuSeconds, 2),
    seconds: round(seconds, 2),
    schedulesPerSecond: Math.round(schedules / cpuSeconds),
    statesPerSecond: Math.round(states / cpuSeconds),
    stepsPerSecond: Math.round(steps / cpuSeconds),
  } // prettier-ignore
}

/** @param budget - The most seconds for each of the four measurements. */
export async function simulateBench(budget: number, progress: (text: string) => void): Promise<SimulateResult> {
  const limited = { budget: budget * 1_000 }
  const orders = (options: SimulateOptions<never, never>, phases: readonly Phase[]) =>
    measure(() => simulatePhases(checkout, { ...simulation, ...options } as typeof simulation, phases))
  // Its handlers do not look at anything, so a deadline that passes early ends it twice: not what is measured here.
  const faults = [
    'duplicate',
    'crash before commit',
    'crash after commit',
    'crash after arrival',
    'answer lost',
    'request lost',
    'timeout',
  ] as const
  const withoutTables = (more: { readonly maxFaults: number; readonly schedules: number }) => () =>
    simulatePhases(bare(), { ...limited, faults, conversations: 1, ...more }, ['exhaustive', 'random'])
  progress('without tables: warm-up')
  for (let times = 0; times < 2; times++) await withoutTables({ maxFaults: 3, schedules: 20_000 })()
  progress('without tables: every schedule of one order with up to four faults, and random ones')
  const inMemory = await measure(withoutTables({ maxFaults: 4, schedules: 20_000 }))
  progress('with SQL: warm-up')
  await orders({ ...limited, schedules: 200 }, ['random'])
  progress('every schedule of one order with up to two faults')
  const exhaustive = await orders(limited, ['exhaustive'])
  progress('random schedules of one order, and of one to three')
  const random = await orders({ ...limited, schedules: 5_000, conversations: 1 }, ['random'])
  const randomOfThree = await orders({ ...limited, schedules: 3_000, conversations: 3 }, ['random'])
  return {
    schedulesPerSecond: exhaustive.schedulesPerSecond,
    statesPerSecond: exhaustive.statesPerSecond,
    schedulesPerSecondInMemory: inMemory.schedulesPerSecond,
    randomPerSecond: random.schedulesPerSecond,
    randomOfThreePerSecond: randomOfThree.schedulesPerSecond,
    exhaustive, inMemory, random, randomOfThree,
    machine: machine(),
  } // prettier-ignore
}
