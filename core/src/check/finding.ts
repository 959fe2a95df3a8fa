/** What the check says, and what it can be told. */
import type { AnyService } from '../service/index.ts'
import type { Verdict } from './compat/decoding.ts'
import type { RuleCode } from './rule-list.ts'

/** An error is a conversation that goes wrong. A warning is one that may, or that costs more than it should. */
export type Severity = 'error' | 'warning'

/** Something in the user's source that a finding is about. */
export interface Place {
  /** `service/reaction`, a contract's type, or `choreography name`. */
  readonly what: string
  /** `file:line`; empty when it is not known. */
  readonly at: string
}

/** Something that can go wrong. */
export interface Finding {
  /** Stable: S1, S2, ... as in docs/check.md. */
  readonly code: RuleCode
  /** The name of the rule, a few words. */
  readonly rule: string
  readonly severity: Severity
  readonly choreography: string
  /** The first one is where to look first. */
  readonly places: readonly Place[]
  /** What will happen, as a sentence. */
  readonly message: string
  /** The events and reactions that lead there, in order; each one line. */
  readonly sequence: readonly string[]
  /** What to do about it, as a sentence. */
  readonly fix: string
}

/** Says that a finding is known and wanted. */
export interface Suppression {
  readonly code: RuleCode
  /** Only where one of the places is this `service/reaction`, type or choreography. Default: everywhere. */
  readonly at?: string
  /** Why it is right as it is. */
  readonly reason: string
}

/** A finding that is known and wanted. */
export interface Suppressed extends Finding {
  readonly reason: string
}

/** The size of a choreography at its worst. */
export interface FlowReport {
  readonly choreography: string
  readonly place: string
  readonly services: number
  readonly reactions: number
  readonly events: number
  /** How many runs were played: each combination of up to two choices, each with any one step that gives up. */
  readonly runs: number
  /** How many arcs of its graph were followed to play them: what the check costs. */
  readonly work: number
  /** The most handlings that one start can lead to; cycles are gone through once. */
  readonly handlings: number
  /** The most events in a row, from a start on. */
  readonly longestPath: readonly string[]
  /** The most attempts that all these handlings can make together. */
  readonly attempts: number
  /** The longest time that retries and calls can take in a row, deadlines left out; milliseconds. */
  readonly worstMs: number
}

/** Whether a reader can decode what a producer with another contract of the same name sends. */
export type Decoding = Verdict & {
  readonly type: string
  readonly producer: string
  readonly consumer: string
}

/** What was found. */
export interface CheckReport {
  readonly findings: readonly Finding[]
  readonly suppressed: readonly Suppressed[]
  /** One for each choreography. */
  readonly flows: readonly FlowReport[]
  /** One for each pair of contracts that were compared. What is refuted is a finding as well. */
  readonly decoding: readonly Decoding[]
}

/** Options of {@link check}. */
export interface CheckOptions {
  /** Findings that are known and wanted, each with a reason. */
  readonly suppress?: readonly Suppression[]
  /** How many handlings one start may lead to before S17 warns. Default 1,000. */
  readonly handlingsMax?: number
  /**
   * The versions of services that are deployed now, if they are not those of the choreography: both run at the same time
   * during a release. Every pair of old producer and new consumer, and the reverse, is looked at (D1, D2).
   */
  readonly deployed?: readonly AnyService[]
}
