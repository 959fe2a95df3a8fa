/** Declarations as plain JSON data: what the checker, the simulator, the drawings and `explain` read. */
import { durationMs } from '../base/index.ts'
import type { AnyPattern, Pattern } from '../contracts/index.ts'
import { effectivePolicy, type BatchPolicy, type EffectivePolicy, type PolicyLevels } from './policy.ts'
import { describeCall, nameOf, type CallDescription } from './call-source.ts'
import type { Reaction } from './reaction.ts'

export type { CallDescription }

/** A trigger as data. */
export interface TriggerDescription {
  readonly type: string
  /** The field that orders and correlates the events of the type. */
  readonly key: string
  readonly pattern: Pattern | null
}

/** A reaction as data. Durations are milliseconds. */
export interface ReactionDescription {
  readonly service: string
  readonly name: string
  readonly kind: 'on' | 'all' | 'deadline'
  readonly triggers: readonly TriggerDescription[]
  /** Event types it may emit, its undo left out. */
  readonly emits: readonly string[]
  /** The name of its handler function; empty when it has none. */
  readonly handler: string
  /** True when it talks to the outside. */
  readonly calls: boolean
  /** What the source of its `call` tells; null without one. */
  readonly call: CallDescription | null
  readonly filtered: boolean
  readonly undo: {
    readonly on: readonly TriggerDescription[]
    readonly emits: readonly string[]
    readonly calls: boolean
    readonly call: CallDescription | null
  } | null
  readonly unless: readonly TriggerDescription[]
  readonly withinMs: number | null
  readonly batch: { readonly size: number; readonly withinMs: number } | null
  readonly coalesceMs: number | null
  readonly from: 'beginning' | 'now' | null
  readonly replay: boolean
  readonly policy: EffectivePolicy
  /** `file:line` of the declaration. */
  readonly place: string
}

/** A service as data. */
export interface ServiceDescription {
  readonly name: string
  readonly db: string | null
  readonly reactions: readonly ReactionDescription[]
}

/** A trigger as data. */
export const describeTrigger = (trigger: AnyPattern): TriggerDescription => ({
  type: trigger.type,
  key: trigger.contract.key,
  pattern: trigger.pattern ?? null,
})

function batchOf(reaction: Reaction): ReactionDescription['batch'] {
  const batch: BatchPolicy | undefined = reaction.kind === 'deadline' ? undefined : reaction.batch
  return batch ? { size: batch.size, withinMs: durationMs(batch.within ?? 0, 'batch.within') } : null
}

/** The reaction as data, with the policy that is in force under these levels. */
export function describeReaction(reaction: Reaction, levels: Omit<PolicyLevels, 'reaction'>): ReactionDescription {
  const on = reaction.kind === 'on' ? reaction : undefined
  const triggers =
    reaction.kind === 'on' ? [reaction.trigger] : reaction.kind === 'all' ? reaction.triggers : [reaction.start]
  return {
    service: reaction.service,
    name: reaction.name,
    kind: reaction.kind,
    triggers: triggers.map(describeTrigger),
    emits: reaction.emits.map((contract) => contract.type),
    handler: nameOf(reaction.run),
    calls: on?.call !== undefined,
    call: describeCall(on?.call),
    filtered: on?.filter !== undefined,
    undo: on?.undo
      ? {
          on: on.undo.on.map(describeTrigger),
          emits: on.undo.emits.map((contract) => contract.type),
          calls: on.undo.call !== undefined,
          call: describeCall(on.undo.call),
        }
      : null,
    unless: reaction.kind === 'deadline' ? reaction.unless.map(describeTrigger) : [],
    withinMs: reaction.kind === 'on' ? null : (reaction.withinMs ?? null),
    batch: batchOf(reaction),
    coalesceMs: on?.coalesce ? durationMs(on.coalesce.within, 'coalesce.within') : null,
    from: reaction.from ?? null,
    replay: reaction.replay ?? false,
    policy: effectivePolicy({ ...levels, reaction: reaction.policy }, `${reaction.service}/${reaction.name}`),
    place: reaction.place,
  }
}
