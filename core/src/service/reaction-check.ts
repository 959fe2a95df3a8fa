/** Refuses declarations that can not work, at the moment and place of the declaration. */
import { durationMs, QuadrilleError, refuseOption, refuseUnknown } from '../base/index.ts'
import { matchesPattern, triggerText, type AnyContract, type AnyPattern } from '../contracts/index.ts'
import { policyNames } from './policy-names.ts'
import { effectivePolicy, type BatchPolicy, type CoalescePolicy, type JoinBatchPolicy } from './policy.ts'
import { emitsOf, triggersOf, type OnReaction, type Reaction, type Undo } from './reaction.ts'
import type { AllOptions, DeadlineOptions, OnOptions } from './service.ts'

const batchSizeMax = 1_000
const joinPartsMax = 16

const commonNames = { name: true, emits: true, from: true, replay: true, ...policyNames } as const
/** What does nothing until it is complete has neither; that is said in {@link checkReaction}. */
const waitingNames = { ...commonNames, rate: false, breaker: false } as const
type AnyOn = OnOptions<unknown, unknown, [], unknown, [], unknown, undefined>
const onNames: Readonly<Record<keyof AnyOn, boolean>> = {
  filter: true,
  call: true,
  undo: true,
  batch: true,
  coalesce: true,
  ...commonNames,
}
const allNames: Readonly<Record<keyof AllOptions<unknown, [], []>, boolean>> = {
  within: true,
  late: true,
  batch: true,
  ...waitingNames,
}
const deadlineNames: Readonly<Record<keyof DeadlineOptions<[]>, boolean>> = {
  unless: true,
  within: true,
  ...waitingNames,
}
const undoNames: Readonly<Record<keyof Undo, true>> = { on: true, emits: true, call: true, run: true }
const batchNames: Readonly<Record<keyof BatchPolicy, true>> = { size: true, within: true }
const joinBatchNames: Readonly<Record<keyof JoinBatchPolicy, true>> = { size: true }
const coalesceNames: Readonly<Record<keyof CoalescePolicy, true>> = { within: true }

/** How each kind of reaction is written, and what it is called without a `name`. */
const kinds = {
  on: { role: 'trigger', names: onNames, named: '', form: '.on(Contract, { … }, handler)' },
  all: { role: 'part', names: allNames, named: '', form: '.all([One, Other], { … }, handler)' },
  deadline: {
    role: 'start',
    names: deadlineNames,
    named: 'deadline of ',
    form: '.deadline(Contract, { unless: […], within: … }, handler)',
  },
} as const

/** A reaction as it was handed in, by whoever may have no types. */
export interface Written {
  readonly service: string
  readonly kind: Reaction['kind']
  readonly triggers: readonly AnyPattern[]
  readonly options: object
  readonly run: unknown
}

/**
 * Refuses what has not even the shape of a reaction, before anything is read from it.
 *
 * @returns The name of the reaction: what it was given, or its triggers.
 * @throws QuadrilleError `REACTION_INVALID` or `OPTION_INVALID`.
 */
export function checkWritten({ service, kind, triggers, options, run }: Written): string {
  const { role, names, named, form } = kinds[kind]
  const { name, undo, ...lists } = (options ?? {}) as Partial<AnyOn & DeadlineOptions<[]>>
  const given = typeof options === 'function' ? undefined : name
  const fail = (problem: string): never => {
    throw new QuadrilleError('REACTION_INVALID', { service, reaction: given ?? `.${kind}()`, problem })
  }
  if (!Array.isArray(triggers)) fail(`its parts are not a list, as in ${form}`)
  if (!triggers.every(isPattern)) fail(`its ${role} is not an event contract`)
  if (typeof options === 'function') fail(`its options are missing, as in ${form}`)
  if (typeof run !== 'function') fail(`the handler is missing, as in ${form}`)
  const shown = given ?? `${named}${triggers.map(triggerText).join('+')}`
  const of = `${service}/${shown}`
  refuseUnknown(options, names, { of })
  const list = (option: string, value: unknown) => {
    if (!Array.isArray(value)) refuseOption(value, `${option} of ${of}`, 'a list of contracts, as in [OrderCreated]')
  }
  if (lists.emits !== undefined) list('emits', lists.emits)
  if (kind === 'deadline') list('unless', lists.unless)
  if (undo === undefined) return shown
  refuseUnknown(undo as Undo, undoNames, { of, path: 'undo' })
  list('undo.on', undo.on)
  if (undo.emits !== undefined) list('undo.emits', undo.emits)
  return shown
}

const isPattern = (trigger: AnyPattern | undefined): boolean => typeof trigger?.contract?.key === 'string'

/** True when every event that one trigger is about is one of the other too. */
const covers = (wide: AnyPattern, narrow: AnyPattern): boolean =>
  wide.type === narrow.type && (wide.pattern === undefined || matchesPattern(wide.pattern, narrow.pattern))

/** @throws QuadrilleError `REACTION_INVALID` with the reason, or what the policy says. */
export function checkReaction(reaction: Reaction): void {
  const where = `${reaction.service}/${reaction.name}`
  const fail = (problem: string): never => {
    throw new QuadrilleError('REACTION_INVALID', { service: reaction.service, reaction: reaction.name, problem })
  }
  if (typeof reaction.name !== 'string' || !/^[^\u0000-\u001f\u007f|]{1,200}$/.test(reaction.name))
    fail('give it a `name` of 1 to 200 printable characters without |')
  const { from } = reaction
  if (from !== undefined && from !== 'beginning' && from !== 'now') fail("`from` must be 'beginning' or 'now'")
  for (const { role, trigger } of triggersOf(reaction)) {
    if (!isPattern(trigger)) fail(`its ${role} is not an event contract`)
  }
  for (const contract of emitsOf(reaction)) {
    if ((contract as AnyContract | undefined)?.contract !== contract || contract === undefined)
      fail('`emits` takes contracts, not patterns or names')
  }
  effectivePolicy({ reaction: reaction.policy }, where)
  if (reaction.kind === 'on') checkOn(reaction, fail)
  else if (reaction.policy.rate !== undefined || reaction.policy.breaker !== undefined)
    fail('`rate` and `breaker` are for `.on()`: a join or deadline does nothing until it is complete')
  if (reaction.kind === 'all') {
    const types = reaction.triggers.length
    if (types < 2 || types > joinPartsMax) fail(`a join needs 2 to ${joinPartsMax} parts`)
    const parts = reaction.triggers.map(triggerText)
    const twice = parts.find((part, index) => parts.indexOf(part) !== index)
    if (twice !== undefined) fail(`a join names ${twice} twice`)
    if (reaction.late !== undefined && typeof reaction.late !== 'function') fail('`late` is not a function')
    if ((reaction.withinMs === undefined) !== (reaction.late === undefined)) fail('`within` and `late` go together')
    if (reaction.batch !== undefined) {
      refuseUnknown(reaction.batch, joinBatchNames, { of: where, path: 'batch' })
      checkSize(reaction.batch, fail)
    }
  }
  if (reaction.kind === 'deadline') {
    if (reaction.unless.length === 0) fail('a deadline needs at least one `unless` event')
    if (reaction.unless.some((other) => covers(other, reaction.start)))
      fail('the event that starts it is one of `unless`, so it would be settled at once')
  }
}

function checkSize({ size }: JoinBatchPolicy, fail: (problem: string) => never): void {
  if (!Number.isSafeInteger(size) || size < 1 || size > batchSizeMax) fail(`batch.size must be 1 to ${batchSizeMax}`)
}

function checkOn(reaction: OnReaction, fail: (problem: string) => never): void {
  const { batch, coalesce, filter, call, undo } = reaction
  const where = `${reaction.service}/${reaction.name}`
  for (const [name, value] of Object.entries({ filter, call, 'undo.call': undo?.call })) {
    if (value !== undefined && typeof value !== 'function') fail(`\`${name}\` is not a function`)
  }
  if (batch !== undefined) {
    refuseUnknown(batch, batchNames, { of: where, path: 'batch' })
    if (call || undo || coalesce) fail('`batch` can not be combined with `call`, `undo` or `coalesce`')
    checkSize(batch, fail)
    if (batch.within !== undefined) durationMs(batch.within, `batch.within of ${where}`)
  }
  if (coalesce !== undefined) {
    refuseUnknown(coalesce, coalesceNames, { of: where, path: 'coalesce' })
    if (call || undo) fail('`coalesce` can not be combined with `call` or `undo`')
    durationMs(coalesce.within, `coalesce.within of ${where}`)
  }
  if (undo && undo.on.length === 0) fail('`undo.on` names no event')
  if (undo?.on.some((other) => covers(other, reaction.trigger)))
    fail('its own trigger is one of `undo.on`, so it would be undone at once')
  if (undo && typeof undo.run !== 'function') fail('`undo.run` is missing')
}
