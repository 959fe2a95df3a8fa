/** Recognises the failures of PostgreSQL and of connections to it that this ledger treats by name. */

/** The SQLSTATE of our functions for a claim that does not hold. */
export const leaseLostState = 'QD001'

/** The SQLSTATE of our functions for an append on which no transaction is open. */
export const outsideState = 'QD002'

/** The SQLSTATE of everything that is sent in a transaction which has failed already. */
export const abortedState = '25P02'

/** The SQLSTATE with which the server ends a connection whose transaction was quiet for longer than `idleTimeout`. */
export const quietState = '25P03'

/** Query builders put their own error around that of the driver; deeper than this nobody does. */
const causesMax = 5

/** What has a code: an error of the server, with its severity, or one of Node. */
interface Coded {
  readonly code: string
  readonly severity?: unknown
}

/** The error, or the first of its causes that has a code. */
function codedOf(error: unknown): Coded | undefined {
  let at = error
  for (let depth = 0; depth < causesMax && typeof at === 'object' && at !== null; depth++) {
    if ('code' in at && typeof at.code === 'string') return at as Coded
    at = 'cause' in at ? at.cause : undefined
  }
  return undefined
}

const codeOf = (error: unknown): string | undefined => codedOf(error)?.code

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

/** 57P0x: the server goes down, has crashed, or is starting. 53300: no connection left. */
const awayStates = /^(57P0[1-5]|53300)$/

/** What pg says, without any code, when a connection has ended or could not be made in time. */
const awayMessages =
  /^(Connection terminated|Client has encountered a connection error|timeout e|Client was closed|timeout expired)/

/**
 * True when the failure lies in the connection or the server, not in the statement. A transaction that was ended because it
 * was quiet for too long ({@link quietState}) is the doing of whoever was quiet.
 */
export function isAway(error: unknown): boolean {
  const coded = codedOf(error)
  if (coded === undefined) return error instanceof Error && awayMessages.test(error.message)
  const { code, severity } = coded
  // After ERROR the connection goes on: a statement was wrong (08P01), or has passed on what another server said to it.
  // A server that speaks another language says that word in it, and connection exceptions of its own it has only as ERROR.
  if (code.startsWith('08')) return severity === 'FATAL' || severity === 'PANIC'
  return networkCodes.has(code) || (awayStates.test(code) && severity !== 'ERROR')
}

/** True for an error that the server has sent: inside a transaction nothing goes on after it. */
export const isFromServer = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'severity' in error
