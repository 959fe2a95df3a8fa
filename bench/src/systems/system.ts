/** What is measured: a system that takes orders and, some time later, has notified every customer. */
import type { Order } from '../order.ts'
import type { Tally } from '../tally.ts'

/** What a system is started with. */
export interface SystemOptions {
  /** The database: a SQLite file, not there yet or as an earlier run of the same system has left it; or a connection string. */
  readonly database: string
  /** To be called when the notification of an order is committed. */
  readonly notified: (orderId: string) => void
}

/** A running order flow. */
export interface OrderSystem {
  /** Resolves when the order is durable (or, for the emitter, placed). */
  publish(order: Order): Promise<void>
  /** Ends it, and throws when something is left that should not be. */
  stop(): Promise<void>
  /** What it has left behind; only called after stop(). */
  tally(prefix: string): Tally | Promise<Tally>
  /** Further facts about the run so far. */
  facts?(): Readonly<Record<string, unknown>>
}
