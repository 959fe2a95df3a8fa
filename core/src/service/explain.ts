/** Explains one event type: who reacts to it, under which policy, how long it can take at worst, and what happens then. */
import { durationText } from '../base/index.ts'
import { patternText, type AnyPattern, type Pattern } from '../contracts/index.ts'
import { describeReaction, type ReactionDescription } from './describe.ts'
import {
  backoffMs,
  undoRetry,
  type EffectivePolicy,
  type FullPolicy,
  type FullRetry,
  type ReactionPolicy,
} from './policy.ts'
import { emitsOf, triggersOf, type Reaction, type TriggerRole } from './reaction.ts'
import type { AnyService } from './service.ts'

/**
 * The worst case of one handling, from its first attempt to the last one. Not counted: the handler's own time, waiting
 * behind earlier events of the key, rate limits, the pauses of a breaker, and asking an unanswered call again before it
 * is undone.
 */
export interface WorstCase {
  readonly attempts: number
  /** All waits between attempts, milliseconds. */
  readonly waitsMs: number
  /** All calls, each up to its timeout, milliseconds; 0 without a `call`. */
  readonly callsMs: number
  /** Both together. */
  readonly totalMs: number
}

/** One part that the event plays in one reaction. */
export interface ReactionExplanation {
  readonly service: string
  readonly reaction: string
  readonly kind: ReactionDescription['kind']
  /** `trigger`, `part` of a join, `undo`, `start` of a deadline, or `unless`: settles one. */
  readonly role: TriggerRole
  /** Only events like this; null for all of the type. */
  readonly pattern: Pattern | null
  /** What may be emitted as a consequence. */
  readonly emits: readonly string[]
  /** True when what runs talks to the outside. */
  readonly calls: boolean
  /** How long it may be put off by design: the time of a deadline or join, the window of a batch; milliseconds. */
  readonly delayMs: number
  /** Null when the event runs no handler: it only settles a deadline. */
  readonly worst: WorstCase | null
  /** What happens after the last attempt, as a sentence; empty when nothing runs. */
  readonly afterLast: string
  readonly policy: EffectivePolicy
  /** `file:line` of the declaration. */
  readonly place: string
}

/** Everything about one event type in these services. */
export interface EventExplanation {
  readonly type: string
  /** `service/reaction` of each reaction that may emit it, its undo included. */
  readonly emittedBy: readonly string[]
  readonly reactions: readonly ReactionExplanation[]
}

/**
 * Explains an event type: every reaction that it takes part in, with its effective policy and where each value comes
 * from, the worst-case attempts and time, and what happens after the last attempt. {@link explainText} prints it.
 *
 * @param eventType - A contract, a pattern of it, or the name of the type.
 * @param appPolicy - The `policy` that is given to `start()`.
 *
 * @example
 * ```ts run
 * import { event, explain, service } from 'quadrille'
 * import * as z from 'zod'
 *
 * const Asked = event('asked', { key: 'id', schema: z.object({ id: z.string() }) })
 * const desk = service('desk').on(Asked, { retry: { attempts: 3, base: '1s' } }, () => {})
 * const [reaction] = explain([desk], Asked).reactions
 * reaction?.worst // => { attempts: 3, waitsMs: 3_000, callsMs: 0, totalMs: 3_000 }
 * ```
 */
export function explain(
  services: readonly AnyService[],
  eventType: AnyPattern | string,
  appPolicy?: ReactionPolicy,
): EventExplanation {
  const type = typeof eventType === 'string' ? eventType : eventType.type
  const all = services.flatMap((service) => service.reactions.map((reaction) => ({ service, reaction })))
  return {
    type,
    emittedBy: all
      .filter(({ reaction }) => emitsOf(reaction).some((contract) => contract.type === type))
      .map(({ reaction }) => `${reaction.service}/${reaction.name}`),
    reactions: all.flatMap(({ service, reaction }) => {
      const described = describeReaction(reaction, { app: appPolicy, service: service.policy })
      return triggersOf(reaction)
        .filter(({ trigger }) => trigger.type === type)
        .map(({ role, trigger }) => explainPart(described, { role, pattern: trigger.pattern ?? null, reaction }))
    }),
  }
}

interface Part {
  readonly role: TriggerRole
  readonly pattern: Pattern | null
  readonly reaction: Reaction
}

function explainPart(described: ReactionDescription, { role, pattern, reaction }: Part): ReactionExplanation {
  const { policy, undo } = described
  const calls = role === 'undo' ? undo?.calls === true : described.calls
  const runs = role !== 'unless'
  return {
    service: described.service,
    reaction: described.name,
    kind: described.kind,
    role,
    pattern,
    emits: !runs ? [] : role === 'undo' ? (undo?.emits ?? []) : described.emits,
    calls: runs && calls,
    delayMs: delayOf(described, role),
    worst: runs ? worstCase(role === 'undo' ? undoPolicy(policy) : policy, calls) : null,
    afterLast: runs ? afterLast(policy, role === 'undo') : '',
    policy,
    place: reaction.place,
  }
}

const undoPolicy = (policy: FullPolicy): FullPolicy => ({
  ...policy,
  retry: undoRetry(policy.retry),
  errors: Object.fromEntries(
    Object.entries(policy.errors).map(([name, rule]) => [name, rule === 'dead' ? rule : undoRetry(rule)]),
  ),
})

function delayOf({ withinMs, batch, coalesceMs }: ReactionDescription, role: TriggerRole): number {
  if (role === 'start' || role === 'part') return withinMs ?? 0
  return role === 'trigger' ? (batch?.withinMs ?? coalesceMs ?? 0) : 0
}

/**
 * The worst case under a policy, whatever errors come in whatever order: before each attempt the longest wait that any
 * of its retry rules still allows.
 *
 * @param calls - Whether each attempt may take `callTimeout` on top.
 */
export function worstCase(policy: FullPolicy, calls: boolean): WorstCase {
  const rules = [policy.retry, ...Object.values(policy.errors).filter((rule): rule is FullRetry => rule !== 'dead')]
  const attempts = Math.max(...rules.map((rule) => rule.attempts))
  let waitsMs = 0
  for (let attempt = 1; attempt < attempts; attempt++) {
    const open = rules.filter((rule) => attempt < rule.attempts)
    waitsMs += Math.max(...open.map((rule) => backoffMs(rule, attempt, 1)))
  }
  const callsMs = calls ? attempts * policy.callTimeoutMs : 0
  return { attempts, waitsMs, callsMs, totalMs: waitsMs + callsMs }
}

function afterLast({ onDead, breaker }: FullPolicy, undo: boolean): string {
  const what = undo ? 'it becomes a dead letter: the action is still not undone' : 'it becomes a dead letter'
  const then =
    onDead === 'hold' ? 'later events of its key wait until it is dealt with' : 'later events of its key go on'
  const pause = breaker === null ? '' : `; ${breaker.failures} failures in a row pause the reaction`
  return `${what}, ${then}${pause}`
}

const roleText: Readonly<Record<TriggerRole, string>> = {
  trigger: 'runs it',
  part: 'is a part of its join',
  undo: 'undoes it',
  start: 'starts its deadline',
  unless: 'settles its deadline',
}

/** The explanation as text for a terminal, one paragraph for each reaction. */
export function explainText(explanation: EventExplanation): string {
  const { type, emittedBy, reactions } = explanation
  const lines = [
    `${type}: emitted by ${emittedBy.length === 0 ? 'no reaction of these services' : emittedBy.join(', ')}`,
  ]
  if (reactions.length === 0) lines.push('', 'No reaction of these services takes part.')
  for (const reaction of reactions) lines.push('', ...reactionLines(reaction))
  return `${lines.join('\n')}\n`
}

function reactionLines(reaction: ReactionExplanation): string[] {
  const { worst, policy, pattern } = reaction
  const only = pattern === null ? '' : `, only {${patternText(pattern)}}`
  const place = reaction.place === '' ? '' : `  (${reaction.place})`
  const head = `${reaction.service}/${reaction.reaction}: ${roleText[reaction.role]}${only}${place}`
  if (worst === null) return [head]
  const calls = worst.callsMs === 0 ? '' : ` + ${durationText(worst.callsMs)} of calls`
  const delay = reaction.delayMs === 0 ? [] : [row('put off', `up to ${durationText(reaction.delayMs)}`)]
  return [
    head,
    ...(reaction.emits.length === 0 ? [] : [row('may emit', reaction.emits.join(', '))]),
    ...(reaction.calls ? [row('calls', 'the outside')] : []),
    ...delay,
    row(
      'worst case',
      `${worst.attempts} attempts, ${durationText(worst.totalMs)} (${durationText(worst.waitsMs)} of waits${calls})`,
    ),
    row('then', reaction.afterLast),
    ...policyRows(policy, reaction.calls).map(([name, text, origin]) => `${row(name, text).padEnd(61)} [${origin}]`),
  ]
}

const row = (name: string, text: string): string => `  ${name.padEnd(12)} ${text}`

const retryText = ({ attempts, baseMs, factor, maxMs }: FullRetry): string =>
  `${attempts} attempts, waits ${durationText(baseMs)} × ${factor} up to ${durationText(maxMs)}`

function policyRows(policy: EffectivePolicy, calls: boolean): (readonly [string, string, string])[] {
  const { retry, errors, onDead, concurrency, rate, breaker, callTimeoutMs, maxHops, origins } = policy
  const errorRules = Object.entries(errors).map(([name, rule], index): [string, string, string] => {
    return [index === 0 ? 'errors' : '', `${name}: ${rule === 'dead' ? rule : retryText(rule)}`, origins.errors]
  })
  const pause = (of: NonNullable<typeof breaker>) =>
    `after ${of.failures} failures, ${durationText(of.pauseMs)} up to ${durationText(of.pauseMaxMs)}`
  const ofCalls = [
    ['concurrency', `${concurrency} calls`, origins.concurrency],
    ['callTimeout', durationText(callTimeoutMs), origins.callTimeoutMs],
  ] as const
  return [
    ['retry', retryText(retry), origins.retry],
    ...errorRules,
    ['onDead', onDead, origins.onDead],
    ...(calls ? ofCalls : []),
    ['rate', rate === null ? 'no limit' : `${rate.limit} per ${durationText(rate.perMs)}`, origins.rate],
    ['breaker', breaker === null ? 'none' : pause(breaker), origins.breaker],
    ['maxHops', String(maxHops), origins.maxHops],
  ]
}
