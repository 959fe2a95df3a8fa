/** The command as a function: arguments in, exit code out. */
import { Command, CommanderError } from 'commander'
import { isQuadrilleError } from 'quadrille'
import { terminal, type Console } from './console.ts'
import { checkCommand } from './commands/check.ts'
import { simulateCommand } from './commands/simulate.ts'

/** 0: nothing was found. 1: something was. 2: it could not be found out. */
export type ExitCode = 0 | 1 | 2

/** What a command gets: where to write, and how to say how it ended. */
export interface Surroundings {
  readonly console: Console
  readonly end: (code: ExitCode) => void
}

/**
 * Runs the command line.
 *
 * @param argv - Without `node` and the script.
 * @returns The exit code; errors of the user are told on stderr and never thrown.
 */
export async function main(argv: readonly string[], console: Console = terminal()): Promise<ExitCode> {
  let code: ExitCode = 0
  const surroundings: Surroundings = { console, end: (given) => void (code = given) }
  try {
    await programOf(surroundings).parseAsync(argv, { from: 'user' })
    return code
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
    if (!isQuadrilleError(error)) throw error
    console.err(`${error.message}\n`)
    return 2
  }
}

function programOf(surroundings: Surroundings): Command {
  const { console } = surroundings
  const program = new Command('quadrille')
    .description('Event choreography: what is declared, before and while it runs.')
    .showSuggestionAfterError()
    .allowExcessArguments(false)
  for (const command of [checkCommand(surroundings), simulateCommand(surroundings)]) program.addCommand(command)
  for (const each of [program, ...program.commands]) {
    each.exitOverride().configureOutput({ writeOut: console.out, writeErr: console.err })
  }
  return program
}
