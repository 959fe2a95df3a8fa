/**
 * A schedule as the few things that make it different from the default one. They name steps by their causes, so they still
 * mean the same after a change of the code; one that can not be met any more is ignored.
 */
import { isFault } from './choosers.ts'
import type { Choice, Chooser, FaultKind, Step, TraceEntry } from './schedule-types.ts'

/** `hold`: not before that one. `outcome`: what the outside answers. `fault`: what goes wrong with a step. */
export type Constraint =
  | { readonly kind: 'hold'; readonly step: string; readonly until: string }
  | { readonly kind: 'outcome'; readonly step: string; readonly answer: string }
  /** `after`, for an early timer: the step that it follows; without one, it comes first. */
  | { readonly kind: 'fault'; readonly step: string; readonly fault: FaultKind; readonly after?: string }

/** `HOLD order.created→inventory UNTIL order.cancelled→inventory`. */
export function constraintText(constraint: Constraint): string {
  if (constraint.kind === 'hold') return `HOLD ${constraint.step} UNTIL ${constraint.until}`
  if (constraint.kind === 'outcome') return `OUTCOME ${constraint.step} = ${constraint.answer}`
  const after = constraint.after === undefined ? '' : ` AFTER ${constraint.after}`
  return `FAULT ${constraint.fault} AT ${constraint.step}${after}`
}

/** Stands for all questions of this name: the first, the second `#2`, and so on. */
export const everyOne = (name: string): string => `${name.replace(/#\d+$/, '')}#*`

/** The default schedule under constraints. */
export class Constrained implements Chooser {
  readonly #holds = new Map<string, string[]>()
  readonly #faults = new Map<string, FaultKind>()
  readonly #early: { readonly step: string; readonly after: string | undefined }[] = []
  readonly #outcomes = new Map<string, string>()
  readonly #done = new Set<string>()
  /** For each step that was done, those that were older and had to wait. */
  readonly overtaken: { readonly step: Step; readonly older: readonly Step[] }[] = []

  constructor(constraints: readonly Constraint[]) {
    for (const each of constraints) {
      if (each.kind === 'hold') this.#holds.set(each.step, [...(this.#holds.get(each.step) ?? []), each.until])
      else if (each.kind === 'outcome') this.#outcomes.set(each.step, each.answer)
      else if (each.fault === 'early timer') this.#early.push({ step: each.step, after: each.after })
      else this.#faults.set(each.step, each.fault)
    }
  }

  step(enabled: readonly Step[]): Choice {
    const choice = this.#pick(enabled)
    this.#done.add(choice.step.name)
    return choice
  }

  outcome(name: string, options: readonly string[]): string {
    const wanted = this.#outcomes.get(name) ?? this.#outcomes.get(everyOne(name))
    return wanted !== undefined && options.includes(wanted) ? wanted : options[0]!
  }

  #pick(enabled: readonly Step[]): Choice {
    const early = enabled.find((step) => step.early)
    if (early && this.#isWanted(early)) return { step: early, fault: undefined }
    const now = enabled.filter((step) => !step.early)
    const step = now.find((each) => !this.#isHeld(each)) ?? now[0]!
    const fault = this.#faults.get(step.name)
    return { step, fault: fault !== undefined && step.faults.includes(fault) ? fault : undefined }
  }

  #isWanted(early: Step): boolean {
    const index = this.#early.findIndex(
      ({ step, after }) => step === early.name && (after === undefined || this.#done.has(after)),
    )
    if (index < 0) return false
    this.#early.splice(index, 1)
    return true
  }

  #isHeld({ name }: Step): boolean {
    return (this.#holds.get(name) ?? []).some((until) => !this.#done.has(until))
  }
}

/** Writes down what a chooser did, so that it can be said in constraints. */
export class Recording implements Chooser {
  readonly #inner: Chooser
  readonly #points: { readonly choice: Choice; readonly enabled: readonly Step[] }[] = []

  constructor(inner: Chooser) {
    this.#inner = inner
  }

  step(enabled: readonly Step[]): Choice | undefined {
    const choice = this.#inner.step(enabled)
    if (choice) this.#points.push({ choice, enabled })
    return choice
  }

  outcome(name: string, options: readonly string[]): string {
    return this.#inner.outcome(name, options)
  }

  /** What made the schedule different: all faults and answers, and for every step that was overtaken by whom, last. */
  constraints(trace: readonly TraceEntry[]): Constraint[] {
    const holds = new Map<string, string>()
    const faults: Constraint[] = []
    let before: string | undefined
    for (const { choice, enabled } of this.#points) {
      const { step, fault } = choice
      for (const older of enabled) {
        if (older === step) break
        if (!older.early) holds.set(older.name, step.name)
      }
      if (step.early)
        faults.push({
          kind: 'fault',
          step: step.name,
          fault: 'early timer',
          ...(before === undefined ? {} : { after: before }),
        })
      else if (isFault(choice)) faults.push({ kind: 'fault', step: step.name, fault: fault! })
      before = step.name
    }
    const outcomes = trace.flatMap(({ kind, name, outcome }): Constraint[] =>
      kind === 'outcome' ? [{ kind: 'outcome', step: name, answer: outcome! }] : [],
    )
    return [...outcomes, ...faults, ...[...holds].map(([step, until]): Constraint => ({ kind: 'hold', step, until }))]
  }

  /** The steps that came before this one, newest first: what a hold could be until. */
  before(name: string): readonly Step[] {
    const index = this.#points.findIndex(({ choice }) => choice.step.name === name)
    return this.#points
      .slice(0, Math.max(0, index))
      .map(({ choice }) => choice.step)
      .reverse()
  }
}
