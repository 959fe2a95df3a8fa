/**
 * What is on its way to the broker: several sends at a time, so that an event does not wait for the answer that another
 * one gets, and those of one key one after the other all the same.
 *
 *     launched --its keys are in the air already--> waits for those flights --> sent --> landed --> settled
 *              --nothing can be known of it, or of one that it waited for----> lost: so is all that was launched later
 *
 * Flights land in any order and are settled in that of the log, because the checkpoint moves with them.
 */
import type { Parcel, Outcome } from './relay-records.ts'

/** What became of a flight. */
export interface Landing {
  readonly outcome: Outcome
  /** What was not sent, because an earlier event of its key is parked. */
  readonly behind: readonly Parcel[]
}

/** Some events on their way. */
export interface Flight {
  readonly parcels: readonly Parcel[]
  readonly keys: ReadonlySet<string>
  /** How far the log has been read with it. */
  readonly upTo: number
  /** Undefined while it is in the air; null when it is lost. */
  landing: Landing | null | undefined
}

interface InAir {
  readonly flight: Flight
  /** Resolves when it has landed; never rejects. */
  readonly done: Promise<void>
}

/** What flights need of the relay. */
export interface FlightsOptions {
  /** Sends; resolves to null when nothing is known of what became of it. Never rejects. */
  readonly send: (parcels: readonly Parcel[]) => Promise<Outcome | null>
  /** Parks what is to be parked, as far as this process must know it, before anything else is sent. */
  readonly landed: (outcome: Outcome) => void
  readonly isParked: (key: string) => boolean
  /** Something has landed. */
  readonly wake: () => void
}

const flightsMax = 8
const eventsMax = 2_000

/** All flights of a relay. */
export class Flights {
  readonly #options: FlightsOptions
  #all: InAir[] = []

  constructor(options: FlightsOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#all.length
  }

  /** How many more events may be launched; 0 also while something is lost. */
  get room(): number {
    if (this.#all.length >= flightsMax || this.#all.some(({ flight }) => flight.landing === null)) return 0
    return eventsMax - this.#all.reduce((sum, { flight }) => sum + flight.parcels.length, 0)
  }

  /** Sends events of the log, which has been read up to there. */
  launch(parcels: readonly Parcel[], upTo: number): void {
    const flight: Flight = { parcels, keys: new Set(parcels.map(({ event }) => event.key)), upTo, landing: undefined }
    const done = this.#fly(flight, [...this.#all]).then((landing) => {
      flight.landing = landing
      this.#options.wake()
    })
    this.#all.push({ flight, done })
  }

  /** The first flight, when it has landed. It is not among the flights any more. */
  takeLanded(): Flight | undefined {
    return this.#all[0]?.flight.landing === undefined ? undefined : this.#all.shift()!.flight
  }

  /** Waits for all, and forgets what became of them. */
  async abandon(): Promise<void> {
    await Promise.all(this.#all.map(({ done }) => done))
    this.#all = []
  }

  async #fly(flight: Flight, earlier: readonly InAir[]): Promise<Landing | null> {
    const ahead = earlier.filter(({ flight: { landing } }) => landing === undefined)
    const isAhead = ({ event }: Parcel) => ahead.some(({ flight: { keys } }) => keys.has(event.key))
    const later = ahead.length === 0 ? [] : flight.parcels.filter(isAhead)
    const first = this.#send(later.length === 0 ? flight.parcels : flight.parcels.filter((each) => !isAhead(each)))
    if (later.length === 0) return first
    const inTheWay = ahead.filter(({ flight: { keys } }) => later.some(({ event }) => keys.has(event.key)))
    await Promise.all(inTheWay.map(({ done }) => done))
    const isLost = earlier.some(({ flight: { landing } }) => landing === null)
    const [one, two] = [await first, isLost ? null : await this.#send(later)]
    return one && two && joined(one, two)
  }

  async #send(parcels: readonly Parcel[]): Promise<Landing | null> {
    const { send, landed, isParked } = this.#options
    const behind = parcels.filter(({ event }) => isParked(event.key))
    const free = behind.length === 0 ? parcels : parcels.filter((each) => !behind.includes(each))
    const outcome = await send(free)
    if (outcome === null) return null
    landed(outcome)
    return { outcome, behind }
  }
}

function joined(one: Landing, two: Landing): Landing {
  const { outcome: a } = one
  const { outcome: b } = two
  return {
    outcome: {
      sent: [...a.sent, ...b.sent],
      failures: [...a.failures, ...b.failures],
      puts: [...a.puts, ...b.puts],
      removes: [...a.removes, ...b.removes],
    },
    behind: [...one.behind, ...two.behind],
  }
}
