/** `quadrille check`: what can go wrong in a choreography, before it runs. */
import { Command, Option } from 'commander'
import { check, type CheckReport, type Severity } from 'quadrille/check'
import { painter, type Console } from '../console.ts'
import { githubText } from '../check/github-text.ts'
import { humanText } from '../check/human-text.ts'
import { load } from '../load.ts'
import type { Surroundings } from '../main.ts'

type Format = 'human' | 'json' | 'github'

interface Given {
  readonly json: boolean
  readonly format: Format
  readonly failOn: Severity
}

export function checkCommand({ console, end }: Surroundings): Command {
  return new Command('check')
    .description('Reads the declarations and names what can go wrong. Runs no handler.')
    .argument('[target]', 'a folder with a quadrille.config.ts, or a file that exports choreographies', '.')
    .option('--json', 'print the whole report as JSON; the same as --format json', false)
    .addOption(new Option('--format <format>', 'how to print').choices(['human', 'json', 'github']).default('human'))
    .addOption(
      new Option('--fail-on <severity>', 'exit with 1 from this severity on')
        .choices(['error', 'warning'])
        .default('warning'),
    )
    .addHelpText('after', '\nExit codes: 0 nothing was found, 1 something was, 2 it could not be found out.')
    .action(async (target: string, { json, format, failOn }: Given) => {
      const { choreographies, config } = await load(target, console.cwd)
      const report = check(choreographies, config.check)
      console.out(printed(report, json ? 'json' : format, console))
      const failing = report.findings.some(({ severity }) => severity === 'error' || failOn === 'warning')
      end(failing ? 1 : 0)
    })
}

function printed(report: CheckReport, format: Format, console: Console): string {
  if (format === 'json') return `${JSON.stringify(report, null, 2)}\n`
  if (format === 'github') return githubText(report, console.cwd)
  return humanText(report, { cwd: console.cwd, columns: console.columns, paint: painter(console) })
}
