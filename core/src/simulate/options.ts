/** What `simulate()` takes. */
import type { DatabaseSync, SQLInputValue } from 'node:sqlite'
import type { Duration } from '../base/index.ts'
import type { EventRecord } from '../contracts/index.ts'
import type { Emitted, AnyContract } from '../contracts/index.ts'
import type { Ledger } from '../ledger/index.ts'
import type { TransactContext } from '../runtime/app.ts'
import type { AnyService, Choreography, ReactionPolicy, Returned, Service } from '../service/index.ts'
import type { Sim } from './outside.ts'
import type { FaultKind } from './schedule-types.ts'
import type { Row } from './sim-tables.ts'
import type { WireOrder } from './wires.ts'

/** What begins a conversation: the same two ways in that an app has. */
export interface SimApp {
  /** The services of the choreography. */
  readonly services: readonly AnyService[]
  /** As `app.transact()`: rows and events of one service commit together. */
  transact<Db>(
    service: Service<Db> | string,
    work: (context: TransactContext<Db>) => Returned | Promise<Returned>,
  ): Promise<void>
  /** As `app.publish()`: events from outside. */
  publish(events: Emitted | readonly Emitted[]): Promise<void>
}

/** Reads one service's own tables, as committed. */
export interface SimDb {
  all(sql: string, ...params: SQLInputValue[]): Row[]
  /** The first row; undefined for none. */
  get(sql: string, ...params: SQLInputValue[]): Row | undefined
}

/** A conversation as invariants see it. */
export interface ConversationView<Input = unknown> {
  readonly label: string
  readonly input: Input
  /** How it has ended so far. */
  readonly outcome: 'success' | 'failure' | 'none'
  /** Its events so far: type, key and data. */
  readonly events: readonly { readonly type: string; readonly key: string; readonly data: unknown }[]
}

/** What an invariant looks at. */
export interface WorldView<Input = unknown, Outside = unknown> {
  readonly conversations: readonly ConversationView<Input>[]
  /** The tables of this service. */
  readonly db: (service: { readonly name: string } | string) => SimDb
  /** The fakes of this schedule. */
  readonly outside: Outside
  /** True for events that became dead letters, of this reaction or of any. */
  readonly hasDead: (reaction?: string) => boolean
}

/** Holds when it returns nothing, true, or an empty list; a text or a list of texts says what is wrong. It may throw. */
export type Invariant<Input = unknown, Outside = unknown> = (
  world: WorldView<Input, Outside>,
) => void | boolean | string | readonly string[]

/** Named invariants. */
export type Invariants<Input, Outside> = Readonly<Record<string, Invariant<Input, Outside>>>

/** What fast-check's arbitraries have; nothing of it is needed to know them. */
export interface ArbitraryLike<Input> {
  generate(random: never, bias: number | undefined): Generated<Input>
  /** Smaller ones, the smallest first. */
  shrink?(value: Input, context: unknown): Iterable<Generated<Input>>
}

/** A value that an arbitrary has made, with what it knows of it. */
export interface Generated<Input> {
  readonly value: Input
  readonly context?: unknown
}

/** Where inputs come from: a list, a function of a source of random numbers, or an arbitrary of fast-check. */
export type Inputs<Input> = readonly Input[] | ((random: () => number, index: number) => Input) | ArbitraryLike<Input>

/**
 * Makes the tables of a service and their first rows. `db` is what its handlers get; `sqlite` is the connection itself, to
 * an empty database in memory that is this service's alone.
 */
export type MakeTables = (
  db: never,
  more: { readonly sqlite: DatabaseSync; readonly service: string },
) => void | Promise<void>

/** Makes the tables: one function for all services, or one for each by name. */
export type Setup = MakeTables | Readonly<Record<string, MakeTables>>

/** What is being simulated. */
export interface SimulationOptions<Input = unknown, Outside = unknown> {
  /** Makes the fakes that stand for the world outside, anew for every schedule. */
  readonly outside?: (sim: Sim) => Outside
  /** Makes the services' own tables, and their first rows. */
  readonly setup?: Setup
  /** Starts a conversation. Default: publishes the first start event with the input as data. */
  readonly begin?: (app: SimApp, input: Input) => Promise<unknown>
  /** What conversations start with. Default: made from the JSON Schema of the first start event. */
  readonly inputs?: Inputs<Input>
  /** Must hold after every step. */
  readonly always?: Invariants<Input, Outside>
  /** Must hold when nothing more can happen. */
  readonly atEnd?: Invariants<Input, Outside>
  /** Must have held at some time by then. */
  readonly eventually?: Invariants<Input, Outside>
  /** What the wires promise. Default: order within one event type and key, and duplicates. */
  readonly wires?: { readonly order?: WireOrder }
  /**
   * How transactions of one service are kept apart. `read committed`: one may read before and write after another one
   * commits, as on PostgreSQL by default; `serializable`: one after the other, as on SQLite. Default: `read committed` for
   * services whose handle works on PostgreSQL, too, that is all but those of `nodeSqlite()`.
   */
  readonly isolation?: 'read committed' | 'serializable'
  /** Which faults may happen. Default: all but `takeover`. */
  readonly faults?: readonly FaultKind[]
  /** Codes of the built-in oracles that are left out. */
  readonly ignore?: readonly string[]
  /** The policy of all reactions, as in `start()`. */
  readonly policy?: ReactionPolicy
  /** For tests of the toolkit itself: what stands in for the ledger. */
  readonly wrapLedger?: (ledger: Ledger) => Ledger
}

/** How much is tried. */
export interface SearchOptions {
  /** Decides everything that is random. Default 1. */
  readonly seed?: number
  /** The time for all of it. Default '10s'. */
  readonly budget?: Duration
  /** The most faults of one schedule in the exhaustive search. Default 2. */
  readonly maxFaults?: number
  /** How many random schedules. Default: until the budget or the stop rule ends them. */
  readonly schedules?: number
  /** The most conversations at once in random schedules. Default 3. */
  readonly conversations?: number
}

/** Everything that `simulate()` takes. */
export interface SimulateOptions<Input = unknown, Outside = unknown>
  extends SimulationOptions<Input, Outside>, SearchOptions {
  readonly progress?: (text: string) => void
}

/** A choreography, or what makes one from the fakes. */
export type Subject<Outside = unknown> = Choreography | ((outside: Outside) => Choreography)

export type { AnyContract, AnyService, EventRecord }
