/** A schedule that went wrong, told to people: a sentence, the constraints, and a sequence diagram. */
import { drawing, mermaidText, Participants } from '../observe/mermaid-text.ts'
import { constraintText, type Constraint } from './constraints.ts'
import type { SimRun } from './sim-run.ts'
import type { TraceEntry, Violation } from './schedule-types.ts'

/** The constraints as one sentence. */
export function sentenceOf(violation: Violation, constraints: readonly Constraint[]): string {
  const parts = constraints.map((each) => {
    if (each.kind === 'hold') return `${each.step} comes after ${each.until}`
    if (each.kind === 'outcome') return `${each.step.replace(/#\*$/, ' (always)')} is answered with ${each.answer}`
    if (each.fault === 'early timer') return `${each.step} while other things are still under way`
    return `there is ${/^[aeiou]/.test(each.fault) ? 'an' : 'a'} ${each.fault} at ${each.step}`
  })
  const when = parts.length === 0 ? 'Even when nothing goes wrong' : `When ${listed(parts)}`
  return `${when}: ${violation.message}.`
}

const listed = (parts: readonly string[]): string =>
  parts.length < 2 ? parts.join() : `${parts.slice(0, -1).join(', ')} and ${parts[parts.length - 1]}`

/** Constraints one a line. */
export const constraintsText = (constraints: readonly Constraint[]): string =>
  constraints.length === 0 ? '(the default schedule)' : constraints.map(constraintText).join('\n')

/** The whole schedule as a sequence diagram in Mermaid. */
export function scheduleDiagram(run: SimRun, violation: Violation): string {
  const participants = new Participants()
  const lines: string[] = []
  const events = new Map([...run.book.told.values()].map((told) => [told.name, told]))
  for (const entry of run.trace) lines.push(...linesOf(entry, participants, events))
  const last = run.trace.findLast((entry) => entry.service !== null)?.service ?? run.stage.parts[0]!.service.name
  lines.push(
    'rect rgba(207, 34, 46, 0.2)',
    `Note over ${participants.service(last)}: ${mermaidText(violation.message, 200)}`,
    'end',
  )
  return drawing('sequenceDiagram', [`accTitle: ${mermaidText(violation.code)}`, ...participants.lines, ...lines])
}

type Events = ReadonlyMap<string, { readonly event: { readonly source: string; readonly reaction: string | null } }>

function linesOf(entry: TraceEntry, participants: Participants, events: Events): string[] {
  const { kind, name, service, fault, outcome } = entry
  const remark = fault === undefined ? '' : ` (${fault})`
  if (kind === 'deliver') {
    const again = name.endsWith(' again')
    const [told = ''] = name.split('→')
    const source = events.get(told)?.event.source ?? 'outside'
    const from = source === 'outside' ? participants.outside('outside') : participants.service(source)
    return [
      `${from}${again ? '-->>' : '->>'}${participants.service(service!)}: ${mermaidText(`${told}${again ? ' again' : ''}${remark}`)}`,
    ]
  }
  if (kind === 'call') {
    const lost = fault === 'answer lost' || fault === 'request lost' || fault === 'timeout' || fault === 'request late'
    const outside = participants.outside('the outside')
    return [`${participants.service(service!)}${lost ? '--x' : '->>'}${outside}: ${mermaidText(`${name}${remark}`)}`]
  }
  if (kind === 'outcome')
    return [`Note over ${participants.outside('the outside')}: ${mermaidText(`${name} = ${outcome}`)}`]
  if (service === null) return [`Note over ${participants.outside('outside')}: ${mermaidText(`${name}${remark}`)}`]
  return [`Note over ${participants.service(service)}: ${mermaidText(`${name}${remark}`)}`]
}
