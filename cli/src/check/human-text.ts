/** The report for a terminal. */
import type { CheckReport, Finding, FlowReport } from 'quadrille/check'
import { durationText } from 'quadrille'
import type { painter } from '../console.ts'
import { shownPlace } from '../places.ts'

interface Look {
  readonly cwd: string
  readonly paint: ReturnType<typeof painter>
}

const count = (n: number, noun: string) => `${n} ${noun}${n === 1 ? '' : 's'}`

/** The whole report: each choreography with its findings, and a line that sums up. */
export function humanText(report: CheckReport, look: Look): string {
  const { findings, suppressed, flows } = report
  const parts = flows.map((flow) => {
    const own = findings.filter(({ choreography }) => choreography === flow.choreography)
    return [headOf(flow, look), ...own.map((finding) => findingText(finding, look)), sizeOf(flow, look)].join('\n\n')
  })
  const errors = findings.filter(({ severity }) => severity === 'error').length
  const sum =
    findings.length === 0
      ? look.paint('green', 'Nothing found.')
      : look.paint(
          errors > 0 ? 'red' : 'yellow',
          [errors, findings.length - errors].map(sumOf).filter(Boolean).join(', '),
        )
  const quiet = suppressed.length === 0 ? '' : ` ${count(suppressed.length, 'finding')} suppressed with a reason.`
  return `${[...parts, sum + quiet].join('\n\n')}\n`
}

const sumOf = (n: number, index: number) => (n === 0 ? '' : count(n, index === 0 ? 'error' : 'warning'))

function headOf({ choreography, services, reactions, events, place }: FlowReport, { cwd, paint }: Look): string {
  const size = [count(services, 'service'), count(reactions, 'reaction'), count(events, 'event type')].join(', ')
  return `${paint('bold', choreography)}  ${size}  ${paint('dim', shownPlace(place, cwd))}`.trimEnd()
}

function findingText({ severity, code, rule, message, places, sequence, fix }: Finding, { cwd, paint }: Look): string {
  const colour = severity === 'error' ? 'red' : 'yellow'
  const wide = Math.max(0, ...places.map(({ what }) => what.length))
  return [
    `  ${paint([colour, 'bold'], `${severity} ${code}`)} ${paint('bold', rule)}`,
    `    ${message}`,
    ...sequence.map((step, index) => `      ${paint('dim', `${index + 1}.`)} ${step}`),
    `    ${paint('green', 'Fix:')} ${fix}`,
    ...places.map(({ what, at }) => paint('dim', `    ${what.padEnd(wide)}  ${shownPlace(at, cwd)}`.trimEnd())),
  ].join('\n')
}

function sizeOf({ longestPath, handlings, attempts, worstMs }: FlowReport, { paint }: Look): string {
  const worst = worstMs === 0 ? '' : `, ${durationText(worstMs)} at worst`
  const size = `${count(longestPath.length, 'event')} in a row, ${count(handlings, 'handling')}, ${count(attempts, 'attempt')}${worst}`
  return `  ${paint('dim', `At most ${size}.`)}`
}
