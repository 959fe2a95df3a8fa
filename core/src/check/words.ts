/**
 * What names say. Declarations hold no word about what a handler does to its rows or to the world; its own name, that of
 * its function, its service and its events often do. Names decide only where nothing else does, and docs/check.md says
 * in which rules.
 */
import type { ReactionDescription } from '../service/index.ts'

/** Kinds of words that are told apart. */
export type Meaning = 'negative' | 'taking' | 'giving' | 'asking' | 'telling' | 'recording' | 'final'

const meanings: Readonly<Record<Meaning, RegExp>> = {
  negative:
    /reject|fail|declin|den(y|ied)|refus|cancel|unavailab|insufficient|shortage|expire|time(d)? ?out|error|abort|invalid|lapse|void|not ?(found|enough|possible|available)|out ?of|unable|missing|lost|blocked|bounced/,
  taking:
    /charg|debit|captur|reserv|\bbook|allocat|withdraw|\bhold\b|deduct|purchas|\bbuy|transfer|\bpay(s|ment|ments)?\b|\bpaid\b|\bheld\b|stock|inventor|lock/,
  giving:
    /refund|releas|restock|restor|revert|roll ?back|compensat|unreserv|\bundo|give ?back|put ?back|return|reverse|deallocat|unbook|free|void|credit/,
  asking:
    /check(?!out)|verif|valid|scor|screen|quot|pric|calculat|estimat|look ?up|fetch|\bget|\bread|quer|search|rating|assess|review|\bask|inspect|detect|classif|enrich|translat|geocod|convert|\btax|fraud|risk|request|plan|select|find|approv|decide|evaluat/,
  telling: /mail|notif|\bsms|push|messag|remind|inform|announc|confirm|congrat|invit|alert|tell|\bsend/,
  recording:
    /audit|\blog|metric|analy|track|histor|archiv|statist|record|index|project|\bview|report|dashboard|monitor|cache|search|feed|read ?model|\blist/,
  final: /\bship|dispatch|deliver|\bprint|mail|\bsms|notif|send|publish|wire|payout|pay ?out|confirm/,
}

/** `PaymentFailed`, `payment.failed` and `payment-failed` as words: `payment failed`. */
export function wordsOf(text: string): string {
  return text
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replace(/[^A-Za-z0-9]+/g, ' ')
    .toLowerCase()
    .trim()
}

/** Whether the text means that. */
export const says = (text: string, meaning: Meaning): boolean => meanings[meaning].test(wordsOf(text))

/** The words a reaction is described by: its own name, that of its function, and its service. */
export function nameOf({ service, name, handler, triggers }: ReactionDescription): string {
  // A reaction without a name of its own is called after its trigger, which says nothing of what it does.
  const own = triggers.some(({ type }) => name.startsWith(type)) || name.startsWith('deadline of ') ? '' : name
  return `${service} | ${own} | ${handler}`
}

/** The name without that of the service. */
export function ownNameOf(reaction: ReactionDescription): string {
  return nameOf(reaction).slice(reaction.service.length + 3)
}
