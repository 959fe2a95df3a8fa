/** One service in a simulation: its ledger, which survives, and the process that runs it, which may be killed. */
import { silentLogger } from '../base/index.ts'
import type { NewEvent } from '../contracts/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { MemoryLedger, MemoryStore } from '../ledger/memory/index.ts'
import { Conversations } from '../runtime/conversations.ts'
import { contextTools } from '../runtime/handler-context.ts'
import type { Hooks } from '../runtime/hooks.ts'
import type { ReaderPlan } from '../runtime/plan.ts'
import { Reader } from '../runtime/reader.ts'
import { registerService } from '../runtime/registration.ts'
import { RunningHandlers } from '../runtime/running-handlers.ts'
import { settingsOf, type Settings } from '../runtime/settings.ts'
import { SharedBatches } from '../runtime/shared-batches.ts'
import { Telling } from '../runtime/telling.ts'
import type { AnyService, ReactionPolicy } from '../service/index.ts'
import type { FaultKind } from './schedule-types.ts'
import type { SimEnv } from './sim-env.ts'
import type { SimTables } from './sim-tables.ts'

/** What a service is in every schedule. */
export interface Part {
  /** With doors. */
  readonly service: AnyService
  readonly settings: Settings
  readonly tables: SimTables
  /** The event types that concern it. */
  readonly types: ReadonlySet<string>
  /** What can go wrong when an event of this type comes. */
  readonly faultsOf: (type: string) => readonly FaultKind[]
}

/** Leases and polls would only fill virtual time with nothing. */
const calm = { lease: '365d', poll: '365d', retention: { every: 0 }, slowHandler: '365d' } as const

/** The settings of a service: those of `start()`, one event a batch. */
export function partSettings(service: AnyService, env: SimEnv, policy: ReactionPolicy): Settings {
  return {
    ...settingsOf({ ...calm, services: [service], env, policy, log: silentLogger, batchMax: 1 }),
    instance: service.name,
  }
}

/** A ledger that lets its next transaction wait for as long as it is told to. */
class HeldLedger extends MemoryLedger {
  until: Promise<void> | undefined

  override async transact<T>(work: Parameters<MemoryLedger['transact']>[0]): Promise<T> {
    const { until } = this
    this.until = undefined
    if (until) await until
    return super.transact(work) as Promise<T>
  }
}

/** A service of one schedule. */
export class SimProcess {
  readonly part: Part
  readonly name: string
  readonly store: MemoryStore
  readonly #env: SimEnv
  readonly #hooks: Hooks
  readonly #wrap: (ledger: Ledger) => Ledger
  readonly #owner: string
  #held!: HeldLedger
  #ledger!: Ledger
  #plan!: ReaderPlan
  #reader: Reader | undefined
  /** The newest position that concerns the service. */
  #wanted = 0
  /** When it next has something to do by itself. */
  nextAt = Infinity

  /** @param how - `heirOf`: the process that is silent for so long that this one takes over its leases. */
  constructor(
    part: Part,
    env: SimEnv,
    how: { readonly hooks: Hooks; readonly wrap: (ledger: Ledger) => Ledger; readonly heirOf?: SimProcess },
  ) {
    this.part = part
    this.name = part.service.name
    this.#env = env
    this.#hooks = how.hooks
    this.#wrap = how.wrap
    this.store = how.heirOf?.store ?? new MemoryStore(part.tables)
    this.#wanted = how.heirOf ? how.heirOf.#wanted : 0
    this.#owner = how.heirOf ? `${how.heirOf.#owner}+` : this.name
  }

  /** Starts a process on the ledger, whatever happened to the one before. */
  async boot(): Promise<void> {
    const settings = { ...this.part.settings, env: this.#env, instance: this.#owner }
    this.#held = new HeldLedger(this.store)
    const ledger = this.#wrap(this.#held)
    await ledger.open(this.#env)
    const [plan] = await registerService(this.part.service, ledger, settings)
    this.#ledger = ledger
    if (!plan) return
    const tell = new Telling([this.#hooks], silentLogger)
    const tools = contextTools(this.#env, silentLogger, new AbortController().signal)
    const conversations = new Conversations(ledger, settings.conversationEventsMax, { buckets: 64 })
    const transactions = new SharedBatches(ledger, this.#env)
    this.#plan = plan
    const running = new RunningHandlers(settings)
    this.#reader = new Reader({ plan, ledger, settings, tell, tools, conversations, running, transactions })
    await this.#reader.prepare()
    this.look()
  }

  get ledger(): Ledger {
    return this.#ledger
  }

  get plan(): ReaderPlan {
    return this.#plan
  }

  /** An event is in its ledger. */
  arrived(position: number, type: string): void {
    if (this.part.types.has(type)) this.#wanted = position
  }

  /** Appends events that came over a wire. */
  async receive(events: readonly NewEvent[]): Promise<void> {
    await this.#ledger.transact((tx) => tx.append(events))
  }

  /** Its next transaction waits for this. */
  hold(until: Promise<void>): void {
    this.#held.until = until
  }

  /** True when there is something to do right now. */
  get isBusy(): boolean {
    const reader = this.#reader
    if (!reader) return false
    return reader.leases.position < this.#wanted || reader.hasAnswers || reader.nextAt <= this.#env.floorMs
  }

  get hasAnswers(): boolean {
    return this.#reader?.hasAnswers ?? false
  }

  /** One batch, of at most so many events. */
  async turn(atMost?: number): Promise<void> {
    this.#env.invocation = undefined
    await this.#reader!.step(atMost)
  }

  /** Finds out when it next has something to do. */
  look(): void {
    this.nextAt = this.#reader?.nextAt ?? Infinity
  }
}
