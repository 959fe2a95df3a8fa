/** The words of a machine: what happens to a service, the states that it has, and what led from one to another. */
import type { NewEvent } from '../contracts/index.ts'
import type { FaultKind } from './schedule-types.ts'
import type { Machine } from './machine.ts'
import type { Invocation, SimEnv } from './sim-env.ts'
import type { SimProcess } from './sim-process.ts'
import type { Transitions } from './transitions.ts'

/** What happens to a service. */
export interface Input {
  /** Tells inputs apart, with `kind`, `floorMs`, `fault` and `readsFrom`. */
  readonly key: string
  readonly kind: 'receive' | 'answer' | 'tick' | 'work'
  readonly floorMs: number
  readonly fault: FaultKind | undefined
  /** For `receive`. */
  readonly event?: NewEvent
  /** For `receive`: what has come with it, and is taken in the same turn. */
  readonly more?: readonly NewEvent[]
  /** For `answer`: which call, and what came of it. */
  readonly call?: string
  readonly how?: 'answer' | 'error' | 'timeout'
  readonly value?: unknown
  /** For `work`: a transaction from outside. */
  readonly work?: (process: SimProcess, env: SimEnv) => Promise<void>
  readonly name?: string
  /** The transaction reads what was there in this earlier state, until it first writes. */
  readonly readsFrom?: State
}

/** A call that a service waits for. */
export interface CallWanted {
  /** Unique: names reaction, event and try. */
  readonly key: string
  readonly invocation: Invocation
  /** Runs the user's code, as of now and at this time. */
  readonly make: (floorMs: number) => unknown
}

/** A dead letter. */
export interface Dead {
  readonly service: string
  readonly reaction: string
  readonly role: string
  readonly correlationId: string
  /** The code or name of the error. */
  readonly code: string
  /** What it says. */
  readonly problem: string
}

/** A state of a service. */
export interface State {
  /** A short name: states of a service with the same one are the same. */
  readonly name: string
  readonly before: { readonly state: State; readonly input: Input } | undefined
  readonly next: Transitions
  readonly calls: readonly CallWanted[]
  /** When it next has something to do by itself. */
  readonly nextAt: number
  /** What the tables were found to hold, by question. */
  readonly answers: Map<string, unknown>
}

/** What an input has led to. */
export interface Transition {
  readonly to: State
  readonly emitted: readonly NewEvent[]
  readonly dead: readonly Dead[]
  /** A handler has thrown; its event is parked, or a dead letter. */
  readonly failed: boolean
  /** A `work` has died after its commit. */
  readonly crashed: boolean
  /** It went on and on. */
  readonly restless: boolean
}

/** What a machine needs of its surroundings. */
export interface MachineRoom {
  /** False when everything must really be done every time. */
  readonly remembers: boolean
  readonly wrapLedger: ConstructorParameters<typeof SimProcess>[2]['wrap']
  guard<T>(env: SimEnv, promise: Promise<T>): Promise<T>
  /** This machine is what runs now; undefined when it has finished. */
  running(machine: Machine | undefined, env: SimEnv): void
}
