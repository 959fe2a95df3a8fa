/** Draws a declared choreography as a flowchart in Mermaid: services as boxes, reactions in them, events between them. */
import { durationText } from '../base/index.ts'
import { patternText, type AnyPattern } from '../contracts/index.ts'
import type { Choreography, ReactionDescription, TriggerDescription } from '../service/index.ts'
import { drawing, mermaidText } from './mermaid-text.ts'

// Names that are no words of Mermaid: `call` or `end` as a class would not parse.
const styles = [
  'classDef startEvent stroke:#0969da,stroke-width:3px',
  'classDef goodEnd stroke:#1a7f37,stroke-width:3px',
  'classDef badEnd stroke:#cf222e,stroke-width:3px',
  'classDef talksOutside stroke-width:3px',
]

/** Collects nodes, edges and classes while the reactions are gone through. */
class Chart {
  readonly events = new Map<string, string>()
  readonly edges: string[] = []
  readonly classes = new Map<string, string[]>()

  event(type: string): string {
    const known = this.events.get(type)
    if (known) return known
    const id = `e${this.events.size}`
    this.events.set(type, id)
    return id
  }

  style(className: string, id: string): void {
    this.classes.set(className, [...(this.classes.get(className) ?? []), id])
  }

  /** An edge in Mermaid's words, such as `e0 --> r1`, with a text on it. */
  edge(edge: `${string} ${string} ${string}`, ...texts: readonly (string | null)[]): void {
    const text = texts.filter((part) => part !== null).join(' ')
    const to = edge.lastIndexOf(' ')
    this.edges.push(text === '' ? edge : `${edge.slice(0, to)}|"${mermaidText(text)}"|${edge.slice(to)}`)
  }
}

/**
 * The choreography as Mermaid flowchart text. Events are rounded, reactions stand in the box of their service: joins as
 * hexagons, deadlines as slanted boxes with their time, reactions that call the outside with double sides. Undoing is
 * dashed; an edge that ends in a cross settles a deadline; starts are blue, good ends green, bad ends red.
 *
 * @example
 * ```ts run
 * import { choreography, event, service } from 'quadrille'
 * import { choreographyFlowchart } from 'quadrille/observe'
 * import * as z from 'zod'
 *
 * const schema = z.object({ id: z.string() })
 * const Asked = event('asked', { key: 'id', schema })
 * const Answered = event('answered', { key: 'id', schema })
 * const desk = service('desk').on(Asked, { emits: [Answered] }, (data) => Answered(data))
 * const talk = choreography('talk', { services: [desk], starts: [Asked], ends: { success: [Answered] } })
 * choreographyFlowchart(talk).split('\n')[0] // => 'flowchart LR'
 * ```
 */
export function choreographyFlowchart(choreography: Choreography): string {
  const { name, services, starts, ends } = choreography
  const chart = new Chart()
  const boxes: string[] = []
  for (const { type } of starts) chart.event(type)
  let reactions = 0
  services.forEach((service, index) => {
    boxes.push(`subgraph s${index}["${mermaidText(service.name)}"]`)
    for (const reaction of service.describe().reactions) {
      const id = `r${reactions++}`
      boxes.push(`  ${nodeOf(id, reaction)}`)
      if (reaction.calls || reaction.undo?.calls) chart.style('talksOutside', id)
      connect(chart, id, reaction)
    }
    boxes.push('end')
  })
  const styled = (className: string, events: readonly AnyPattern[]) => {
    for (const type of new Set(events.map((event) => event.type))) chart.style(className, chart.event(type))
  }
  styled('startEvent', starts)
  styled('goodEnd', ends.success)
  styled('badEnd', ends.failure)
  const events = [...chart.events].map(([type, id]) => `${id}(["${mermaidText(type)}"])`)
  const classes = [...chart.classes].map(([className, ids]) => `class ${ids.join(',')} ${className}`)
  const title = `accTitle: Choreography ${mermaidText(name)}`
  return drawing('flowchart LR', [title, ...events, ...boxes, ...chart.edges, ...styles, ...classes])
}

function nodeOf(id: string, reaction: ReactionDescription): string {
  const within = reaction.withinMs === null ? '' : durationText(reaction.withinMs)
  const remarks = [
    reaction.kind === 'all' ? (within === '' ? 'join' : `join, late after ${within}`) : '',
    reaction.kind === 'deadline' ? `after ${within}` : '',
    reaction.calls ? 'calls outside' : '',
    reaction.undo ? (reaction.undo.calls ? 'can be undone, calls outside' : 'can be undone') : '',
    reaction.filtered ? 'filtered' : '',
    reaction.batch ? `batches of ${reaction.batch.size}` : '',
    reaction.coalesceMs === null ? '' : 'latest of each key',
  ].filter((remark) => remark !== '')
  const label = [reaction.name, ...remarks].map((line) => mermaidText(line)).join('<br/>')
  if (reaction.kind === 'all') return `${id}{{"${label}"}}`
  if (reaction.kind === 'deadline') return `${id}[/"${label}"/]`
  return reaction.calls ? `${id}[["${label}"]]` : `${id}["${label}"]`
}

function connect(chart: Chart, id: string, reaction: ReactionDescription): void {
  const narrowed = (trigger: TriggerDescription) => (trigger.pattern === null ? null : patternText(trigger.pattern))
  const started = reaction.kind === 'deadline' ? 'starts' : null
  const event = ({ type }: TriggerDescription) => chart.event(type)
  for (const trigger of reaction.triggers) chart.edge(`${event(trigger)} --> ${id}`, started, narrowed(trigger))
  for (const type of reaction.emits) chart.edge(`${id} --> ${chart.event(type)}`)
  for (const trigger of reaction.unless) chart.edge(`${event(trigger)} --x ${id}`, 'settles', narrowed(trigger))
  for (const trigger of reaction.undo?.on ?? []) chart.edge(`${event(trigger)} -.-> ${id}`, 'undo', narrowed(trigger))
  for (const type of reaction.undo?.emits ?? []) chart.edge(`${id} -.-> ${chart.event(type)}`, 'undone')
}
