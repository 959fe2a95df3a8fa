/** Draws a declared choreography as a sequence diagram in Mermaid: how it goes well, and what else may happen. */
import { durationText } from '../base/index.ts'
import type { Choreography, ReactionDescription } from '../service/index.ts'
import { ChoreographyGraph } from './choreography-graph.ts'
import { Scenario, type Happening, type Step } from './choreography-scenario.ts'
import { drawing, mermaidText, Participants } from './mermaid-text.ts'

interface Branch {
  readonly title: string
  readonly steps: readonly Step[]
}

/**
 * The choreography as Mermaid sequence diagram text: the way to a successful end first, then each event that a reaction
 * may emit instead as an alternative, then deadlines and joins that come too late as options. Undoing is dashed. What
 * happens at run time is drawn by {@link flowDiagram}.
 *
 * @example
 * ```ts run
 * import { choreography, event, service } from 'quadrille'
 * import { choreographySequence } from 'quadrille/observe'
 * import * as z from 'zod'
 *
 * const schema = z.object({ id: z.string() })
 * const Asked = event('asked', { key: 'id', schema })
 * const Answered = event('answered', { key: 'id', schema })
 * const desk = service('desk').on(Asked, { emits: [Answered] }, (data) => Answered(data))
 * const talk = choreography('talk', { services: [desk], starts: [Asked], ends: { success: [Answered] } })
 * choreographySequence(talk).includes('p0->>p1: asked') // => true
 * ```
 */
export function choreographySequence(choreography: Choreography): string {
  const graph = new ChoreographyGraph(choreography)
  const happy = new Scenario(graph, 'success', new Set())
  const seeds = graph.starts.map((occurrence) => ({ occurrence, producer: null, chain: new Set<string>() }))
  const opening = happy.play(seeds)
  const { alternatives, played } = alternativesOf(graph, happy)
  const options = optionsOf(graph, { happy, played })

  const participants = new Participants()
  participants.outside('outside')
  const start = happy.steps.slice(0, opening).map((step) => lineOf(step, participants))
  const well = happy.steps.slice(opening)
  const limit = choreography.withinMs === null ? '' : ` within ${durationText(choreography.withinMs)}`
  const body = (steps: readonly Step[]) => steps.map((step) => `  ${lineOf(step, participants)}`)
  const way: string[] = []
  if (alternatives.length === 0) way.push(...well.map((step) => lineOf(step, participants)))
  else {
    const branches = [
      ...(well.length === 0 ? [] : [{ title: `as it should go${limit}`, steps: well }]),
      ...alternatives,
    ]
    branches.forEach(({ title, steps }, index) => {
      way.push(`${index === 0 ? 'alt' : 'else'} ${mermaidText(title)}`, ...body(steps))
    })
    way.push('end')
  }
  for (const { title, steps } of options) way.push(`opt ${mermaidText(title)}`, ...body(steps), 'end')
  const title = `accTitle: Choreography ${mermaidText(choreography.name)} as declared`
  return drawing('sequenceDiagram', [title, ...participants.lines, ...start, ...way])
}

/** Every event that could have come instead, each with what follows from it. */
function alternativesOf(graph: ChoreographyGraph, happy: Scenario) {
  const alternatives: Branch[] = []
  const played = [happy]
  const drawn = new Set<string>()
  const queue: Happening[] = [...happy.untaken]
  for (let next = queue.shift(); next; next = queue.shift()) {
    const { occurrence, producer } = next
    const key = `${producer} ${occurrence.text}`
    if (drawn.has(key) || played.some((scenario) => scenario.happened.has(occurrence.text))) continue
    drawn.add(key)
    const scenario = new Scenario(graph, 'failure', happy.happened)
    scenario.play([next])
    alternatives.push({ title: `${occurrence.text} from ${producer}`, steps: scenario.steps })
    played.push(scenario)
    queue.push(...scenario.untaken)
  }
  return { alternatives, played }
}

/** What deadlines do when they pass, and joins when a part is missing. */
function optionsOf(graph: ChoreographyGraph, { happy, played }: { happy: Scenario; played: readonly Scenario[] }) {
  const happened = new Set(played.flatMap((scenario) => [...scenario.happened]))
  const begins = ({ triggers }: ReactionDescription) =>
    triggers.some((trigger) =>
      graph.occurrencesOf(trigger.type).some((each) => happened.has(each.text) && graph.triggers(trigger, each)),
    )
  return graph.reactions
    .filter((reaction) => reaction.kind !== 'on' && reaction.withinMs !== null && begins(reaction))
    .map((reaction): Branch => {
      const scenario = new Scenario(graph, 'failure', happy.happened)
      scenario.expire(reaction)
      const what = reaction.kind === 'all' ? 'late' : 'passed'
      return { title: `${reaction.name} ${what} after ${durationText(reaction.withinMs ?? 0)}`, steps: scenario.steps }
    })
}

function lineOf(step: Step, participants: Participants): string {
  const idOf = (name: string | null) => (name === null ? participants.outside('outside') : participants.service(name))
  if (step.kind === 'note') return `Note over ${idOf(step.over)}: ${mermaidText(step.text)}`
  const arrow = step.undo ? '-->>' : step.to === null ? '-)' : '->>'
  return `${idOf(step.from)}${arrow}${idOf(step.to)}: ${mermaidText(step.text)}`
}
