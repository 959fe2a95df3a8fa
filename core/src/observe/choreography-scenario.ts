/** Plays a declared choreography once, on paper: who tells whom what, until nothing new happens. */
import { durationText } from '../base/index.ts'
import type { ReactionDescription } from '../service/index.ts'
import type { ChoreographyGraph, Ending, Occurrence } from './choreography-graph.ts'

/** A line of a scenario. A service is named; null is the outside. */
export type Step =
  | {
      readonly kind: 'message'
      readonly from: string | null
      readonly to: string | null
      readonly text: string
      readonly undo: boolean
    }
  | { readonly kind: 'note'; readonly over: string | null; readonly text: string }

/** An occurrence, and what led to it. */
export interface Happening {
  readonly occurrence: Occurrence
  /** The service that emits it; null for the outside. */
  readonly producer: string | null
  /** The occurrences before it in its chain of causes. */
  readonly chain: ReadonlySet<string>
}

interface Told {
  readonly reaction: ReactionDescription
  readonly part: 'run' | 'undo' | 'start' | 'unless'
}

/**
 * One way through the choreography. Every occurrence is reacted to once, so it ends on cycles too. Where a reaction may
 * emit this or that, it takes what leads to the wanted ending, and remembers the rest in `untaken`.
 */
export class Scenario {
  readonly steps: Step[] = []
  readonly happened = new Set<string>()
  readonly untaken: Happening[] = []
  readonly #graph: ChoreographyGraph
  readonly #want: Ending
  readonly #before: ReadonlySet<string>
  readonly #queue: Happening[] = []
  readonly #done = new Set<string>()

  constructor(graph: ChoreographyGraph, want: Ending, before: ReadonlySet<string>) {
    this.#graph = graph
    this.#want = want
    this.#before = before
  }

  /** Plays on from these, and returns how many steps it took to tell them alone. */
  play(seeds: readonly Happening[]): number {
    for (const seed of seeds) this.#happens(seed)
    const opening = this.steps.length
    for (let next = this.#queue.shift(); next; next = this.#queue.shift()) this.#happens(next)
    return opening
  }

  /** Begins with a deadline that has passed, or a join whose parts have not all come. */
  expire(reaction: ReactionDescription): void {
    const { service, kind, unless, triggers, withinMs } = reaction
    const missing = kind === 'all' ? `all of ${typesOf(triggers, 'and')}` : typesOf(unless, 'or')
    this.#note(service, `${durationText(withinMs ?? 0)} are over without ${missing}`)
    this.#done.add(keyOf(reaction))
    this.play(this.#emits(reaction, new Set()))
  }

  /** What the reaction emits in this scenario, undo left out. */
  #emits(reaction: ReactionDescription, chain: ReadonlySet<string>): readonly Happening[] {
    const other: Ending = this.#want === 'success' ? 'failure' : 'success'
    const wanted: Happening[] = []
    const neutral: Happening[] = []
    const rest: Happening[] = []
    for (const type of reaction.emits) {
      const ranked = this.#graph.occurrencesOf(type).map((occurrence) => ({
        happening: { occurrence, producer: reaction.service, chain },
        near: this.#graph.distance(occurrence, this.#want, chain),
        far: this.#graph.distance(occurrence, other, chain),
      }))
      const best = Math.min(...ranked.map(({ near }) => near))
      const taken = ranked.find(({ near }) => near === best && near < Infinity)
      if (taken) wanted.push(taken.happening)
      for (const each of ranked.filter((candidate) => candidate !== taken)) {
        // Beside a wanted occurrence of its own type, one that leads nowhere is the other case, not one more event; and
        // one that leads back goes round once more instead of on.
        const { occurrence } = each.happening
        const sideways = chain.has(occurrence.text) || !this.#graph.leadsBack(occurrence, chain)
        if (each.far === Infinity && !taken && sideways) neutral.push(each.happening)
        else rest.push(each.happening)
      }
    }
    const takes = [...wanted, ...neutral]
    const onlyWayOut = takes.length === 0 && this.#want === 'failure'
    // What a join emits besides is taken to be what it emits when it is late, which is drawn by itself.
    const late = reaction.kind === 'all' && reaction.withinMs !== null
    if (!onlyWayOut && !late) this.untaken.push(...rest)
    return onlyWayOut ? rest : takes
  }

  #happens(happening: Happening): void {
    const { occurrence, producer, chain } = happening
    if (chain.has(occurrence.text)) {
      this.#note(producer, `${occurrence.text} again, from here as above`)
      return
    }
    const told = this.#toldBy(occurrence)
    this.#tell(happening, told)
    const ending = this.#graph.endingOf(occurrence)
    if (ending) this.#note(producer, ending === 'success' ? 'end, success' : 'end, failure')
    if (this.happened.has(occurrence.text)) return
    this.happened.add(occurrence.text)
    const next = new Set([...chain, occurrence.text])
    for (const { reaction, part } of told) this.#react(reaction, { part, chain: next })
  }

  #toldBy(occurrence: Occurrence): Told[] {
    return this.#graph.reactions.flatMap((reaction) => {
      const asked = (triggers: typeof reaction.triggers) =>
        triggers.some((trigger) => this.#graph.triggers(trigger, occurrence))
      const parts: Told[] = []
      if (asked(reaction.triggers)) parts.push({ reaction, part: reaction.kind === 'deadline' ? 'start' : 'run' })
      if (asked(reaction.undo?.on ?? []) && !this.#done.has(`undo ${keyOf(reaction)}`)) {
        parts.push({ reaction, part: 'undo' })
      }
      if (asked(reaction.unless) && this.#isRunning(reaction) && !this.#done.has(keyOf(reaction)))
        parts.push({ reaction, part: 'unless' })
      return parts
    })
  }

  #isRunning({ triggers }: ReactionDescription): boolean {
    const started = (trigger: (typeof triggers)[number]) =>
      this.#graph.occurrencesOf(trigger.type).some((each) => this.#has(each) && this.#graph.triggers(trigger, each))
    return triggers.every(started)
  }

  #has(occurrence: Occurrence): boolean {
    return this.happened.has(occurrence.text) || this.#before.has(occurrence.text)
  }

  /** One arrow to each service, or two when it acts and undoes; timers are notes, unless they are all there is. */
  #tell({ occurrence, producer }: Happening, told: readonly Told[]): void {
    const arrows = new Set<string>()
    const message = (to: string | null, undo: boolean): void => {
      if (arrows.has(`${to} ${undo}`)) return
      arrows.add(`${to} ${undo}`)
      this.steps.push({ kind: 'message', from: producer, to, text: occurrence.text + (undo ? ' (undo)' : ''), undo })
    }
    for (const { reaction, part } of told) {
      if (part === 'run' || part === 'undo') message(reaction.service, part === 'undo')
      if (part === 'start' && reaction.service !== producer) message(reaction.service, false)
    }
    if (arrows.size === 0) message(null, false)
  }

  #react(reaction: ReactionDescription, { part, chain }: { part: Told['part']; chain: ReadonlySet<string> }): void {
    const { service, undo, withinMs } = reaction
    if (part === 'unless') return this.#note(service, `settles ${reaction.name}`)
    if (part === 'start') {
      const within = durationText(withinMs ?? 0)
      return this.#note(service, `${reaction.name} starts, ${within} unless ${typesOf(reaction.unless, 'or')}`)
    }
    if (part === 'undo') {
      this.#done.add(`undo ${keyOf(reaction)}`)
      this.#note(service, `undoes ${reaction.name}${undo?.calls ? ', calls outside' : ''}`)
      for (const type of undo?.emits ?? []) {
        const [occurrence] = this.#graph.occurrencesOf(type)
        this.#queue.push({ occurrence: occurrence!, producer: service, chain })
      }
      return
    }
    if (reaction.kind === 'all') {
      if (this.#done.has(keyOf(reaction)) || !this.#isRunning(reaction)) return
      this.#note(service, `${reaction.name} has all its parts`)
    }
    this.#done.add(keyOf(reaction))
    if (reaction.calls) this.#note(service, 'calls outside')
    this.#queue.push(...this.#emits(reaction, chain))
  }

  #note(over: string | null, text: string): void {
    this.steps.push({ kind: 'note', over, text })
  }
}

const typesOf = (triggers: readonly { readonly type: string }[], word: string): string =>
  [...new Set(triggers.map((trigger) => trigger.type))].join(` ${word} `)

const keyOf = ({ service, name }: ReactionDescription): string => `${service}/${name}`
