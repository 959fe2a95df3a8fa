/** How a wire is doing, as `app.health()` says it. */

/** How a wire of the app is doing. */
export interface WireReport {
  readonly wire: string
  readonly problems: readonly string[]
  /** Numbers of the adapter's own. */
  readonly facts: Readonly<Record<string, number | string>>
  readonly sending: {
    /** Positions of the ledger that it has still to pass; 0 when nothing made here is among them. */
    readonly backlog: number
    /** Age of the oldest event that was made here and not sent, milliseconds; 0 for none. */
    readonly oldestUnsentMs: number
    /** Events that the broker has refused and that are sent again later, and those of their keys behind them. */
    readonly parked: number
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
