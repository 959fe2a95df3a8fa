/** The provider's own books: every charge and refund it has made, and which idempotency key asked for it. */
import { createHash } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'

export interface Charge {
  readonly chargeId: string
  readonly orderId: string
  readonly amountMinor: number
  readonly status: 'succeeded' | 'declined'
  readonly reason: string | null
}

export interface Refund {
  readonly refundId: string
  readonly chargeId: string
  readonly amountMinor: number
}

/** What was answered to a key, and to which request. */
export interface Answer {
  readonly requestHash: string
  readonly status: number
  readonly body: unknown
}

export interface ChargeStore {
  /** Counts the request and says which it is for its key: 1 for the first. */
  countTry(key: string): number
  answerOf(key: string): Answer | undefined
  chargeOf(chargeId: string): Charge | undefined
  /** Books and answer become durable together: a repeated key can never book twice. */
  book(entry: { readonly charge: Charge } | { readonly refund: Refund }, key: string, answer: Answer): void
  charges(): readonly Charge[]
  refunds(): readonly Refund[]
  /** How many requests came with a key that had come before. */
  repeats(): number
  close(): void
}

export const hashOf = (request: unknown): string => createHash('sha256').update(JSON.stringify(request)).digest('hex')

/** Opens the books, or begins new ones. `:memory:` keeps them for the life of the process. */
export function openChargeStore(file: string): ChargeStore {
  const db = new DatabaseSync(file)
  db.exec(`
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = NORMAL;
    CREATE TABLE IF NOT EXISTS charge (
      charge_id TEXT PRIMARY KEY, order_id TEXT NOT NULL, amount_minor INTEGER NOT NULL,
      status TEXT NOT NULL, reason TEXT) STRICT;
    CREATE TABLE IF NOT EXISTS refund (
      refund_id TEXT PRIMARY KEY, charge_id TEXT NOT NULL, amount_minor INTEGER NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS answer (
      key TEXT PRIMARY KEY, request_hash TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL) STRICT;
    CREATE TABLE IF NOT EXISTS try (key TEXT PRIMARY KEY, tries INTEGER NOT NULL) STRICT;
  `)
  const countTry = db.prepare(
    'INSERT INTO try VALUES (?, 1) ON CONFLICT (key) DO UPDATE SET tries = tries + 1 RETURNING tries',
  )
  const selectAnswer = db.prepare('SELECT request_hash, status, body FROM answer WHERE key = ?')
  const insertAnswer = db.prepare('INSERT INTO answer VALUES (?, ?, ?, ?)')
  const insertCharge = db.prepare('INSERT INTO charge VALUES (?, ?, ?, ?, ?)')
  const insertRefund = db.prepare('INSERT INTO refund VALUES (?, ?, ?)')
  const chargeColumns = 'charge_id chargeId, order_id orderId, amount_minor amountMinor, status, reason'
  const selectCharge = db.prepare(`SELECT ${chargeColumns} FROM charge WHERE charge_id = ?`)
  const selectCharges = db.prepare(`SELECT ${chargeColumns} FROM charge ORDER BY rowid`)
  const selectRefunds = db.prepare(
    'SELECT refund_id refundId, charge_id chargeId, amount_minor amountMinor FROM refund ORDER BY rowid',
  )
  const selectRepeats = db.prepare('SELECT coalesce(sum(tries - 1), 0) repeats FROM try')
  return {
    countTry: (key) => Number(countTry.get(key)?.['tries']),
    answerOf(key) {
      const row = selectAnswer.get(key)
      return (
        row && {
          requestHash: String(row['request_hash']),
          status: Number(row['status']),
          body: JSON.parse(String(row['body'])) as unknown,
        }
      )
    },
    chargeOf: (chargeId) => selectCharge.get(chargeId) as Charge | undefined,
    book(entry, key, answer) {
      db.exec('BEGIN IMMEDIATE')
      try {
        if ('charge' in entry) {
          const { chargeId, orderId, amountMinor, status, reason } = entry.charge
          insertCharge.run(chargeId, orderId, amountMinor, status, reason)
        } else {
          insertRefund.run(entry.refund.refundId, entry.refund.chargeId, entry.refund.amountMinor)
        }
        insertAnswer.run(key, answer.requestHash, answer.status, JSON.stringify(answer.body))
        db.exec('COMMIT')
      } catch (error) {
        db.exec('ROLLBACK')
        throw error
      }
    },
    charges: () => selectCharges.all() as unknown as Charge[],
    refunds: () => selectRefunds.all() as unknown as Refund[],
    repeats: () => Number(selectRepeats.get()?.['repeats']),
    close: () => db.close(),
  }
}
