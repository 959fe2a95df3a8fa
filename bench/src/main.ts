/** `npm run bench -- <benchmark>`: see bench/README.md. */
import { listed, parse, UsageError, type Given, type OptionKinds } from './arguments.ts'
import { checkCommand, checkOptions } from './check-command.ts'
import { growthCommand, growthOptions } from './growth-command.ts'
import { orderFlowCommand, orderFlowOptions } from './order-flow-command.ts'
import { scaleCommand, scaleOptions } from './scale-command.ts'
import { simulateCommand, simulateOptions } from './simulate-command.ts'
import { survivalCommand, survivalOptions } from './survival-command.ts'
import { wireCommand, wireOptions } from './wires/wire-command.ts'

interface Command {
  readonly says: string
  readonly options: OptionKinds
  readonly run: (given: Given) => Promise<void>
}

const commands: Readonly<Record<string, Command>> = {
  'order-flow': {
    says: 'the order flow beside an emitter and a hand-written outbox',
    options: orderFlowOptions,
    run: orderFlowCommand,
  },
  survival: {
    says: 'the order application on PostgreSQL while processes and the server are killed',
    options: survivalOptions,
    run: survivalCommand,
  },
  scale: { says: 'the order flow on PostgreSQL in 1, 2 and 4 processes', options: scaleOptions, run: scaleCommand },
  simulate: { says: 'how many schedules a simulation tries', options: simulateOptions, run: simulateCommand },
  growth: { says: 'the order flow on a ledger full of history', options: growthOptions, run: growthCommand },
  wire: { says: 'from ledger to ledger over a broker, beside the bare client', options: wireOptions, run: wireCommand },
  check: { says: 'the check of a large choreography', options: checkOptions, run: checkCommand },
}

function help(): string {
  const parts = Object.entries(commands).map(([name, { says, options }]) => `${name}: ${says}\n${listed(options)}`)
  return `npm run bench -- <benchmark> [options]\n\n${parts.join('\n\n')}`
}

async function main([name, ...rest]: readonly string[]): Promise<void> {
  if (name === '--help' || name === 'help') return console.log(help())
  const command = name === undefined ? undefined : commands[name]
  if (!command) {
    const said = name === undefined ? 'no benchmark given' : `unknown benchmark ${JSON.stringify(name)}`
    throw new UsageError(`${said}; there is: ${Object.keys(commands).join(', ')}\n\n${help()}`)
  }
  await command.run(parse(rest, command.options))
}

try {
  await main(process.argv.slice(2))
} catch (error) {
  console.error(error instanceof UsageError ? error.message : error)
  process.exitCode = 1
}
