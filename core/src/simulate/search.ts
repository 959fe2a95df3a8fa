/**
 * In which order schedules are tried: the default one of every input, then every single thing that can be different in it,
 * then all schedules of one conversation with up to so many faults, then random ones of several conversations until new
 * ones end in no new way.
 */
import { systemEnv } from '../base/index.ts'
import { alwaysAnswering, defaultChooser, OneFault, OneOff, Pct, Pos, RandomWalk } from './choosers.ts'
import { Constrained, Recording } from './constraints.ts'
import { exhaust } from './exhaustive.ts'
import { mustHaveBegun, type Lab, type Trial } from './lab.ts'
import type { SearchOptions } from './options.ts'
import { Randomness } from '../base/randomness.ts'
import type { Chooser, FaultKind } from './schedule-types.ts'

/** In which part of the search something was found. */
export type Phase = 'default' | 'single' | 'exhaustive' | 'random'

/** A schedule that went wrong. */
export interface Hit {
  readonly trial: Trial
  readonly recording: Recording
  readonly phase: Phase
  /** How many schedules it took. */
  readonly schedules: number
}

/** How far the search got. */
export interface Progress {
  readonly complete: number
  readonly states: number
  readonly random: number
  /** The share of random schedules that end in a way not seen before, as estimated (Good and Turing). */
  readonly unseen: number
}

export interface SearchSettings {
  readonly seed: number
  readonly budgetMs: number
  readonly maxFaults: number
  readonly schedules: number
  readonly conversations: number
  /** Which parts of the search are done. */
  readonly phases: ReadonlySet<Phase>
  readonly progress: (text: string) => void
}

export type { SearchOptions }

/** Inputs of an arbitrary that get an exhaustive search of their own. */
const inputsMax = 4
/** The share of the time that may go into the exhaustive search. */
const exhaustiveShare = 0.6
/** When so few random schedules end in a new way, more of them are not worth it. */
const unseenMin = 0.005
const schedulesMin = 600
/** Other things in the process get their turn after so long. */
const sliceMs = 40
const faultsOfRandom = 2
/** How many pairs of steps are tried the other way round. */
const directedMax = 200
/** How many other answers of the outside are tried for all questions at once. */
const answersMax = 2

/** See the top of this file. */
export class Search {
  readonly #lab: Lab
  readonly #settings: SearchSettings
  readonly #since = systemEnv.elapsed()
  #sliceSince = systemEnv.elapsed()
  #shownAt = 0
  complete = -1
  states = 0
  random = 0
  unseen = 1
  #hit: Hit | undefined

  constructor(lab: Lab, settings: SearchSettings) {
    this.#lab = lab
    this.#settings = settings
  }

  /** Searches until something is found or there is no more time. */
  async run(): Promise<Hit | undefined> {
    const { phases } = this.#settings
    if (phases.has('default')) await this.#defaults()
    if (phases.has('single') && !this.#hit) await this.#singles()
    if (phases.has('single') && !this.#hit) await this.#partitions()
    if (phases.has('single') && !this.#hit) await this.#pairs()
    if (phases.has('exhaustive') && !this.#hit) await this.#exhaustive()
    if (phases.has('random') && !this.#hit) await this.#directed()
    if (phases.has('random') && !this.#hit) await this.#randoms()
    if (phases.has('default') && !this.#hit) await this.#neverSuccess()
    return this.#hit
  }

  get elapsedMs(): number {
    return systemEnv.elapsed() - this.#since
  }

  async #try(chooser: Chooser, inputs: readonly unknown[], phase: Phase): Promise<Trial> {
    const recording = new Recording(chooser)
    const trial = await this.#lab.trial(recording, inputs)
    if (trial.violation) this.#hit = { trial, recording, phase, schedules: this.#lab.schedules }
    return trial
  }

  /** Lets others have a turn now and then; false when the time is over. */
  async #goOn(share = 1): Promise<boolean> {
    const nowMs = systemEnv.elapsed()
    if (nowMs - this.#sliceSince > sliceMs) {
      await this.#lab.stage.pause()
      this.#sliceSince = systemEnv.elapsed()
    }
    if (nowMs - this.#shownAt > 1_000) {
      this.#shownAt = nowMs
      const complete =
        this.complete < 0 ? '' : `, complete up to ${this.complete} fault${this.complete === 1 ? '' : 's'}`
      this.#settings.progress(`${this.#lab.schedules} schedules, ${this.states} states${complete}`)
    }
    return this.elapsedMs < this.#settings.budgetMs * share
  }

  #inputs(): unknown[] {
    const { inputs } = this.#lab.stage
    return Array.from({ length: Math.min(inputs.distinct, inputsMax) }, (_, variety) => inputs.make(variety, 0))
  }

  async #defaults(): Promise<void> {
    for (const input of this.#inputs()) {
      const trial = await this.#try(defaultChooser, [input], 'default')
      if (this.#hit) return
      mustHaveBegun(trial)
      const [violation] = await this.#lab.afterwards(trial.run)
      if (!violation) continue
      const recording = new Recording(defaultChooser)
      this.#hit = { trial: { ...trial, violation }, recording, phase: 'default', schedules: this.#lab.schedules }
      return
    }
  }

  /** Nothing went wrong, and nothing went well either. Inputs that nobody has chosen may just not be good enough. */
  async #neverSuccess(): Promise<void> {
    const { hasSucceeded, stage, schedules } = this.#lab
    const { inputs, ignore } = stage.options
    if (hasSucceeded || inputs === undefined || ignore?.includes('NO_SUCCESS')) return
    const wanted = stage.choreography.ends.success.map(({ type }) => type).join(' or ')
    const message = `none of ${schedules} schedules has ended with ${wanted}, although nothing was in its way`
    const recording = new Recording(defaultChooser)
    const trial = await this.#lab.trial(recording, this.#inputs().slice(0, 1))
    const violation = { code: 'NO_SUCCESS', subject: '', message }
    this.#hit = { trial: { ...trial, violation }, recording, phase: 'default', schedules }
  }

  async #singles(): Promise<void> {
    for (const input of this.#inputs()) {
      const probe = new OneOff({ at: -1, other: 0 }, this.#lab.allowed)
      await this.#try(probe, [input], 'single')
      for (let answer = 1; answer <= answersMax && !this.#hit; answer++)
        await this.#try(alwaysAnswering(answer), [input], 'single')
      for (const [at, count] of probe.counts.entries()) {
        for (let other = 1; other < count; other++) {
          if (this.#hit || !(await this.#goOn())) return
          await this.#try(new OneOff({ at, other }, this.#lab.allowed), [input], 'single')
        }
      }
    }
  }

  get #maySeveral(): boolean {
    return this.#settings.conversations > 1 && this.#lab.stage.inputs.togetherMax > 1
  }

  /** Each wire goes down in turn, and stays so over a deadline. */
  async #partitions(): Promise<void> {
    if (this.#lab.allowed.has('link down'))
      for (const input of this.#inputs()) await this.#oneFault('link down', [input])
  }

  async #oneFault(kind: FaultKind, inputs: readonly unknown[]): Promise<void> {
    for (let number = 0, places = 1; number < places; number++) {
      if (this.#hit || !(await this.#goOn())) return
      const chooser = new OneFault(kind, number)
      await this.#try(chooser, inputs, 'single')
      places = chooser.places
    }
  }

  /** Two conversations, and in turn each two handlings of a service that could overlap. */
  async #pairs(): Promise<void> {
    const { stage, allowed } = this.#lab
    if (stage.readCommitted.size === 0 || !allowed.has('stale read') || !this.#maySeveral) return
    for (let first = 0; first + 1 < Math.max(2, Math.min(stage.inputs.distinct, inputsMax)); first++) {
      for (let second = first + 1; second < Math.max(2, Math.min(stage.inputs.distinct, inputsMax)); second++) {
        const inputs =
          stage.inputs.togetherMax === Infinity
            ? [stage.inputs.make(0, 0), stage.inputs.make(0, 1)]
            : [stage.inputs.make(first, 0), stage.inputs.make(second, 0)]
        await this.#oneFault('stale read', inputs)
      }
    }
  }

  async #exhaustive(): Promise<void> {
    const { phases } = this.#settings
    for (let faults = 0; faults <= this.#settings.maxFaults; faults++) {
      for (const input of this.#inputs()) {
        const result = await exhaust(this.#lab, input, {
          faults,
          goOn: () => this.#goOn(phases.has('random') ? exhaustiveShare : 1),
        })
        this.states = Math.max(this.states, 0) + result.states
        if (result.found) this.#hit = { ...result.found, phase: 'exhaustive', schedules: this.#lab.schedules }
        if (!result.complete) return
      }
      this.complete = faults
    }
  }

  /** Races that were seen in one order only, the other way round. */
  async #directed(): Promise<void> {
    const { stage, coverage } = this.#lab
    const one = [stage.inputs.make(0, 0)]
    const two = this.#maySeveral ? [...one, stage.inputs.make(0, 1)] : one
    await this.#try(defaultChooser, two, 'random')
    for (const { first, second, isOther } of coverage.oneOrder().slice(0, directedMax)) {
      const ways = isOther ? [[`o2:${first}`, second], [first, `o2:${second}`]] : [[first, second]] // prettier-ignore
      for (const [step, until] of ways as [string, string][]) {
        if (this.#hit || !(await this.#goOn())) return
        await this.#try(new Constrained([{ kind: 'hold', step, until }]), isOther ? two : one, 'random')
      }
    }
  }

  async #randoms(): Promise<void> {
    const { seed, schedules, conversations } = this.#settings
    const ends = new Map<string, number>()
    let once = 0
    for (let number = 0; number < schedules; number++) {
      if (this.#hit || !(await this.#goOn())) return
      const random = new Randomness(seed * 1_000_003 + number)
      const count = 1 + random.below(Math.min(conversations, this.#lab.stage.inputs.togetherMax))
      const variety = random.below(1_000)
      const inputs = Array.from({ length: count }, (_, index) => this.#lab.stage.inputs.make(variety, index))
      const { run, quiescent } = await this.#try(this.#chooser(number, random), inputs, 'random')
      this.random += 1
      if (!quiescent) continue
      const end = `${count} ${run.seen}`
      const seen = (ends.get(end) ?? 0) + 1
      ends.set(end, seen)
      once += seen === 1 ? 1 : seen === 2 ? -1 : 0
      this.unseen = once / this.random
      if (schedules === Infinity && number >= schedulesMin && this.unseen < unseenMin) return
    }
  }

  #chooser(number: number, random: Randomness): Chooser {
    const { allowed } = this.#lab
    const faultsMax = faultsOfRandom
    if (number % 4 === 0) return new RandomWalk(random, allowed, faultsMax)
    if (number % 4 === 1) return new Pct(random, allowed, { faultsMax, depth: 2 })
    if (number % 4 === 2) return new Pct(random, allowed, { faultsMax, depth: 3 })
    return new Pos(random, allowed, faultsMax)
  }
}
