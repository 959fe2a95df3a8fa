/** start(): opens the ledger, registers the services, runs their readers, and hands out the app. */
import { durationMs, QuadrilleError, sleep, type Duration, type Env } from '../base/index.ts'
import type { Ledger } from '../ledger/index.ts'
import type { AnyService } from '../service/index.ts'
import type { App, DeadLetters, Health, Retired, RetireTarget, StartOptions } from './app.ts'
import { Conversations } from './conversations.ts'
import { DeadLetterBox } from './dead-letter-box.ts'
import type { Flow } from './flow.ts'
import { recordFlow } from './flow-recorder.ts'
import { contextTools } from './handler-context.ts'
import { healthReport } from './health-report.ts'
import { refuseNested } from './nesting.ts'
import { Publishing } from './publishing.ts'
import { Reader } from './reader.ts'
import { registerService } from './registration.ts'
import { retire } from './retirement.ts'
import { Retention } from './retention.ts'
import { RunningHandlers } from './running-handlers.ts'
import { settingsOf, type Settings } from './settings.ts'
import { SharedBatches } from './shared-batches.ts'
import { Telling } from './telling.ts'
import { Waiting } from './waiting.ts'
import { Wires } from './wires/wires.ts'

/**
 * Starts services on a ledger. On return their reactions run.
 *
 * @throws QuadrilleError for options that make no sense (`OPTION_INVALID`, `DURATION_INVALID`, `SERVICE_INVALID`,
 *   `CONTRACT_CONFLICT`, `WIRE_CANNOT`), for reactions and wires that do not say where they start
 *   (`START_POSITION_NEEDED`, `REPLAY_NEEDS_OPT_IN`), for a wire that can not be used as asked (`WIRE_INCOMPATIBLE`,
 *   `WIRE_POSITION_LOST`; one whose broker can not be reached only waits), and what the ledger throws when it can not be opened. Nothing runs then.
 *
 * @example
 * ```ts run
 * import { event, service, start } from 'quadrille'
 * import * as z from 'zod'
 *
 * const Greeted = event('greeted', { key: 'name', schema: z.object({ name: z.string() }) })
 * const seen: string[] = []
 * const greeter = service('greeter').on(Greeted, ({ name }) => void seen.push(name))
 * const app = await start({ services: [greeter] })
 * await app.seen(await app.publish(Greeted({ name: 'Ada' })), greeter)
 * await app.stop()
 * seen // => ['Ada']
 * ```
 */
export async function start(options: StartOptions): Promise<App> {
  const settings = settingsOf(options)
  const ledger = options.ledger ?? (await defaultLedger())
  if (!options.ledger) settings.log.warn({}, 'no ledger given: events are kept in memory and end with the process')
  await ledger.open(settings.env)
  const app = new RunningApp(settings, ledger)
  try {
    await app.run()
    return app
  } catch (error) {
    await app.stop({ deadline: 0 })
    throw error
  }
}

/** Loaded only when it is wanted, so that whoever has a server does not load SQLite. */
const defaultLedger = async (): Promise<Ledger> => (await import('./default-ledger.ts')).defaultLedger()

/** How long stop() waits after its deadline for what it has aborted. */
const afterAbortMs = 250

class RunningApp implements App {
  readonly services: readonly AnyService[]
  readonly env: Env
  readonly ledger: Ledger
  readonly deadLetters: DeadLetters
  readonly transact: App['transact']
  readonly publish: App['publish']
  readonly receive: App['receive']
  readonly seen: App['seen']
  readonly outcome: App['outcome']
  readonly #settings: Settings
  readonly #tell: Telling
  readonly #publishing: Publishing
  readonly #waiting: Waiting
  readonly #retention: Retention
  readonly #wires: Wires
  readonly #handlers: RunningHandlers
  readonly #abort = new AbortController()
  readonly #tools: ReturnType<typeof contextTools>
  #readers: readonly Reader[] = []
  #forget = () => {}
  #quiet: (() => void)[] = []
  #stopped: Promise<void> | undefined
  #ended = false

  constructor(settings: Settings, ledger: Ledger) {
    this.#settings = settings
    this.services = settings.services
    this.env = settings.env
    this.ledger = ledger
    // A reader that comes to rest, and a batch that is committed, may be what somebody waits for.
    const own = { idle: () => this.#checkQuiet(), batch: () => this.#waiting.look() }
    this.#tell = new Telling([own, ...settings.hooks], settings.log)
    this.#tools = contextTools(settings.env, settings.log, this.#abort.signal)
    const check = (operation: string) => this.#check(operation)
    this.#handlers = new RunningHandlers(settings)
    this.#waiting = new Waiting({ env: settings.env, ledger, check, readers: () => this.#readers })
    this.#publishing = new Publishing({ settings, ledger, tell: this.#tell, tools: this.#tools })
    this.#wires = new Wires({ settings, ledger, tell: this.#tell, tools: this.#tools, publishing: this.#publishing })
    this.#retention = new Retention(ledger, settings, () => this.#checkQuiet())
    this.transact = (service, work, options) => this.#publishing.transact(service, work, options)
    this.publish = (events, options) => this.#publishing.publish(events, options)
    this.receive = (messages) => this.#publishing.receive(messages)
    this.seen = (token, service, options) => this.#waiting.seen(token, service, options)
    this.outcome = (choreography, key, options) => this.#waiting.outcome(choreography, key, options)
    this.deadLetters = new DeadLetterBox({
      ledger,
      settings,
      publishing: this.#publishing,
      check,
      readers: () => this.#running(),
      redriven: () => [...this.#readers, this.#wires].forEach((each) => each.lookAgain()),
    })
  }

  async run(): Promise<void> {
    const readers: Reader[] = []
    const transactions = new SharedBatches(this.ledger, this.#settings.env)
    const conversations = new Conversations(this.ledger, this.#settings.conversationEventsMax)
    for (const service of this.services) {
      if (service.reactions.length === 0) continue
      const plans = await registerService(service, this.ledger, this.#settings)
      for (const plan of plans) {
        if (plan.states.length === 0) continue
        const { ledger } = this
        const shared = { ledger, settings: this.#settings, tell: this.#tell, tools: this.#tools, transactions }
        readers.push(new Reader({ ...shared, plan, conversations, running: this.#handlers }))
      }
    }
    this.#readers = readers
    this.#forget = this.ledger.onAppend(() => {
      for (const reader of this.#readers) reader.wake()
      this.#wires.wake()
      this.#waiting.look()
    })
    await this.#wires.startSending()
    for (const reader of readers) await reader.start()
    await this.#wires.startReceiving()
    this.#retention.start()
  }

  async flow(correlationId: string): Promise<Flow> {
    this.#check('flow()')
    return recordFlow(
      correlationId,
      this.ledger,
      this.#readers.map((reader) => reader.context.plan),
    )
  }

  async health(): Promise<Health> {
    this.#check('health()')
    return healthReport({
      ledger: this.ledger,
      settings: this.#settings,
      readers: this.#readers,
      running: () => this.#running(),
      handlers: this.#handlers,
      wires: () => this.#wires.reports(),
    })
  }

  async retire(target: RetireTarget): Promise<Retired> {
    this.#check('retire()')
    return retire(target, {
      ledger: this.ledger,
      settings: this.#settings,
      running: () => this.#running(),
      transaction: (operation, work) => this.#publishing.transaction(operation, work),
    })
  }

  /** The readers of this process, those of wires among them. */
  #running(): readonly string[] {
    return [...this.#readers.map((reader) => reader.context.plan.reader), ...this.#wires.readers]
  }

  async quiet(): Promise<void> {
    this.#check('quiet()')
    await new Promise<void>((resolve) => {
      this.#quiet.push(resolve)
      this.#checkQuiet()
    })
  }

  async stop(options: { readonly deadline?: Duration } = {}): Promise<void> {
    this.#stopped ??= this.#stop(durationMs(options.deadline ?? '10s', 'deadline'))
    return this.#stopped
  }

  async #stop(deadlineMs: number): Promise<void> {
    const ended = new AbortController()
    const end = this.#end().finally(() => ended.abort())
    await Promise.race([end, this.#lose(deadlineMs, ended.signal)])
    if (ended.signal.aborted) await end
  }

  async #end(): Promise<void> {
    await this.#wires.stopReceiving()
    await Promise.all([
      this.#publishing.stop(),
      this.#retention.stop(),
      ...this.#readers.map((reader) => reader.stop()),
    ])
    await this.#wires.stop()
    this.#forget()
    this.#handlers.stop()
    this.#ended = true
    for (const resolve of this.#quiet.splice(0)) resolve()
    await this.ledger.close()
  }

  /** @throws QuadrilleError `APP_STOPPED` or `NESTED_TRANSACTION`. */
  #check(operation: string): void {
    if (this.#ended) throw new QuadrilleError('APP_STOPPED', { operation })
    refuseNested(operation)
  }

  /** Loses patience: first it aborts; then it goes without what does not hear that. */
  async #lose(deadlineMs: number, ended: AbortSignal): Promise<void> {
    const { env, log } = this.#settings
    await sleep(env, deadlineMs, ended)
    if (ended.aborted) return
    this.#abort.abort()
    for (const reader of this.#readers) reader.abort()
    this.#wires.abort()
    await sleep(env, afterAbortMs, ended)
    if (ended.aborted) return
    log.error({ deadlineMs }, 'stop() goes without a handler or transaction that does not end; the process should exit')
    if (this.#handlers.some) this.#leave()
  }

  /** A handler may never end, and what would end after it: nothing of that keeps the process alive. */
  #leave(): void {
    this.#ended = true
    this.#forget()
    this.#handlers.stop()
    // First the ledger: whoever asks for it from here on is told that it is closed, and ends.
    this.ledger.close().catch(() => {})
    void this.#retention.stop()
    for (const reader of this.#readers) {
      reader.leases.stop().catch(() => {})
      reader.wake()
    }
    void this.#wires.stop()
  }

  /** Idle readers could still be woken by each other; only when all rest at once is everything done. */
  #checkQuiet(): void {
    this.#waiting.look()
    if (this.#quiet.length === 0) return
    const parts = [this.#publishing, this.#retention, this.#wires, ...this.#readers]
    if (!parts.every((part) => part.isIdle)) return
    for (const resolve of this.#quiet.splice(0)) resolve()
  }
}
