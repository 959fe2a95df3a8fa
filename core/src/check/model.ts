/**
 * A choreography as an AND/OR graph: occurrences of events, and steps that need some of them and lead to others. A step is
 * one way in which a reaction can act: its handler, its undo, a join that is late, a deadline that has passed.
 */
import { patternText, type AnyContract, type AnyPattern, type Pattern } from '../contracts/index.ts'
import { schemaOf } from '../contracts/json-schema.ts'
import {
  emitsOf,
  triggersOf,
  type Choreography,
  type ChoreographyDescription,
  type ReactionDescription,
  type TriggerDescription,
} from '../service/index.ts'
import { occurrencesOf, satisfies, valuesText, type Values } from './occurrences.ts'

/** An event of a type, told apart as far as the choreography tells it apart. */
export interface Occurrence {
  readonly id: number
  readonly type: string
  readonly values: Values
  /** `payment.processed{status=failed}`. */
  readonly text: string
}

/** How a step comes to act. */
export type StepPart = 'run' | 'undo' | 'late' | 'expire' | 'external'

/** One way in which somebody acts. */
export interface Step {
  readonly id: number
  readonly part: StepPart
  readonly service: string
  /** `service/reaction`; the party's name for an external one. */
  readonly name: string
  /** Undefined for somebody external. */
  readonly reaction: ReactionDescription | undefined
  /** What it needs: one of each list, or of any of them. Ids of occurrences. */
  readonly needs: readonly (readonly number[])[]
  readonly mode: 'all' | 'any'
  /** An undo acts only after this step has. */
  readonly after: number | undefined
  /** It acts when time has passed, unless one of these has come. */
  readonly timer: { readonly unless: ReadonlySet<number> } | undefined
  /** What it may emit, by type. */
  readonly emits: readonly { readonly type: string; readonly occurrences: readonly number[] }[]
  /** The same as one list. */
  readonly all: readonly number[]
}

/** All occurrences a step may emit. */
export const mayEmit = (step: Step): readonly number[] => step.all

/** The graph. */
export class Model {
  readonly choreography: Choreography
  readonly description: ChoreographyDescription
  readonly occurrences: Occurrence[] = []
  readonly steps: Step[] = []
  readonly reactions: readonly ReactionDescription[]
  /** For each declared start, its occurrences. */
  readonly starts: readonly (readonly number[])[]
  readonly success: ReadonlySet<number>
  readonly failure: ReadonlySet<number>
  /** All contracts that are declared for a type, and who declares them. */
  readonly contracts: ReadonlyMap<string, readonly DeclaredContract[]>
  /** For each occurrence, the steps that need it, and for which need. */
  readonly consumers: readonly (readonly { readonly step: Step; readonly need: number }[])[]
  /** Steps that need nothing, and steps that wait for their time. */
  readonly spontaneous: readonly Step[]
  readonly timers: readonly Step[]
  /** Where the needs of each step begin when those of all steps stand in one row, and how many there are. */
  readonly needOffsets: readonly number[]
  readonly needCount: number
  readonly #ofType = new Map<string, readonly number[]>()

  constructor(choreography: Choreography) {
    this.choreography = choreography
    this.description = choreography.describe()
    this.reactions = this.description.services.flatMap(({ reactions }) => reactions)
    this.contracts = declaredContracts(choreography)
    const patterns = patternsOf(this.description, this.reactions)
    for (const [type, declared] of this.contracts) {
      const { contract } = declared.find(({ emittedBy }) => emittedBy.length > 0) ?? declared[0]!
      this.#learn(type, occurrencesOf(patterns.get(type) ?? [], schemaOf(contract)))
    }
    for (const reaction of this.reactions) this.#addSteps(reaction)
    for (const { name, consumes, emits } of this.description.external) {
      const needs = consumes.map((trigger) => this.matching(trigger))
      const part = { service: name, name, reaction: undefined, after: undefined, timer: undefined }
      this.#add({
        ...part,
        part: 'external',
        needs,
        mode: needs.length === 0 ? 'all' : 'any',
        emits: this.#emits(emits),
      })
    }
    const { starts, ends } = this.description
    this.starts = starts.map((start) => this.matching(start))
    this.success = new Set(ends.success.flatMap((end) => this.matching(end)))
    this.failure = new Set(ends.failure.flatMap((end) => this.matching(end)))
    const consumers: { step: Step; need: number }[][] = this.occurrences.map(() => [])
    for (const step of this.steps) {
      for (const [need, ids] of step.needs.entries()) for (const id of ids) consumers[id]!.push({ step, need })
    }
    this.consumers = consumers
    this.spontaneous = this.steps.filter(({ needs }) => needs.length === 0)
    this.timers = this.steps.filter(({ timer }) => timer !== undefined)
    let count = 0
    this.needOffsets = this.steps.map(({ needs }) => {
      count += needs.length
      return count - needs.length
    })
    this.needCount = count
  }

  /** The occurrences of a type. */
  ofType(type: string): readonly number[] {
    return this.#ofType.get(type) ?? []
  }

  /** The occurrences that satisfy a trigger. */
  matching({ type, pattern }: Pick<TriggerDescription, 'type' | 'pattern'>): number[] {
    return this.ofType(type).filter((id) => satisfies(this.occurrences[id]!.values, pattern))
  }

  isEnd(id: number): boolean {
    return this.success.has(id) || this.failure.has(id)
  }

  text(id: number): string {
    return this.occurrences[id]!.text
  }

  #learn(type: string, all: readonly Values[]): void {
    const ids = all.map((values) => {
      const id = this.occurrences.length
      const text = values.size === 0 ? type : `${type}{${valuesText(values)}}`
      this.occurrences.push({ id, type, values, text })
      return id
    })
    this.#ofType.set(type, ids)
  }

  #emits(types: readonly string[]): Step['emits'] {
    return [...new Set(types)].map((type) => ({ type, occurrences: this.ofType(type) }))
  }

  #add(step: Omit<Step, 'id' | 'all'>): number {
    const all = step.emits.flatMap(({ occurrences }) => occurrences)
    return this.steps.push({ ...step, id: this.steps.length, all }) - 1
  }

  #addSteps(reaction: ReactionDescription): void {
    const { service, kind, triggers, unless, undo } = reaction
    const base = { service, name: `${service}/${reaction.name}`, reaction, after: undefined, timer: undefined }
    const needs = triggers.map((trigger) => this.matching(trigger))
    const emits = this.#emits(reaction.emits)
    if (kind === 'deadline') {
      const timer = { unless: new Set(unless.flatMap((trigger) => this.matching(trigger))) }
      this.#add({ ...base, part: 'expire', needs, mode: 'all', timer, emits })
      return
    }
    const run = this.#add({ ...base, part: 'run', needs, mode: 'all', emits })
    if (kind === 'all' && reaction.withinMs !== null) {
      this.#add({ ...base, part: 'late', needs, mode: 'any', timer: { unless: new Set() }, emits })
    }
    if (undo) {
      const on = undo.on.map((trigger) => this.matching(trigger))
      this.#add({ ...base, part: 'undo', needs: on, mode: 'any', after: run, emits: this.#emits(undo.emits) })
    }
  }
}

/** Stands for whoever publishes the first event: no reaction does. */
export const whoeverStarts = 'whoever starts it'

/** A contract, and who uses it in which way. */
export interface DeclaredContract {
  readonly contract: AnyContract
  readonly emittedBy: readonly string[]
  readonly readBy: readonly string[]
}

function declaredContracts(choreography: Choreography): Map<string, DeclaredContract[]> {
  const found = new Map<AnyContract, { emittedBy: string[]; readBy: string[] }>()
  const entry = (contract: AnyContract) => {
    const known = found.get(contract) ?? { emittedBy: [], readBy: [] }
    found.set(contract, known)
    return known
  }
  const known = (patterns: readonly AnyPattern[]) => patterns.forEach((pattern) => entry(pattern.contract))
  known([...choreography.ends.success, ...choreography.ends.failure])
  for (const { contract } of choreography.starts) entry(contract).emittedBy.push(whoeverStarts)
  for (const service of choreography.services) {
    for (const reaction of service.reactions) {
      const name = `${service.name}/${reaction.name}`
      for (const { trigger } of triggersOf(reaction)) entry(trigger.contract).readBy.push(name)
      for (const contract of emitsOf(reaction)) entry(contract).emittedBy.push(name)
    }
  }
  for (const { name, consumes, emits } of choreography.external) {
    for (const pattern of consumes) entry(pattern.contract).readBy.push(name)
    for (const contract of emits) entry(contract).emittedBy.push(name)
  }
  const all = [...found].map(([contract, uses]) => ({ contract, ...uses }))
  return Map.groupBy(all, ({ contract }) => contract.type)
}

function patternsOf(description: ChoreographyDescription, reactions: readonly ReactionDescription[]) {
  const { starts, ends, external } = description
  const all = [
    ...starts,
    ...ends.success,
    ...ends.failure,
    ...external.flatMap(({ consumes }) => consumes),
    ...reactions.flatMap(({ triggers, undo, unless }) => [...triggers, ...(undo?.on ?? []), ...unless]),
  ]
  const patterns = new Map<string, Pattern[]>()
  for (const { type, pattern } of all) {
    if (pattern) patterns.set(type, [...(patterns.get(type) ?? []), pattern])
  }
  return patterns
}

/** A trigger as text. */
export const triggerOf = ({ type, pattern }: TriggerDescription): string =>
  pattern === null ? type : `${type}{${patternText(pattern)}}`
