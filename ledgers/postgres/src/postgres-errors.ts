/** Recognises the failures of PostgreSQL and of connections to it that this ledger treats by name. */

/** The SQLSTATE of our functions for a claim that does not hold. */
export const leaseLostState = 'QD001'

/** The SQLSTATE of our functions for an append on which no transaction is open. */
export const outsideState = 'QD002'

/** The SQLSTATE of everything that is sent in a transaction which has failed already. */
export const abortedState = '25P02'

/** Query builders put their own error around that of the driver; deeper than this nobody does. */
const causesMax = 5

/** The code of an error, or of the first of its causes that has one. */
function codeOf(error: unknown): string | undefined {
  let at = error
  for (let depth = 0; depth < causesMax && typeof at === 'object' && at !== null; depth++) {
    if ('code' in at && typeof at.code === 'string') return at.code
    at = 'cause' in at ? at.cause : undefined
  }
  return undefined
}

/** Serialization failure, deadlock, a lock that was not to be had in time. */
const conflictStates = new Set(['40001', '40P01', '55P03'])

/** True when a transaction lost against another one, so that running it again may help. */
export const isConflictError = (error: unknown): boolean => conflictStates.has(codeOf(error) ?? '')

/** True when `error` is of this SQLSTATE. */
export const hasState = (error: unknown, state: string): boolean => codeOf(error) === state

/** Errors of Node's sockets and name look-up. */
const networkCodes = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOENT',
])

/** Class 08: connection exceptions. 57P0x: the server goes down, has crashed, or is starting. 53300: no connection left. */
const awayStates = /^(08...|57P0[1-5]|53300|25P03)$/

/** What pg says, without any code, when a connection has ended or could not be made in time. */
const awayMessages =
  /^(Connection terminated|Client has encountered a connection error|timeout e|Client was closed|timeout expired)/

/** True when the failure lies in the connection or the server, not in the statement. */
export function isAway(error: unknown): boolean {
  const code = codeOf(error)
  if (code !== undefined) return networkCodes.has(code) || awayStates.test(code)
  return error instanceof Error && awayMessages.test(error.message)
}

/** True for an error that the server has sent: inside a transaction nothing goes on after it. */
export const isFromServer = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'severity' in error

/** The sentence of an error, whatever was thrown. */
export function messageOf(error: unknown): string {
  // Node wraps the failures of all addresses of a host.
  if (error instanceof AggregateError && error.errors.length > 0) return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
