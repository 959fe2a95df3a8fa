/** How a user's handler gets at the open transaction, whatever database and query builder he uses. */

/** The open transaction, as the driver knows it. Adapters for Kysely, Drizzle and others start from here. */
export interface TxHandle {
  /** The kind of database: `sqlite` or `postgres`. */
  readonly kind: string
  /** The driver's own handle, bound to the transaction; using it after the transaction throws `HANDLE_CLOSED`. */
  readonly native: unknown
  /**
   * Ends a handle that one handler has for itself; using it afterwards throws `HANDLE_CLOSED`. Returns what resolves when all
   * that it has sent is answered, and undefined when it is already.
   */
  close?(): Promise<void> | undefined
}

/** Turns the open transaction into what a service's handlers get as `db`. */
export interface DbAdapter<Db> {
  /** For messages: `kysely`, `drizzle`, `node:sqlite`. */
  readonly name: string
  /**
   * Called when a handler first asks for it: once for each handler, or, where all have the same handle, for each transaction.
   *
   * @throws QuadrilleError `HANDLE_UNSUPPORTED` when it can not work on this kind of database.
   */
  open(handle: TxHandle): Db
}
