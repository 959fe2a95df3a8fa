/** What an error of the client means to us. */
import { findErrorBy, MultipleErrors } from '@platformatic/kafka'
import { isQuadrilleError, QuadrilleError } from 'quadrille'

/** What the broker answers to a produce request; the client does not export the type. */
export interface ProduceResponse {
  readonly responses: readonly {
    readonly name: string
    readonly partitionResponses: readonly { readonly index: number; readonly errorCode: number }[]
  }[]
}

/** Codes of the protocol that mean: never, as it is. */
const tooLarge = new Set([10, 18])
const refused = new Set([...tooLarge, 87])
const unknownTopic = new Set(['UNKNOWN_TOPIC_OR_PARTITION', 'UNKNOWN_TOPIC_ID', 'INCONSISTENT_TOPIC_ID'])

/** Whether one of the errors in it is of that code of the protocol. */
export const isProtocol = (error: unknown, apiId: string): boolean => find(error, 'apiId', apiId)

function find(error: unknown, property: string, value: unknown): boolean {
  return error instanceof Error && findErrorBy(error as never, property as never, value as never) !== null
}

/** The topic is not, or no longer, what it was. The client answers with words alone when it asks for metadata. */
export function isUnknownTopic(error: unknown): boolean {
  if ([...unknownTopic].some((code) => isProtocol(error, code))) return true
  return error instanceof Error && /\bUnknown topic \S+\./.test(textOf(error))
}

/** Kafka does not take this name of a topic, for example because another one differs only in a dot and an underscore. */
export const isIllegalTopic = (error: unknown): boolean =>
  isProtocol((error as { cause?: unknown }).cause ?? error, 'INVALID_TOPIC_EXCEPTION')

/** The group wants this member to join again. */
export const needsRejoin = (error: unknown): boolean => find(error, 'needsRejoin', true)

export const isSizeCode = (code: number): boolean => tooLarge.has(code)
export const isRefusalCode = (code: number): boolean => refused.has(code)

/** What the broker said of each partition, when it said anything. */
export function produceResponse(error: unknown): ProduceResponse | undefined {
  if (typeof error !== 'object' || error === null) return undefined
  const { response, errors, cause } = error as { response?: ProduceResponse; errors?: unknown[]; cause?: unknown }
  if (response !== undefined && 'responses' in response) return response
  // The client collects the errors of its tries; the last one counts.
  for (const each of (errors ?? []).toReversed()) {
    const found = produceResponse(each)
    if (found !== undefined) return found
  }
  return cause === undefined ? undefined : produceResponse(cause)
}

/** In one line, with what lies beneath it. */
export function textOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const beneath = error instanceof MultipleErrors || error instanceof AggregateError ? error.errors : [error.cause]
  const texts = beneath.filter((each) => each !== undefined).map(textOf)
  const { code, serverErrorMessage: said } = error as { code?: string; serverErrorMessage?: string | null }
  return [...new Set([error.message || code || error.name, ...(said ? [said] : []), ...texts])].join('; ')
}

/**
 * As an error of the catalogue: wrong options stay wrong, everything else may pass, also a login that is refused: a
 * password may be changed at the broker first.
 */
export function asWireError(wire: string, error: unknown): QuadrilleError {
  if (isQuadrilleError(error)) return error
  // Of a token that the broker refuses the client takes no notice: the next request on that connection fails.
  const login = isProtocol(error, 'ILLEGAL_SASL_STATE') ? 'SASL authentication failed: the token is refused; ' : ''
  const message = login + textOf(error)
  const wrongOptions =
    find(error, 'code', 'PLT_KFK_UNSUPPORTED_API') ||
    ['TOPIC_AUTHORIZATION_FAILED', 'GROUP_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED'].some((code) =>
      isProtocol(error, code),
    )
  if (wrongOptions) return new QuadrilleError('WIRE_INCOMPATIBLE', { wire, problem: message }, error)
  return new QuadrilleError('WIRE_UNREACHABLE', { wire, message }, error)
}
