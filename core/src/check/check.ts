/** Reads declarations and says what can go wrong. */
import type { Choreography } from '../service/index.ts'
import type { CheckOptions, CheckReport, Finding, FlowReport } from './finding.ts'

/** Checks declared choreographies. */
export function check(
  choreographies: Choreography | readonly Choreography[],
  _options: CheckOptions = {},
): CheckReport {
  const all = [choreographies].flat()
  return { findings: all.flatMap(orphans), suppressed: [], flows: all.map(flowOf) }
}

function orphans(choreography: Choreography): Finding[] {
  const { name, services, starts } = choreography.describe()
  const reactions = services.flatMap((service) => service.reactions)
  const started = starts.map(({ type }) => type)
  const emitted = new Set([...started, ...reactions.flatMap(({ emits, undo }) => [...emits, ...(undo?.emits ?? [])])])
  return reactions.flatMap((reaction) =>
    reaction.triggers
      .filter(({ type }) => !emitted.has(type))
      .map(({ type }) => ({
        code: 'S1' as const,
        rule: 'nobody emits it',
        severity: 'error' as const,
        choreography: name,
        places: [{ what: `${reaction.service}/${reaction.name}`, at: reaction.place }],
        message: `${reaction.service}/${reaction.name} waits for ${type}, which nobody emits: it never runs.`,
        sequence: [],
        fix: 'Correct the trigger, or name the event among the starts.',
      })),
  )
}

function flowOf(choreography: Choreography): FlowReport {
  const { name, services, place } = choreography.describe()
  const reactions = services.reduce((sum, service) => sum + service.reactions.length, 0)
  const none = { events: 0, fanOut: 0, longestPath: [], attempts: 0, worstMs: 0 }
  return { choreography: name, place, services: services.length, reactions, ...none }
}
