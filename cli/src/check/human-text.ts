/** The report for a terminal. */
import type { CheckReport, Finding, FlowReport } from 'quadrille/check'
import { durationText } from 'quadrille'
import type { painter } from '../console.ts'
import { shownPlace } from '../places.ts'
import { paragraph } from './wrapped.ts'

interface Look {
  readonly cwd: string
  readonly columns: number
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
  const unproven = report.decoding.filter(({ verdict }) => verdict === 'unknown')
  const open = unproven.map(
    (each) =>
      `  ${each.consumer} was not proven to decode ${each.type} of ${each.producer}: ${'why' in each ? each.why : ''}`,
  )
  const quiet = suppressed.length === 0 ? '' : ` ${count(suppressed.length, 'finding')} suppressed with a reason.`
  return `${[...parts, ...(open.length > 0 ? [open.join('\n')] : []), sum + quiet].join('\n\n')}\n`
}

const sumOf = (n: number, index: number) => (n === 0 ? '' : count(n, index === 0 ? 'error' : 'warning'))

function headOf({ choreography, services, reactions, events, place }: FlowReport, { cwd, paint }: Look): string {
  const size = [count(services, 'service'), count(reactions, 'reaction'), count(events, 'event type')].join(', ')
  return `${paint('bold', choreography)}  ${size}  ${paint('dim', shownPlace(place, cwd))}`.trimEnd()
}

function findingText(finding: Finding, { cwd, columns, paint }: Look): string {
  const { severity, code, rule, message, places, sequence, fix } = finding
  const colour = severity === 'error' ? 'red' : 'yellow'
  const wide = Math.max(0, ...places.map(({ what }) => what.length))
  const fixed = paragraph('    Fix: ', fix, columns)
  return [
    `  ${paint([colour, 'bold'], `${severity} ${code}`)} ${paint('bold', rule)}`,
    ...paragraph('    ', message, columns),
    ...sequence.flatMap((step, index) => paragraph(`      ${index + 1}. `, step, columns)),
    fixed[0]!.replace('Fix:', paint('green', 'Fix:')),
    ...fixed.slice(1),
    ...places.map(({ what, at }) => paint('dim', `    ${what.padEnd(wide)}  ${shownPlace(at, cwd)}`.trimEnd())),
  ].join('\n')
}

function sizeOf({ longestPath, handlings, attempts, worstMs }: FlowReport, { paint }: Look): string {
  const worst = worstMs === 0 ? '' : `, ${durationText(worstMs)} at worst`
  const size = `${count(longestPath.length, 'event')} in a row, ${count(handlings, 'handling')}, ${count(attempts, 'attempt')}${worst}`
  return `  ${paint('dim', `At most ${size}.`)}`
}
