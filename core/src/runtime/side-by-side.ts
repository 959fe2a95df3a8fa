/**
 * Runs work of one transaction side by side: whoever has sent his statements need not have his answers before the next
 * begins, so a hundred handlers with a statement each wait for the database once and not a hundred times.
 *
 * It must be as if they had run one after the other, for a handler may count on what those before it have written, and no
 * lock holds off another handler of the same transaction. So each begins only when the one before has sent something or
 * has ended; and whoever sends again after a later one has sent would see, and be seen, out of order: that is refused,
 * and all of it has to be rolled back and run again in order.
 *
 *     begun --sends--> sent --answers come--> ended
 *       |  \            \--sends, and a later one has sent--> refused
 *       |   \--sends what only holds while it is alone--> refused
 *        \--ends without a statement--> ended
 */
import { QuadrilleError } from '../base/index.ts'
import type { Soon } from './soon.ts'

/** The turn of one item. */
export interface Turn {
  /** Its place among the items. */
  readonly index: number
  /** To be called before each statement. @throws QuadrilleError `HANDLER_RUN_AGAIN` when the turn is over, or must be alone. */
  sending(needsOwnTurn: boolean): void
}

/** How items are run. */
export interface SideBySide<Item> {
  /** Items with the same key run one after the other. Default: each has its own. */
  readonly keyOf?: (item: Item) => string
  /** True for one that runs while no other does. Default: none. */
  readonly isAlone?: (item: Item) => boolean
  readonly begin: (item: Item, turn: Turn) => Soon<void>
  /** Told of whoever has to run alone. */
  readonly refused: (item: Item) => void
}

/** What the items have come to. */
interface Course {
  lastToSend: number
  failure: { readonly error: unknown } | undefined
}

/** A class, because there is one for each event, and most are over at once. */
class ItemTurn<Item> implements Turn {
  readonly index: number
  readonly #item: Item
  readonly #course: Course
  readonly #how: SideBySide<Item>
  #hasSent: (() => void) | undefined

  constructor(index: number, item: Item, all: { readonly course: Course; readonly how: SideBySide<Item> }) {
    this.index = index
    this.#item = item
    this.#course = all.course
    this.#how = all.how
  }

  sending(needsOwnTurn: boolean): void {
    const course = this.#course
    if (this.index < course.lastToSend || needsOwnTurn) {
      const error = new QuadrilleError('HANDLER_RUN_AGAIN', {})
      course.failure ??= { error }
      this.#how.refused(this.#item)
      throw error
    }
    course.lastToSend = this.index
    this.#hasSent?.()
  }

  /** Resolves when it has sent something. */
  hasSent(): Promise<void> {
    return new Promise((resolve) => (this.#hasSent = resolve))
  }
}

/** @throws what the first that failed has thrown, after all that were begun have ended. */
export async function runSideBySide<Item>(items: readonly Item[], how: SideBySide<Item>): Promise<void> {
  const pending = new Map<string | Item, Promise<void>>()
  const course: Course = { lastToSend: -1, failure: undefined }
  const all = { course, how }
  const allEnded = async (): Promise<void> => {
    while (pending.size > 0) await Promise.all(pending.values())
  }

  for (let index = 0; index < items.length; index++) {
    const item = items[index]!
    const key = how.keyOf?.(item) ?? item
    const isAlone = how.isAlone?.(item) ?? false
    if (pending.size > 0 && (isAlone || pending.has(key))) await allEnded()
    if (course.failure) break
    const turn = new ItemTurn(index, item, all)
    try {
      const running = how.begin(item, turn)
      if (!(running instanceof Promise)) continue
      const ended = running.then(
        () => void pending.delete(key),
        (error: unknown) => {
          course.failure ??= { error }
          pending.delete(key)
        },
      )
      pending.set(key, ended)
      if (isAlone) await ended
      else if (course.lastToSend < index) await Promise.race([ended, turn.hasSent()])
    } catch (error) {
      course.failure ??= { error }
    }
  }
  await allEnded()
  if (course.failure) throw course.failure.error
}
