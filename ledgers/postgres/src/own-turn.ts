/**
 * Which statements of a handler need that no other handler runs side by side with it in its transaction. Statements run in
 * the order of the handlers anyway; what is left is what reaches beyond a statement: settings and savepoints of the
 * transaction, and locks, which keep out everybody but those in the same transaction.
 */

/** Statements that are over when they are answered. Whatever else a handler may send runs alone. */
const plain = /^[\s(]*(?:select|insert|update|delete|merge|with|values)\b/i
const reachesFurther =
  /\bset_config\b|advisory|\bskip\s+locked\b|\bfor\s+(?:no\s+key\s+)?update\b|\bfor\s+(?:key\s+)?share\b|\bnowait\b/i

/** True for SQL that has to be sent alone. May say so of more than need it. */
export const needsOwnTurn = (sql: string): boolean => !plain.test(sql) || reachesFurther.test(sql)
