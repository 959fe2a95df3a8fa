/** The words in which schedules are told: steps, faults, choices, and what was found. All plain data. */

/** What can go wrong, or come at a bad time. Each counts as one fault of a schedule. */
export const faultKinds = [
  'duplicate', 'crash before commit', 'crash after commit', 'crash after arrival',
  'request lost', 'answer lost', 'timeout', 'request late', 'poison', 'early timer', 'stale read', 'together', 'link down', 'takeover',
] as const // prettier-ignore

/** See {@link faultKinds}. */
export type FaultKind = (typeof faultKinds)[number]

/** Something that can happen next. */
export interface Step {
  readonly kind: 'begin' | 'deliver' | 'call' | 'due' | 'heal' | 'time'
  /** Its name, made of causes and not of places in a list, so that it means the same in another schedule. */
  readonly name: string
  /** The service in which it happens; null for the passing of time. */
  readonly service: string | null
  /** Older steps have smaller numbers. */
  readonly order: number
  /** The chain of causes it belongs to, for PCT. */
  readonly chain: number
  readonly faults: readonly FaultKind[]
  /** True when it only comes early as a fault: time, while other things could still happen. It is the last of its list. */
  readonly early: boolean
}

/** What is done next: a step, with or without a fault. */
export interface Choice {
  readonly step: Step
  readonly fault: FaultKind | undefined
}

/** One entry of what happened. */
export interface TraceEntry {
  readonly name: string
  readonly kind: Step['kind'] | 'outcome'
  readonly service: string | null
  readonly fault: FaultKind | undefined
  /** For an outcome: what the outside answered, when that was not the normal answer. */
  readonly outcome?: string
}

/** Decides what happens next. */
export interface Chooser {
  /** Undefined ends the schedule here. */
  step(enabled: readonly Step[]): Choice | undefined
  /** Which of these answers the outside gives; the first is the normal one. */
  outcome(name: string, options: readonly string[]): string
}

/** Something that must not happen, and did. */
export interface Violation {
  /** `NO_END`, `TWO_ENDS`, ..., or `INVARIANT`. */
  readonly code: string
  /** What it is about: an effect, an invariant, a table; with `code` it tells two findings apart. */
  readonly subject: string
  /** One sentence. */
  readonly message: string
}
