/**
 * Batches of several readers that come at the same time share one transaction, where the ledger can run them side by side:
 * one BEGIN, one proof, one commit, and whoever waits for an event of each of them, as a join does, gets them together.
 * Only quick and small ones do, because each waits for the slowest.
 *
 *     asks --alone in this turn--> a transaction of its own
 *          --others have come----> seated --all have done their work, and it commits--> done
 *                                         |--nobody knows whether it has committed---> all learn that
 *                                          \--anything else goes wrong: rolled back--> each in a transaction of its own
 */
import { isQuadrilleError, QuadrilleError, type Env, type TxHandle } from '../base/index.ts'
import type { NewEvent } from '../contracts/index.ts'
import type { Claim, Ledger, LedgerRecord, LedgerTx, RecordKey, RecordQuery } from '../ledger/index.ts'

/** After a transaction that failed none is shared for so long: what makes handlers fail mostly goes on for a while. */
const pauseMs = 1_000

/** How a shared transaction has ended. */
type End = 'committed' | 'rolled back' | { readonly error: unknown }

/** The place of one batch in a transaction that is shared. */
interface Seat {
  readonly claim: Claim
  /** Called when it is clear whether there are others: with the transaction, or without one when it runs alone. */
  readonly begin: (tx: SeatTx | undefined) => void
  /** Resolves when the batch has done its work, and rejects when that has failed. */
  readonly worked: Promise<void>
  readonly end: (end: End) => void
}

/** Hands out transactions to the readers of a process. */
export class SharedBatches {
  readonly #ledger: Ledger
  readonly #env: Env
  /** Readers whose handlers send what must not run beside others. */
  readonly #alone = new Set<string>()
  #waiting: Seat[] = []
  #pausedUntil = -Infinity

  constructor(ledger: Ledger, env: Env) {
    this.#ledger = ledger
    this.#env = env
  }

  /** A transaction of its own, in which the claim is held. */
  alone<T>(claim: Claim, work: (tx: LedgerTx) => Promise<T>): Promise<T> {
    return this.#ledger.transact(async (tx) => {
      await tx.hold(claim)
      return work(tx)
    })
  }

  /** As {@link alone}, maybe with others; `work` may then be run again, after what it did was rolled back. */
  async shared<T>(claim: Claim, work: (tx: LedgerTx) => Promise<T>): Promise<T> {
    const isApart = this.#alone.has(claim.reader) || this.#env.elapsed() < this.#pausedUntil
    if (isApart || !this.#ledger.sideBySide) return this.alone(claim, work)
    const given = Promise.withResolvers<SeatTx | undefined>()
    const worked = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<End>()
    this.#waiting.push({ claim, begin: given.resolve, worked: worked.promise, end: ended.resolve })
    if (this.#waiting.length === 1) void this.#env.breathe().then(() => this.#run(this.#waiting.splice(0)))
    const tx = await given.promise
    if (!tx) return this.alone(claim, work)
    let value: T
    try {
      value = await work(tx)
      // Also when the handler has swallowed that.
      if (tx.wasRefused) throw new QuadrilleError('HANDLER_RUN_AGAIN', {})
      worked.resolve()
    } catch (error) {
      worked.reject(error)
    }
    tx.close()
    if (tx.wasRefused) this.#alone.add(claim.reader)
    const end = await ended.promise
    if (end === 'committed') return value!
    if (end === 'rolled back') return this.alone(claim, work)
    throw end.error
  }

  async #run(seats: readonly Seat[]): Promise<void> {
    if (seats.length === 1) return seats[0]!.begin(undefined)
    let end: End = 'committed'
    try {
      await this.#ledger.transact((tx) => workTogether(tx, seats))
    } catch (error) {
      // It must not be done again when it may have been done.
      end = isQuadrilleError(error, 'LEDGER_OUTCOME_UNKNOWN') ? { error } : 'rolled back'
      if (!isQuadrilleError(error, 'HANDLER_RUN_AGAIN')) this.#pausedUntil = this.#env.elapsed() + pauseMs
    }
    for (const seat of seats) {
      seat.begin(undefined)
      seat.end(end)
    }
  }
}

/** Resolves when all have done their work. @throws what the first that failed has thrown, after all have ended. */
async function workTogether(tx: LedgerTx, seats: readonly Seat[]): Promise<void> {
  // All of them before the first statement: a ledger may have to know then whose transaction it is.
  for (const { claim } of seats) await tx.hold(claim)
  const order: Order = { begun: 0, lastToSend: 0 }
  for (const { begin } of seats) begin(new SeatTx(tx, order))
  const ends = await Promise.allSettled(seats.map(({ worked }) => worked))
  for (const end of ends) if (end.status === 'rejected') throw end.reason
}

/** The handles of a shared transaction, in the order of their first statements: it must be as if one had gone after the other. */
interface Order {
  begun: number
  lastToSend: number
}

/** A transaction as one of those who share it sees it. */
class SeatTx implements LedgerTx {
  readonly #tx: LedgerTx
  readonly #order: Order
  #handle: TxHandle | undefined
  #open = true
  /** It has tried to send what must not run beside others, or behind what others have sent meanwhile. */
  wasRefused = false

  constructor(tx: LedgerTx, order: Order) {
    this.#tx = tx
    this.#order = order
  }

  get handle(): TxHandle {
    this.#handle ??= this.side(() => {})
    return this.#handle
  }

  get broken(): LedgerTx['broken'] {
    return this.#tx.broken
  }

  side(sending: (needsOwnTurn: boolean) => void): TxHandle {
    const order = this.#order
    let place = 0
    return this.#tx.side!((needsOwnTurn) => {
      if (!this.#open) throw new QuadrilleError('HANDLE_CLOSED', { what: 'the handle' })
      if (needsOwnTurn || (place > 0 && place < order.lastToSend)) {
        this.wasRefused = true
        throw new QuadrilleError('HANDLER_RUN_AGAIN', {})
      }
      sending(needsOwnTurn)
      if (place === 0) place = ++order.begun
      order.lastToSend = place
    })
  }

  hold(claim: Claim): Promise<void> {
    return this.#tx.hold(claim)
  }

  append(events: readonly NewEvent[]): Promise<readonly (number | null)[]> {
    return this.#tx.append(events)
  }

  appendLast(events: readonly NewEvent[]): () => readonly (number | null)[] {
    return this.#tx.appendLast(events)
  }

  load(keys: readonly RecordKey[]): Promise<readonly (LedgerRecord | undefined)[]> {
    return this.#tx.load(keys)
  }

  query(query: RecordQuery): Promise<readonly LedgerRecord[]> {
    return this.#tx.query(query)
  }

  lanes(query: Parameters<LedgerTx['lanes']>[0]): Promise<ReadonlySet<string>> {
    return this.#tx.lanes(query)
  }

  save(puts: readonly LedgerRecord[], removes?: readonly RecordKey[]): Promise<void> {
    return this.#tx.save(puts, removes)
  }

  /** Its work has ended. */
  close(): void {
    this.#open = false
  }
}
