/** From declarations to routes: for each event type, which reactions of a reader it concerns, and in which part. */
import {
  effectivePolicy,
  triggersOf,
  type AnyService,
  type EffectivePolicy,
  type Reaction,
  type TriggerRole,
} from '../service/index.ts'
import type { AnyPattern } from '../contracts/index.ts'
import { Breaker } from './breaker.ts'
import { RateLimit } from './rate-limit.ts'
import { waitingKinds, type WaitingKinds } from './record-kinds.ts'
import type { Settings } from './settings.ts'

/** A reaction at run time: its policy in force and its state in this process, all of which may be lost. */
export interface ReactionState {
  readonly reaction: Reaction
  readonly service: AnyService
  readonly policy: EffectivePolicy
  readonly breaker: Breaker | null
  readonly rate: RateLimit | null
  /** Events up to here are none of its business: it was added later and starts from now. */
  since: number
  /** Events up to here are older than the reaction. */
  replayUntil: number
  /** Its handler has sent a statement too late to run side by side with others, and does so no more. */
  inOrder: boolean
  readonly kinds: WaitingKinds
  /** The earliest due time by record kind, as far as this process knows; Infinity for none. */
  readonly nextDue: Map<string, number>
  /** How many work records there are in the partitions held, as far as this process knows; Infinity: to be counted. */
  waiting: number
  /** How many events are collected for a batch in the partitions held, as far as this process knows. */
  collected: number
  /** Calls under way. */
  calling: number
  /** When it was last said that a handling of it has failed for the first time, by the monotonic clock. */
  warnedAt: number
}

/** One way in which an event type concerns a reaction. */
export interface Route {
  readonly state: ReactionState
  readonly role: TriggerRole
  /** The place in a join; otherwise 0. */
  readonly index: number
  readonly trigger: AnyPattern
}

/** Everything a reader does. */
export interface ReaderPlan {
  /** Names its checkpoints and records in the ledger. */
  readonly reader: string
  readonly service: AnyService
  readonly states: readonly ReactionState[]
  readonly routes: ReadonlyMap<string, readonly Route[]>
  readonly types: readonly string[]
  /** Where its checkpoints start when it is new: nothing before concerns any of its reactions. */
  readonly start: number
}

/** The state of a reaction that has just started. */
export function reactionState(reaction: Reaction, service: AnyService, settings: Settings): ReactionState {
  const where = `${service.name}/${reaction.name}`
  const policy = effectivePolicy({ app: settings.policy, service: service.policy, reaction: reaction.policy }, where)
  return {
    reaction,
    service,
    policy,
    breaker: policy.breaker && new Breaker(policy.breaker),
    rate: policy.rate && new RateLimit(policy.rate),
    since: 0,
    replayUntil: 0,
    inOrder: false,
    kinds: waitingKinds(reaction.name),
    nextDue: new Map(),
    waiting: 0,
    collected: 0,
    calling: 0,
    warnedAt: -Infinity,
  }
}

/** Puts the routes of a reader together, in the order of declaration. */
export function readerPlan(reader: string, service: AnyService, states: readonly ReactionState[]): ReaderPlan {
  const routes = new Map<string, Route[]>()
  for (const state of states) {
    for (const { role, trigger, index } of triggersOf(state.reaction)) {
      const list = routes.get(trigger.type) ?? []
      routes.set(trigger.type, list)
      list.push({ state, role, index, trigger })
    }
  }
  return {
    reader,
    service,
    states,
    routes,
    types: [...routes.keys()],
    start: Math.min(...states.map((state) => state.since)),
  }
}
