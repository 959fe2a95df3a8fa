/** The process that works off a backlog: how fast and with how much memory, tenth by tenth. */
import { meter } from './machine.ts'
import { startQuadrille } from './systems/quadrille.ts'
import { checkTally } from './tally.ts'

/** What is to be worked off. */
export interface DrainTask {
  readonly file: string
  readonly prefix: string
  readonly orders: number
}

/** One tenth of the handlings that the backlog leads to. */
export interface Tenth {
  /** An order is four handlings: payment, inventory, join, notification. */
  readonly ordersPerSecond: number
  readonly rssMb: number
}

/** What was found, rows checked. */
export interface DrainResult {
  readonly seconds: number
  readonly cpuSecondsPer1000: number
  readonly otherCores: number | null
  readonly rssAtStartMb: number
  readonly tenths: readonly Tenth[]
}

const tenthsCount = 10
const handlingsPerOrder = 4
const stuckMs = 120_000
const rssMb = (): number => Math.round(process.memoryUsage.rss() / 1024 / 1024)

async function drain({ file, prefix, orders }: DrainTask): Promise<DrainResult> {
  const marks: { readonly at: number; readonly rssMb: number }[] = []
  const done = Promise.withResolvers<void>()
  const rssAtStartMb = rssMb()
  let handlings = 0
  let notified = 0
  const read = meter()
  const system = await startQuadrille({
    database: file,
    batches: false,
    handled() {
      handlings += 1
      if (handlings >= (orders * handlingsPerOrder * (marks.length + 1)) / tenthsCount)
        marks.push({ at: read().seconds, rssMb: rssMb() })
    },
    notified() {
      notified += 1
      if (notified === orders) done.resolve()
    },
  })
  let seen = -1
  const watch = setInterval(() => {
    if (handlings === seen) done.reject(new Error(`stuck after ${notified} of ${orders} orders`))
    seen = handlings
  }, stuckMs)
  try {
    await done.promise
  } finally {
    clearInterval(watch)
  }
  const { seconds, cpuSeconds, otherCores } = read()
  await system.stop()
  checkTally('quadrille', await system.tally(prefix), orders)
  const tenths = marks.map(({ at, rssMb }, index) => ({
    ordersPerSecond: Math.round(orders / tenthsCount / (at - (marks[index - 1]?.at ?? 0))),
    rssMb,
  }))
  const cpuSecondsPer1000 = (cpuSeconds / orders) * 1000
  return { seconds, cpuSecondsPer1000, otherCores, rssAtStartMb, tenths }
}

const result = await drain(JSON.parse(process.argv[2]!) as DrainTask)
process.send!(result, () => process.disconnect())
