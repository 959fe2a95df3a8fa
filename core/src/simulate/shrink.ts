/** From a schedule that went wrong to the smallest one that goes wrong in the same way. */
import { Constrained, everyOne, Recording, type Constraint } from './constraints.ts'
import type { Lab, Trial } from './lab.ts'
import type { Violation } from './schedule-types.ts'

/** The smallest schedule found. */
export interface Shrunk {
  readonly inputs: readonly unknown[]
  readonly constraints: readonly Constraint[]
  readonly trial: Trial
}

const same = (a: Violation | undefined, b: Violation): boolean => a?.code === b.code && a.subject === b.subject

/** More tries than this are not worth it. */
const triesMax = 400

/** Shrinks; undefined when the constraints alone do not lead there. */
export async function shrink(
  lab: Lab,
  found: { readonly trial: Trial; readonly recording: Recording },
): Promise<Shrunk | undefined> {
  const { trial, recording } = found
  return new Shrinking(lab, trial, recording).run()
}

class Shrinking {
  readonly #lab: Lab
  readonly #wanted: Violation
  readonly #recording: Recording
  #best: Shrunk | undefined
  #start: { readonly inputs: readonly unknown[]; readonly constraints: readonly Constraint[] }
  #tries = 0

  constructor(lab: Lab, trial: Trial, recording: Recording) {
    this.#lab = lab
    this.#wanted = trial.violation!
    this.#recording = recording
    const inputs = trial.run.book.talks.map((talk) => talk.input)
    this.#start = { inputs, constraints: recording.constraints(trial.run.trace) }
  }

  async run(): Promise<Shrunk | undefined> {
    const { inputs, constraints } = this.#start
    if (!(await this.#attempt(inputs, constraints))) return undefined
    await this.#fewerConversations()
    await this.#sameAnswers()
    await this.#halve()
    await this.#oneByOne()
    await this.#clearerHolds()
    await this.#oneByOne()
    await this.#smallerInputs()
    return this.#best
  }

  /** The first simpler input that will do, and a simpler one of that, until none will. */
  async #smallerInputs(): Promise<void> {
    this.#tries = 0
    const { key } = this.#lab.stage.choreography.starts[0]!.contract
    const keyOf = (input: unknown) => (input as Record<string, unknown> | null)?.[key]
    for (let index = 0; index < this.#best!.inputs.length; index++) {
      const tried = new Set<string>()
      for (let found = true; found && this.#tries < triesMax;) {
        found = false
        const { inputs, constraints } = this.#best!
        for (const smaller of this.#lab.stage.inputs.smaller(inputs[index], index)) {
          const text = JSON.stringify(smaller)
          // Two conversations of one key would be one.
          const isTaken = inputs.some((other, at) => at !== index && keyOf(other) === keyOf(smaller))
          if (tried.has(text) || isTaken) continue
          tried.add(text)
          found = await this.#attempt(inputs.with(index, smaller), constraints)
          if (found || this.#tries >= triesMax) break
        }
      }
    }
  }

  async #attempt(inputs: readonly unknown[], constraints: readonly Constraint[]): Promise<boolean> {
    if (++this.#tries > triesMax) return false
    const trial = await this.#lab.trial(new Constrained(constraints), inputs)
    if (!same(trial.violation, this.#wanted)) return false
    this.#best = { inputs, constraints, trial }
    return true
  }

  async #fewerConversations(): Promise<void> {
    const { inputs, constraints } = this.#best!
    if (inputs.length < 2) return
    for (const [index, input] of inputs.entries()) {
      const label = `o${index + 1}`
      const own = constraints.flatMap((each) => onlyOf(each, { label, isFirst: index === 0 }))
      if (await this.#attempt([input], own)) return
    }
    const fewer = inputs.slice(0, -1)
    if (fewer.length > 1 && (await this.#attempt(fewer, constraints))) await this.#fewerConversations()
  }

  /** The same answer to every question of one name is one constraint, not many. */
  async #sameAnswers(): Promise<void> {
    const { inputs, constraints } = this.#best!
    const outcomes = constraints.flatMap((each) => (each.kind === 'outcome' ? [each] : []))
    const others = constraints.filter(({ kind }) => kind !== 'outcome')
    const groups = Map.groupBy(outcomes, ({ step, answer }) => `${everyOne(step)}=${answer}`)
    if (groups.size === outcomes.length) return
    const merged = [...groups.values()].map(([first]): Constraint => ({ ...first!, step: everyOne(first!.step) }))
    await this.#attempt(inputs, [...merged, ...others])
  }

  /** Large parts first. */
  async #halve(): Promise<void> {
    for (let size = Math.ceil(this.#best!.constraints.length / 2); size > 1; size = Math.floor(size / 2)) {
      const { inputs, constraints } = this.#best!
      for (let at = constraints.length - size; at >= 0; at -= size)
        await this.#attempt(
          inputs,
          this.#best!.constraints.filter((_, index) => index < at || index >= at + size),
        )
    }
  }

  async #oneByOne(): Promise<void> {
    for (let index = this.#best!.constraints.length - 1; index >= 0; index--) {
      const { inputs, constraints } = this.#best!
      if (index >= constraints.length) continue
      const fewer = constraints.filter((_, at) => at !== index)
      await this.#attempt(inputs, fewer)
    }
  }

  /** A hold until something in the same service says most about the race. */
  async #clearerHolds(): Promise<void> {
    for (const [index, each] of this.#best!.constraints.entries()) {
      if (each.kind !== 'hold') continue
      const service = each.step.split('→')[1]
      const candidates = this.#recording
        .before(each.step)
        .filter((step) => step.service === service && step.name !== each.until)
      for (const { name } of candidates) {
        const { inputs, constraints } = this.#best!
        const clearer = constraints.map((other, at) => (at === index ? { ...each, until: name } : other))
        if (await this.#attempt(inputs, clearer)) break
      }
    }
  }
}

/** The constraint for a schedule with this conversation alone; nothing when it is about another one. */
function onlyOf(constraint: Constraint, of: { readonly label: string; readonly isFirst: boolean }): Constraint[] {
  let isOther = false
  const own = (name: string): string => {
    if (name === `begin ${of.label}`) return 'begin o1'
    const label = /^(o\d+):/.exec(name)?.[1]
    const isShared = /^(due|time passes to) /.test(name)
    if (!isShared && (of.isFirst ? label !== undefined : label !== of.label)) isOther = true
    return of.isFirst || label === undefined ? name : name.slice(label.length + 1)
  }
  const renamed = Object.fromEntries(
    Object.entries(constraint).map(([field, value]) => [
      field,
      ['step', 'until', 'after'].includes(field) ? own(value) : value,
    ]),
  ) as unknown as Constraint
  return isOther ? [] : [renamed]
}
