/** S13, S14: calls that may be made twice, and failures that may be none. Read from the source of the call. */
import type { CallDescription, ReactionDescription } from '../../service/index.ts'
import { placeOf, type Context } from '../context.ts'
import { nameOf, ownNameOf, says } from '../words.ts'

/** Both rules, for the call of the reaction and that of its undo. */
export function calls(context: Context): void {
  for (const reaction of context.model.reactions) {
    const types = reaction.emits.join(' | ')
    const asks = says(ownNameOf(reaction), 'asking') || (reaction.undo === null && says(types, 'asking'))
    const text = `${nameOf(reaction)} | ${types}`
    const heavy = says(text, 'taking') || says(text, 'telling') || says(text, 'giving') || reaction.undo !== null
    if (reaction.call && !asks) callRules(context, reaction, { what: 'The call', call: reaction.call, heavy })
    if (reaction.undo?.call)
      callRules(context, reaction, { what: 'The call of the undo', call: reaction.undo.call, heavy: true })
  }
}

interface Called {
  readonly what: string
  readonly call: CallDescription
  readonly heavy: boolean
}

function callRules(context: Context, reaction: ReactionDescription, { what, call, heavy }: Called): void {
  const name = `${reaction.service}/${reaction.name}`
  const severity = heavy ? 'error' : 'warning'
  const places = [placeOf(reaction)]
  if (call.usesKey === false) {
    context.say('S13', {
      severity,
      places,
      message: `${what} of ${name} hands on no idempotency key that stays the same: when its answer is lost it is made again, and has its effect twice.`,
      sequence: [
        `${name} calls the outside, which does it`,
        'the answer is lost, or the process dies',
        `${name} calls again: it is done twice`,
      ],
      fix: 'Take `{ idempotencyKey }` from the second parameter and hand it to the other side; it is the same on every retry.',
    })
  }
  if (call.swallowsErrors) {
    context.say('S14', {
      severity,
      places,
      message: `${what} of ${name} makes a result of every error: an answer that was lost is reported as a failure, though it may have been done.`,
      sequence: [
        `${name} calls the outside, which does it`,
        'the answer is lost',
        `${name} reports that it has failed`,
      ],
      fix: 'Return what the other side has answered, and throw everything else: the call is then made again with the same key until it is known.',
    })
  }
}
