/** How large a conversation can become: handlings, events in a row, attempts, time. Cycles are gone through once. */
import { worstCase } from '../service/index.ts'
import { mayEmit, type Model, type Step } from './model.ts'

/** What follows from an occurrence, at most. */
interface Size {
  readonly handlings: number
  readonly attempts: number
  /** The longest chain of occurrences, this one among them. */
  readonly path: readonly number[]
  /** The longest time until everything is done, timers left out; milliseconds. */
  readonly ms: number
}

const nothing: Size = { handlings: 0, attempts: 0, path: [], ms: 0 }

/** The waits and calls of one handling at worst, and how long it is put off by design. */
export function stepMs({ reaction, part }: Step): number {
  if (!reaction) return 0
  const calls = part === 'undo' ? reaction.undo!.calls : reaction.calls
  return worstCase(reaction.policy, calls).totalMs + putOffMs(reaction)
}

const putOffMs = ({ batch, coalesceMs }: NonNullable<Step['reaction']>): number => batch?.withinMs ?? coalesceMs ?? 0

/** The time that the author's own numbers ask for; a policy that nobody wrote counts as one attempt. */
export function statedMs({ reaction }: Step): number {
  if (!reaction) return 0
  const { policy, calls } = reaction
  if (policy.origins.retry !== 'default') return worstCase(policy, calls).totalMs + putOffMs(reaction)
  return (calls ? policy.callTimeoutMs : 0) + putOffMs(reaction)
}

/** Sizes of what follows from each occurrence. */
export class Sizes {
  readonly #model: Model
  readonly #known = new Map<number, Size>()
  readonly #open = new Set<number>()

  constructor(model: Model) {
    this.#model = model
  }

  of(id: number): Size {
    const known = this.#known.get(id)
    if (known) return known
    // On a cycle: gone through once.
    if (this.#open.has(id)) return nothing
    this.#open.add(id)
    let size: Size = { ...nothing, path: [id] }
    for (const { step, need } of this.#model.consumers[id]!) {
      // A join acts once, however many parts it has.
      if (step.mode === 'all' && need > 0) continue
      const own = this.#following(step)
      // An undo acts once, however often it is asked for: its handlings are in `undone`.
      const counts = step.part !== 'undo'
      size = {
        handlings: size.handlings + (counts ? 1 + own.handlings : 0),
        attempts: size.attempts + (counts ? attemptsOf(step) + own.attempts : 0),
        path: own.path.length >= size.path.length ? [id, ...own.path] : size.path,
        ms: step.timer ? size.ms : Math.max(size.ms, stepMs(step) + own.ms),
      }
    }
    this.#open.delete(id)
    this.#known.set(id, size)
    return size
  }

  /** The undo of everything, each once, with what it leads to. */
  get undone(): Size {
    let all = nothing
    for (const step of this.#model.steps.filter(({ part }) => part === 'undo')) {
      const own = this.#following(step)
      const { handlings, attempts } = all
      all = { ...all, handlings: handlings + 1 + own.handlings, attempts: attempts + attemptsOf(step) + own.attempts }
    }
    return all
  }

  /** Of several types all may be emitted; of the occurrences of one, the worst. */
  #following(step: Step): Size {
    let all = nothing
    for (const { occurrences } of step.emits) {
      const each = occurrences.map((id) => this.of(id))
      const worst = (measure: (size: Size) => number) => Math.max(0, ...each.map(measure))
      const longest = each.reduce<readonly number[]>(
        (path, size) => (size.path.length > path.length ? size.path : path),
        [],
      )
      all = {
        handlings: all.handlings + worst((size) => size.handlings),
        attempts: all.attempts + worst((size) => size.attempts),
        path: longest.length > all.path.length ? longest : all.path,
        ms: Math.max(
          all.ms,
          worst((size) => size.ms),
        ),
      }
    }
    return all
  }
}

const attemptsOf = ({ reaction, part }: Step): number =>
  reaction ? worstCase(reaction.policy, part === 'undo' ? reaction.undo!.calls : reaction.calls).attempts : 0

/** The longest time from these occurrences to those, through steps that are no timers; undefined when there is no way. */
export function longestMs(
  model: Model,
  { from, to, cost }: { from: readonly number[]; to: ReadonlySet<number>; cost: (step: Step) => number },
): number | undefined {
  const known = new Map<number, number | undefined>()
  const open = new Set<number>()
  const visit = (id: number): number | undefined => {
    if (to.has(id)) return 0
    if (known.has(id) || open.has(id)) return known.get(id)
    open.add(id)
    let longest: number | undefined
    for (const { step } of model.isEnd(id) ? [] : model.consumers[id]!) {
      if (step.timer || step.part === 'undo') continue
      for (const out of mayEmit(step)) {
        const rest = visit(out)
        if (rest !== undefined) longest = Math.max(longest ?? 0, cost(step) + rest)
      }
    }
    open.delete(id)
    known.set(id, longest)
    return longest
  }
  const all = from.map(visit).filter((ms) => ms !== undefined)
  return all.length === 0 ? undefined : Math.max(...all)
}

/** The most hops an event can have when it comes to each step, cycles left out. */
export function hopsTo(model: Model): ReadonlyMap<Step, number> {
  const found = new Map<Step, number>()
  const depth = new Map<number, number>()
  const open = new Set<number>()
  const visit = (id: number, hops: number): void => {
    if (open.has(id) || (depth.get(id) ?? -1) >= hops) return
    depth.set(id, hops)
    open.add(id)
    for (const { step } of model.consumers[id]!) {
      found.set(step, Math.max(found.get(step) ?? 0, hops))
      for (const out of mayEmit(step)) visit(out, hops + 1)
    }
    open.delete(id)
  }
  for (const id of model.starts.flat()) visit(id, 0)
  return found
}
