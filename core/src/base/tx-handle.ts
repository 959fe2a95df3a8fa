/** How a user's handler gets at the open transaction, whatever database and query builder he uses. */

/** The open transaction, as the driver knows it. Adapters for Kysely, Drizzle and others start from here. */
export interface TxHandle {
  /** The kind of database: `sqlite` or `postgres`. */
  readonly kind: string
  /** The driver's own handle, bound to the transaction; using it after the transaction throws `HANDLE_CLOSED`. */
  readonly native: unknown
}

/** Turns the open transaction into what a service's handlers get as `db`. */
export interface DbAdapter<Db> {
  /** For messages: `kysely`, `drizzle`, `node:sqlite`. */
  readonly name: string
  /**
   * Called at most once for each transaction and service.
   *
   * @throws QuadrilleError `HANDLE_UNSUPPORTED` when it can not work on this kind of database.
   */
  open(handle: TxHandle): Db
}
