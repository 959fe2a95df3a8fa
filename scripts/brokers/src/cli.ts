/** `node scripts/brokers.mjs`: starts and ends brokers on loopback. */
import { parseArgs } from 'node:util'
import { kinds, type BrokerKind, type BrokerName } from './index.ts'
import { down, logFile, stateOf, up } from './state.ts'

const names = Object.keys(kinds) as BrokerName[]

const help = `node scripts/brokers.mjs up|down|wipe|status [${names.join(' ')}] [--port NAME=NUMBER]

up      starts brokers on loopback, each in .cache/brokers; one that runs is left alone
down    ends them; their data stays
wipe    ends them and removes their data
status  says what runs, and what is missing on this machine

Without names, all of them are meant.`

interface Request {
  readonly chosen: readonly BrokerKind[]
  readonly ports: ReadonlyMap<string, number>
}

const commands: Readonly<Record<string, (request: Request) => Promise<boolean>>> = {
  async up({ chosen, ports }) {
    return each(chosen, async (kind) => {
      const { running, was } = await up(kind, ports.get(kind.name))
      return `${was ? 'already up' : 'up'} at ${running.url} (process ${running.pid}, log ${logFile(kind)})`
    })
  },
  down: ({ chosen }) => each(chosen, async (kind) => ((await down(kind)) ? 'ended' : 'was not running')),
  wipe: ({ chosen }) =>
    each(chosen, async (kind) => `${(await down(kind, true)) ? 'ended' : 'was not running'}, data removed`),
  status: ({ chosen }) =>
    each(chosen, async (kind) => {
      const running = stateOf(kind)
      if (running) return `up at ${running.url} (process ${running.pid}, log ${logFile(kind)})`
      const missing = kind.missing()
      return missing === undefined ? 'not running' : `can not run here: ${missing}`
    }),
}

/** One line for each; true when all went well. */
async function each(chosen: readonly BrokerKind[], act: (kind: BrokerKind) => Promise<string>): Promise<boolean> {
  let allWell = true
  for (const kind of chosen) {
    try {
      console.log(`${kind.name}: ${await act(kind)}`)
    } catch (error) {
      allWell = false
      console.error((error as Error).message)
    }
  }
  return allWell
}

function understand(): { command: string; request: Request } | undefined {
  const options = { port: { type: 'string', multiple: true }, help: { type: 'boolean' } } as const
  const { values, positionals } = parseArgs({ options, allowPositionals: true })
  const [command = '', ...given] = positionals
  const unknown = given.filter((name) => !(name in kinds))
  if (values.help || !(command in commands) || unknown.length > 0) return undefined
  const pairs = (values.port ?? []).map((text) => text.split('='))
  const ports = new Map(pairs.map(([name, number]): [string, number] => [name!, Number(number)]))
  if ([...ports].some(([name, port]) => !(name in kinds) || !Number.isInteger(port))) return undefined
  const chosen = (given.length > 0 ? (given as BrokerName[]) : names).map((name): BrokerKind => kinds[name])
  return { command, request: { chosen, ports } }
}

const understood = understand()
if (understood === undefined) console.log(help)
const well = understood !== undefined && (await commands[understood.command]!(understood.request))
if (!well) process.exitCode = 1
