/** Refuses declarations that can not work, at the moment and place of the declaration. */
import { durationMs, QuadrilleError } from '../base/index.ts'
import { triggerText, type AnyContract } from '../contracts/index.ts'
import { effectivePolicy } from './policy.ts'
import { emitsOf, triggersOf, type OnReaction, type Reaction } from './reaction.ts'

const batchSizeMax = 1_000
const joinPartsMax = 16

/** @throws QuadrilleError `REACTION_INVALID` with the reason, or what the policy says. */
export function checkReaction(reaction: Reaction): void {
  const where = `${reaction.service}/${reaction.name}`
  const fail = (problem: string): never => {
    throw new QuadrilleError('REACTION_INVALID', { service: reaction.service, reaction: reaction.name, problem })
  }
  if (typeof reaction.run !== 'function') fail('the handler is missing')
  if (!/^[^\u0000-\u001f\u007f|]{1,200}$/.test(reaction.name))
    fail('give it a `name` of 1 to 200 printable characters without |')
  const { from } = reaction
  if (from !== undefined && from !== 'beginning' && from !== 'now') fail("`from` must be 'beginning' or 'now'")
  for (const { role, trigger } of triggersOf(reaction)) {
    if (typeof trigger?.contract?.key !== 'string') fail(`its ${role} is not an event contract`)
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
  }
  if (reaction.kind === 'deadline' && reaction.unless.length === 0) fail('a deadline needs at least one `unless` event')
}

function checkOn(reaction: OnReaction, fail: (problem: string) => never): void {
  const { batch, coalesce, filter, call, undo } = reaction
  const where = `${reaction.service}/${reaction.name}`
  for (const [name, value] of Object.entries({ filter, call, 'undo.call': undo?.call })) {
    if (value !== undefined && typeof value !== 'function') fail(`\`${name}\` is not a function`)
  }
  if (batch) {
    if (call || undo || coalesce) fail('`batch` can not be combined with `call`, `undo` or `coalesce`')
    if (!Number.isSafeInteger(batch.size) || batch.size < 1 || batch.size > batchSizeMax)
      fail(`batch.size must be 1 to ${batchSizeMax}`)
    if (batch.within !== undefined) durationMs(batch.within, `batch.within of ${where}`)
  }
  if (coalesce) {
    if (call || undo) fail('`coalesce` can not be combined with `call` or `undo`')
    durationMs(coalesce.within, `coalesce.within of ${where}`)
  }
  if (undo && undo.on.length === 0) fail('`undo.on` names no event')
  if (undo && typeof undo.run !== 'function') fail('`undo.run` is missing')
}
