/** What a rule works with: the runs, and how to say what it has found. */
import type { ReactionDescription } from '../service/index.ts'
import type { Finding, Place, Severity } from './finding.ts'
import type { Model, Step } from './model.ts'
import type { Play } from './play.ts'
import { rules, type RuleCode } from './rule-list.ts'
import type { Run, Runs } from './runs.ts'

/** What a rule says. */
export interface Saying {
  readonly places: readonly (Place | undefined)[]
  readonly message: string
  readonly sequence?: readonly string[]
  readonly fix: string
  readonly severity?: Severity
}

/** A rule as a function. */
export type CheckRule = (context: Context) => void

/** Collects findings. */
export class Context {
  readonly model: Model
  readonly runs: Runs
  /** The other choreographies that are checked together with this one. */
  readonly others: readonly Model[]
  readonly findings: Finding[] = []

  constructor(runs: Runs, others: readonly Model[]) {
    this.runs = runs
    this.others = others
    this.model = runs.model
  }

  /** The choreography as a place. */
  get whole(): Place {
    const { name, place } = this.model.description
    return { what: `choreography ${name}`, at: place }
  }

  say(code: RuleCode, { places, message, sequence = [], fix, severity }: Saying): void {
    const rule = rules[code]
    this.findings.push({
      code,
      rule: rule.name,
      severity: severity ?? rule.severity,
      choreography: this.model.description.name,
      places: places.some((place) => place !== undefined) ? unique(places) : [this.whole],
      message,
      sequence,
      fix,
    })
  }
}

function unique(places: readonly (Place | undefined)[]): Place[] {
  const known = new Map<string, Place>()
  for (const place of places) if (place) known.set(`${place.what}\n${place.at}`, place)
  return [...known.values()]
}

export const placeOf = (reaction: ReactionDescription | undefined): Place | undefined =>
  reaction && { what: `${reaction.service}/${reaction.name}`, at: reaction.place }

/** `a, b and c`. */
export function list(words: readonly string[], word = 'and'): string {
  const all = [...new Set(words)]
  return all.length < 2 ? (all[0] ?? '') : `${all.slice(0, -1).join(', ')} ${word} ${all.at(-1)!}`
}

/** How these occurrences came about: one line for each step, causes first. */
export function storyOf(model: Model, play: Play, targets: readonly number[]): string[] {
  const lines: string[] = []
  const told = new Set<number>()
  const tell = (id: number): void => {
    if (told.has(id)) return
    told.add(id)
    if (!play.reached(id)) return
    const by = play.causeOf(id)
    if (by === undefined) {
      lines.push(`${model.text(id)} starts it`)
      return
    }
    for (const cause of play.actedOn(by)) tell(cause)
    lines.push(`${actionOf(by)} ${model.text(id)}`)
  }
  for (const target of targets) tell(target)
  return lines
}

/** Who emits, as the beginning of a sentence. */
export function actionOf({ part, name, needs }: Step): string {
  if (part === 'undo') return `the undo of ${name} emits`
  if (part === 'late') return `${name} has not got all its parts in time and emits`
  if (part === 'expire') return `the time of ${name} is over and it emits`
  if (part === 'external') return needs.length === 0 ? `${name} emits, of its own accord,` : `${name} answers with`
  return `${name} emits`
}

/** What led to the alternatives of the run, as occurrences to be told. */
export const deviationsOf = ({ deviations }: Run): number[] =>
  deviations.flatMap(({ alternative }) => [...alternative.emits])
