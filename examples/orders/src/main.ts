/** `npm start`: see README.md for what can be said behind `--`. */
import { Command, InvalidArgumentError, Option } from 'commander'
import { durationMs, type Duration } from 'quadrille'
import { sentenceOf } from './running/cannot-run.ts'
import { databaseOf, isPostgres, makeDatabases } from './running/databases.ts'
import { databaseIn, run, type RunOptions } from './running/run.ts'
import { serveAlone, type AloneOptions } from './running/serve-alone.ts'
import { wireNames } from './running/wires.ts'
import { serviceNames } from './running/worker.ts'

const wholeNumber =
  (min = 0, max = Number.MAX_SAFE_INTEGER) =>
  (text: string): number => {
    const number = Number(text)
    if (!/^\d+$/.test(text) || !Number.isSafeInteger(number))
      throw new InvalidArgumentError('It must be a whole number.')
    if (number < min) throw new InvalidArgumentError(`It must be at least ${min}.`)
    if (number > max) throw new InvalidArgumentError(`It must be at most ${max}.`)
    return number
  }

const address =
  (like: string, isRight: (url: string) => boolean) =>
  (text: string): string => {
    if (!URL.canParse(text) || !isRight(text)) throw new InvalidArgumentError(`It must be an address like ${like}.`)
    return text
  }

function duration(text: string): Duration {
  try {
    durationMs(text as Duration, '--remember')
  } catch {
    throw new InvalidArgumentError('It must be a duration like 90s, 15m or 7d.')
  }
  return text as Duration
}

const isHttp = (url: string) => /^https?:$/.test(new URL(url).protocol)
const isMailServer = (url: string) => /^smtp:\/\/[^/]/.test(url)

/** The longest pause between kills, 1.5 seconds times this, is what a timer can still wait. */
const killsApartMax = 1_000_000

const stop = new AbortController()
process.once('SIGINT', () => stop.abort())
process.once('SIGTERM', () => stop.abort())

type Given = Omit<RunOptions, 'rate' | 'processes'> & {
  readonly rate?: number
  readonly processes?: number | true
} & Partial<Omit<AloneOptions, 'database' | 'port' | 'wire'>>

const program = new Command('npm start --')
  .description('Opens a shop whose four services react to each other, and lets customers order.')
  .option('--orders <n>', 'how many sample orders are placed', wholeNumber(), 60)
  .option('--seed <n>', 'the same seed gives the same orders and the same trouble', wholeNumber(), 1)
  .option(
    '--rate <n>',
    'orders a second (default: 8; with --chaos 10; with --once as fast as the shop takes them)',
    wholeNumber(1),
  )
  .option('--once', 'end by itself with a summary; exit code 1 when an invariant does not hold', false)
  .option('--chaos', 'kill a process (SIGKILL) and start it again, every 0.3 to 1.5 seconds', false)
  .option(
    '--kills-apart <n>',
    'with --chaos: pauses between kills are so many times as long',
    wholeNumber(1, killsApartMax),
    1,
  )
  .option('--json', 'print nothing but the summary, as one line of JSON', false)
  .option('--processes [n]', 'run each service in a process of its own, or in so many', wholeNumber())
  .option('--data <folder>', 'where the data is kept (default: a temporary folder, removed at the end)')
  .option(
    '--ledger <url>',
    'a PostgreSQL database, postgres://...; give --data, too, to run on it again (default: SQLite files among the data)',
    address('postgres://user@host/shop', isPostgres),
  )
  .option(
    '--remember <duration>',
    'how long handled events are kept, and orders may be open (default: 7d and 15m)',
    duration,
  )
  .option('--port <n>', 'of the API and the page (default: any free port)', wholeNumber(0, 65_535), 0)
  .addOption(
    new Option('--wire <name>', 'four services with a ledger each, joined only by this broker').choices(wireNames),
  )
  .option('--broker <address>', 'with --wire: a broker that runs (default: one is started for the run)')
  .addOption(
    new Option('--service <name>', 'run only this service, beside others on the same data').choices(serviceNames),
  )
  .addOption(
    new Option('--provider <url>', 'with --service payments: the payment provider')
      .env('PROVIDER_URL')
      .argParser(address('http://127.0.0.1:4001', isHttp)),
  )
  .addOption(
    new Option('--mailbox <url>', 'with --service notifications: the mail server')
      .env('MAILBOX_URL')
      .argParser(address('smtp://127.0.0.1:2525', isMailServer)),
  )
  .allowExcessArguments(false)
  .action(async (given: Given) => {
    const { service, data, ledger, wire, broker } = given
    if (broker && !wire) return program.error('error: --broker needs --wire: what kind of broker it is')
    if (wire && !broker && (data || service))
      return program.error('error: --wire with --data or --service needs --broker: what is on its way is kept there')
    if (service) {
      if (!data && !ledger) return program.error('error: --service needs --data or --ledger: what the services share')
      const shared = ledger ?? databaseIn(data!)
      if (wire && ledger) await makeDatabases(ledger)
      const joined = wire && { database: databaseOf(service, shared), wire: { name: wire, url: broker! } }
      process.exitCode = await serveAlone(
        { ...given, service, database: shared, wire: undefined, ...joined },
        stop.signal,
      )
      return
    }
    const rate = given.rate ?? (given.chaos ? 10 : given.once ? Infinity : 8)
    const processes = given.processes === true ? 1 : (given.processes ?? (wire ? 1 : 0))
    process.exitCode = await run({ ...given, rate, processes }, stop.signal)
  })

await program.parseAsync().catch((error: unknown) => {
  const sentence = sentenceOf(error)
  if (sentence === undefined) throw error
  program.error(`error: ${sentence}`)
})
