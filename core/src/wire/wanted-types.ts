/** Which messages a subscription is for. */
import type { Subscription } from './wire.ts'

/**
 * Those that this process wants, or another one of the service: the others may be acknowledged without delivering them. The order stays.
 *
 * @param typeOf - Undefined for what can not be told: that is for the runtime to decide.
 */
export async function wantedOf<Message>(
  { types, alsoWanted }: Pick<Subscription, 'types' | 'alsoWanted'>,
  messages: readonly Message[],
  typeOf: (message: Message) => string | undefined,
): Promise<readonly Message[]> {
  const own = new Set<string | undefined>([undefined, ...types.map(({ type }) => type)])
  if (messages.every((message) => own.has(typeOf(message)))) return messages
  const others: ReadonlySet<string | undefined> = (await alsoWanted?.()) ?? new Set()
  return messages.filter((message) => own.has(typeOf(message)) || others.has(typeOf(message)))
}

/**
 * True for a subscription that the ledger knows: where the broker knows nothing of it, it has forgotten it, and what was in
 * it is lost (`WIRE_POSITION_LOST`).
 */
export const isKnown = ({ types, known = [] }: Pick<Subscription, 'types' | 'known'>): boolean =>
  types.some(({ type }) => known.includes(type))
