/**
 * What a step emits in one run. `emits` says what a handler may return, not whether that is one of these or all of them.
 * Occurrences of one type exclude each other: an event is successful or failed. Of several types, those that lead to the
 * successful end each by itself are alternatives; those that lead there only together are emitted together; one that
 * leads to a failure alone is an alternative; and one that leads nowhere goes along with any other, unless its name says
 * that something went wrong.
 */
import type { Model, Step } from './model.ts'
import { mayEmit } from './model.ts'
import { Play, type Outputs } from './play.ts'
import { says } from './words.ts'

/** One of the things a step may do. */
export interface Alternative {
  readonly emits: readonly number[]
  /** `good` can lead to the successful end, `bad` only to a failure, or it says so by its name. */
  readonly kind: 'good' | 'bad' | 'neutral'
}

/** What every step may emit, all at once. */
export const everything = (model: Model): Outputs => model.steps.map(mayEmit)

/** What can follow. */
export class Consequences {
  readonly #model: Model
  readonly #known = new Map<number, { readonly success: boolean; readonly failure: boolean; readonly any: boolean }>()

  constructor(model: Model) {
    this.#model = model
  }

  /** Whether the occurrence can lead to an end of this kind; a join counts as soon as one part has come. */
  of(id: number): { readonly success: boolean; readonly failure: boolean; readonly any: boolean } {
    const known = this.#known.get(id)
    if (known) return known
    const seen = new Set([id])
    const found = { success: false, failure: false, any: false }
    for (const open = [id]; open.length > 0;) {
      const at = open.pop()!
      if (this.#model.success.has(at)) found.success = true
      if (this.#model.failure.has(at)) found.failure = true
      if (this.#model.isEnd(at)) continue
      for (const { step } of this.#model.consumers[at]!) {
        if (step.part === 'undo' || step.part === 'expire') continue
        found.any = true
        for (const out of mayEmit(step).filter((each) => !seen.has(each))) {
          seen.add(out)
          open.push(out)
        }
      }
    }
    this.#known.set(id, found)
    return found
  }

  kindOf(ids: readonly number[]): Alternative['kind'] {
    const all = ids.map((id) => this.of(id))
    if (all.some(({ success }) => success)) return 'good'
    if (all.some(({ failure }) => failure)) return 'bad'
    return ids.some((id) => says(this.#model.text(id), 'negative')) ? 'bad' : 'neutral'
  }
}

/** The alternatives of each step, the good ones first. */
export function alternativesOf(model: Model, consequences: Consequences): (readonly Alternative[])[] {
  const all = everything(model)
  const roots = model.starts.flat()
  const any = new Play(model, { roots, outputs: all, timers: 'always' })
  return model.steps.map((step) => {
    const context = { model, all, roots, consequences }
    const several = any.didBefore(step) && step.emits.length > 1 ? exclusive(step, context) : []
    const groups = several.length > 0 ? several : [step.emits]
    const found = groups.flatMap((group) => combinations(group.map(({ occurrences }) => occurrences)))
    if (mayBeSilent(step, consequences)) found.push([])
    const rank = { good: 0, neutral: 1, bad: 2 }
    return found
      .map((emits) => ({ emits, kind: consequences.kindOf(emits) }))
      .sort((one, two) => rank[one.kind] - rank[two.kind])
  })
}

interface Context {
  readonly model: Model
  readonly all: Outputs
  readonly roots: readonly number[]
  readonly consequences: Consequences
}

type Emits = Step['emits']

/** The sets of types that exclude each other. */
function exclusive(step: Step, context: Context): Emits[] {
  const { model, all, roots, consequences } = context
  const succeeds = (types: Emits): boolean => {
    const outputs = all.map((emits, id) => (id === step.id ? types.flatMap(({ occurrences }) => occurrences) : emits))
    return new Play(model, { roots, outputs, timers: step.timer ? 'always' : 'never' }).success !== undefined
  }
  const leads = ({ occurrences }: Emits[number]) => consequences.kindOf(occurrences)
  const companions = step.emits.filter((type) => leads(type) === 'neutral')
  const rest = step.emits.filter((type) => leads(type) !== 'neutral')
  const alone = rest.filter((type) => leads(type) === 'good' && succeeds([type, ...companions]))
  let groups: Emits[] = alone.map((type) => [type])
  if (alone.length === 0 && rest.length > 1 && succeeds(step.emits)) {
    let together = rest
    for (const type of rest) {
      const fewer = together.filter((each) => each !== type)
      if (fewer.length > 0 && succeeds([...fewer, ...companions])) together = fewer
    }
    groups = [together]
  }
  const used = new Set(groups.flat())
  const single = rest.filter((type) => !used.has(type)).map((type) => [type])
  // What leads nowhere goes along with anything; where all may still go well, it can be the good news itself.
  const along = (group: Emits) => [...group, ...companions]
  if (groups.length > 0) return [...groups.map(along), ...single]
  return isHopeful(step, consequences) && companions.length > 0 ? [companions, ...single] : single.map(along)
}

/** A step that acts while all may still go well. */
const isHopeful = (step: Step, consequences: Consequences): boolean =>
  step.part === 'run' && step.needs.every((need) => need.some((id) => consequences.of(id).success))

/** A step that only ever reports trouble about something that can go well, and else nothing. */
function mayBeSilent(step: Step, consequences: Consequences): boolean {
  const bad = step.emits.every(({ occurrences }) => consequences.kindOf(occurrences) === 'bad')
  return bad && step.emits.length > 0 && isHopeful(step, consequences)
}

const combinationsMax = 64

/** One occurrence of each type. */
function combinations(types: readonly (readonly number[])[]): number[][] {
  let all: number[][] = [[]]
  for (const occurrences of types) {
    const next = all.flatMap((emits) => occurrences.map((id) => [...emits, id]))
    if (next.length > 0 && next.length <= combinationsMax) all = next
    else all = all.map((emits) => [...emits, ...occurrences])
  }
  return all
}
