/** Recognises the failures of SQLite that this ledger treats by name. */

/** Primary result codes of SQLite (https://sqlite.org/rescode.html). */
const resultCode = { busy: 5, locked: 6, ioError: 10, full: 13, constraint: 19, notADatabase: 26 } as const

function hasCode(error: unknown, code: keyof typeof resultCode): boolean {
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return false
  // The upper bits of an extended result code say more about the same failure.
  return (Number(error.errcode) & 0xff) === resultCode[code]
}

/** True when another connection held a lock for longer than the busy timeout: trying again later can succeed. */
export const isBusy = (error: unknown): boolean => hasCode(error, 'busy')

/** True when the failure lies in the database and its surroundings, not in the statement: a lock, the disk. */
export const isOutside = (error: unknown): boolean =>
  isBusy(error) || hasCode(error, 'locked') || hasCode(error, 'full') || hasCode(error, 'ioError')

/** True when a constraint of a table was violated, also one that is checked at COMMIT. */
export const isConstraint = (error: unknown): boolean => hasCode(error, 'constraint')

/** True when the file is something else than an SQLite database. */
export const isNotADatabase = (error: unknown): boolean => hasCode(error, 'notADatabase')
