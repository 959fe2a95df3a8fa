/** How a wire is doing, as `app.health()` says it. */

/** An event that waits to be sent again, or behind one of its key that does. */
export interface ParkedReport {
  readonly id: string
  readonly type: string
  readonly key: string
  /** How many tries have failed. */
  readonly failed: number
  /** What the last of them has failed with; null when none has. */
  readonly error: string | null
}

/** How a wire of the app is doing. */
export interface WireReport {
  readonly wire: string
  readonly problems: readonly string[]
  /** Numbers of the adapter's own. */
  readonly facts: Readonly<Record<string, number | string>>
  readonly sending: {
    /** Positions of the ledger that it has still to pass; 0 when nothing made here is among them. */
    readonly backlog: number
    /** Age of the oldest event that was made here and is not sent, parked ones included, milliseconds; 0 for none. */
    readonly oldestUnsentMs: number
    /** Events that the broker has refused and that are sent again later, and those of their keys behind them. */
    readonly parked: number
    /** The first of them in the log. */
    readonly oldestParked: ParkedReport | null
    readonly dead: number
    readonly partitionsHeld: number
  }
  readonly receiving: readonly {
    readonly service: string
    /** Messages at the broker that are not acknowledged; null when it does not say, or somebody else receives. */
    readonly lag: number | null
    readonly state: 'receiving' | 'connecting' | 'elsewhere'
  }[]
}
