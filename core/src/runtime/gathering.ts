/**
 * Transactions from outside that come at the same time share one, where the ledger can run them side by side
 * (./side-by-side.ts): a commit, and a write to the log, cost about as much for fifty as for one.
 *
 *     waiting --a group begins--> running --committed--> done
 *                                    |--throws, having sent nothing--> its own failure
 *                                     \--anything else goes wrong--> all of the group: rolled back, each is run alone
 *
 * So a member shares neither the failure of another nor its slowness for long: services whose work sends statement after
 * statement, or is slow, are run alone from then on.
 */
import { isQuadrilleError, type Env } from '../base/index.ts'
import type { TxHandle } from '../base/index.ts'
import type { NewEvent } from '../contracts/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { noPositions } from './appending.ts'
import { runSideBySide } from './side-by-side.ts'

/** Transactions that share one, at most. */
const membersMax = 200
/** Groups at the same time: while one waits for its commit, the next is filled. */
const groupsMax = 2
/** A group that takes longer does not keep the next from beginning. */
const groupMs = 20
/** Whose work takes longer, waiting for the database left out, runs alone for a while. */
const slowMs = { work: 250, aloneFor: 10_000 }
/** After a group that failed nothing is gathered for so long: what makes transactions fail mostly goes on for a while. */
const pauseMs = 1_000

/** One transaction. */
export interface Gathered {
  /** What is run alone when one of it does not work out: the name of the service. */
  readonly owner: string
  /** Does the work and returns the events to append. */
  readonly make: (handle: () => TxHandle) => Promise<readonly NewEvent[]>
}

/** What was appended. */
export interface Appended {
  readonly events: readonly NewEvent[]
  readonly positions: readonly (number | null)[]
}

interface Member extends Gathered {
  readonly resolve: (appended: Appended | undefined) => void
  readonly reject: (error: unknown) => void
  hasBegun: boolean
  hasSent: boolean
  events: readonly NewEvent[] | undefined
}

/** Gathers transactions. */
export class Gathering {
  readonly #ledger: Ledger
  readonly #env: Env
  /** Until when the transactions of an owner are run alone. */
  readonly #alone = new Map<string, number>()
  #waiting: Member[] = []
  #groups = 0
  #isDue = false
  #pausedUntil = -Infinity

  constructor(ledger: Ledger, env: Env) {
    this.#ledger = ledger
    this.#env = env
  }

  /** Resolves after the commit; to undefined when it has to be run alone, and nothing was committed. Undefined at once when that is known. */
  run(one: Gathered): Promise<Appended | undefined> | undefined {
    const alone = Math.max(this.#pausedUntil, this.#alone.get(one.owner) ?? 0)
    if (!this.#ledger.sideBySide || this.#env.elapsed() < alone) return undefined
    return new Promise((resolve, reject) => {
      this.#waiting.push({ ...one, resolve, reject, hasBegun: false, hasSent: false, events: undefined })
      void this.#begin()
    })
  }

  /** Begins groups of what waits, after whoever else is about to come in this turn has come. */
  async #begin(): Promise<void> {
    if (this.#isDue) return
    this.#isDue = true
    await this.#env.breathe()
    this.#isDue = false
    while (this.#waiting.length > 0 && this.#groups < groupsMax)
      void this.#runGroup(this.#waiting.splice(0, membersMax))
  }

  async #runGroup(members: readonly Member[]): Promise<void> {
    this.#groups += 1
    let counts = true
    const leave = (): void => {
      if (!counts) return
      counts = false
      this.#groups -= 1
      void this.#begin()
    }
    const cancelLeave = this.#env.timer(groupMs, leave)
    const cancelSlow = this.#env.timer(slowMs.work, () => this.#setApart(members))
    try {
      await this.#transact(members)
    } catch (error) {
      this.#failed(members, error)
    } finally {
      cancelLeave()
      cancelSlow()
      leave()
    }
  }

  /**
   * Runs alone whose own work is slow: it has begun and sent nothing, or it has its answers, for they come in the order of
   * sending and a later one has had his. Whoever still waits for them waits for the database, and would be no faster alone.
   */
  #setApart(members: readonly Member[]): void {
    const until = this.#env.elapsed() + slowMs.aloneFor
    let isAnswered = false
    for (const { owner, hasBegun, hasSent, events } of members.toReversed()) {
      if (events !== undefined) isAnswered ||= hasSent
      else if (hasBegun && (!hasSent || isAnswered)) this.#alone.set(owner, until)
    }
  }

  async #transact(members: readonly Member[]): Promise<void> {
    const { positions } = await this.#ledger.transact(async (tx) => {
      await runSideBySide(members, {
        refused: ({ owner }) => this.#alone.set(owner, Infinity),
        begin: (member, turn) =>
          this.#make(member, () => tx.side!((ownTurn) => this.#send(member, () => turn.sending(ownTurn)))),
      })
      const events = members.flatMap(({ events }) => events ?? [])
      return { positions: events.length > 0 ? tx.appendLast(events) : noPositions }
    })
    const all = positions()
    let from = 0
    for (const { events = [], resolve } of members) {
      resolve({ events, positions: all.slice(from, from + events.length) })
      from += events.length
    }
  }

  #send(member: Member, sending: () => void): void {
    sending()
    member.hasSent = true
  }

  async #make(member: Member, handle: () => TxHandle): Promise<void> {
    member.hasBegun = true
    try {
      member.events = await member.make(handle)
    } catch (error) {
      if (member.hasSent || isQuadrilleError(error, 'HANDLER_RUN_AGAIN')) throw error
      member.events = []
      member.reject(error)
    }
  }

  #failed(members: readonly Member[], error: unknown): void {
    // Nobody knows whether it has committed: it must not be done again.
    const isUnknown = isQuadrilleError(error, 'LEDGER_OUTCOME_UNKNOWN')
    if (!isQuadrilleError(error, 'HANDLER_RUN_AGAIN')) this.#pausedUntil = this.#env.elapsed() + pauseMs
    for (const { resolve, reject } of members) {
      if (isUnknown) reject(error)
      else resolve(undefined)
    }
  }
}
