/** Waiting for facts: that a service has handled something, that a conversation has ended. Never by sleeping for a guess. */
import { durationMs, QuadrilleError, type Env } from '../base/index.ts'
import { partitionOf } from '../contracts/index.ts'
import type { Ledger } from '../ledger/index.ts'
import type { App, Outcome, Token } from './app.ts'
import { readerOf, registeredIn } from './declared.ts'
import { Outcomes } from './outcomes.ts'
import type { Reader } from './reader.ts'
import { laneOf } from './work.ts'

const timeoutDefault = '30s'
/** How long until a look is taken although nothing has told of a change. */
const lookAgainMs = 250

/** What waiting needs. */
export interface WaitingContext {
  readonly env: Env
  readonly ledger: Ledger
  /** Refuses what can not be done now. */
  readonly check: (operation: string) => void
  readonly readers: () => readonly Reader[]
}

/** Whose handling is asked for: a reader with its reactions, and its leases when it runs here. */
interface Who {
  readonly reader: string
  readonly names: readonly string[]
  readonly leases?: Reader['leases']
}

/** Implements the waiting methods of {@link App}. */
export class Waiting implements Pick<App, 'seen' | 'outcome'> {
  readonly #env: Env
  readonly #ledger: Ledger
  readonly #check: (operation: string) => void
  readonly #readers: () => readonly Reader[]
  readonly #looks = new Set<() => void>()
  readonly #outcomes: Outcomes

  constructor(context: WaitingContext) {
    this.#env = context.env
    this.#ledger = context.ledger
    this.#check = context.check
    this.#readers = context.readers
    this.#outcomes = new Outcomes(context.env, context.ledger)
  }

  /** Something may have changed. */
  look(): void {
    this.#outcomes.look()
    for (const look of this.#looks) look()
  }

  async seen(...[token, service, options = {}]: Parameters<App['seen']>): Promise<void> {
    this.#check('seen()')
    const name = typeof service === 'string' ? service : service.name
    const waitedFor = `the handling of conversation ${token.correlationId} by ${name}`
    const timeoutMs = durationMs(options.timeout ?? timeoutDefault, 'timeout')
    const readers = this.#readers().filter(({ context }) => context.plan.service.name === name)
    await this.#until({ waitedFor, timeoutMs }, async () => {
      for (const reader of readers) {
        const { plan } = reader.context
        const names = plan.states.map(({ reaction }) => reaction.name)
        if (!(await this.#isHandled(token, { reader: plan.reader, names, leases: reader.leases }))) return undefined
      }
      return readers.length > 0 || (await this.#isHandledElsewhere(token, name)) || undefined
    })
  }

  async outcome(...[choreography, key, options = {}]: Parameters<App['outcome']>): Promise<Outcome> {
    this.#check('outcome()')
    const timeoutMs = durationMs(options.timeout ?? choreography.withinMs ?? timeoutDefault, 'timeout')
    return this.#outcomes.wait(choreography, key, timeoutMs)
  }

  async #isHandled(token: Token, who: Who): Promise<boolean> {
    const positions = await this.#ledger.positions(who.reader)
    for (const { key, position } of token.events) {
      const partition = partitionOf(key)
      // What is none of its business a reader passes without writing that down at once.
      const passed = who.leases?.holds(partition) && !who.leases.wants(partition, position)
      if (!passed && (positions[partition] ?? -1) < position) return false
    }
    for (const name of who.names)
      for (const event of token.events) if (await this.#isWaiting(who.reader, name, event)) return false
    return true
  }

  /** As far as the ledger knows the reactions of the service, which runs in another process. */
  async #isHandledElsewhere(token: Token, service: string): Promise<boolean> {
    const registered = await registeredIn(this.#ledger, service)
    const running = [...registered].filter(([, { until }]) => until === undefined)
    const byReader = Map.groupBy(running, ([name, each]) => readerOf(service, name, each))
    if (byReader.size === 0) return this.#isHandled(token, { reader: service, names: [] })
    for (const [reader, reactions] of byReader)
      if (!(await this.#isHandled(token, { reader, names: reactions.map(([name]) => name) }))) return false
    return true
  }

  async #isWaiting(scope: string, reaction: string, { key, position }: Token['events'][number]): Promise<boolean> {
    const lane = laneOf(reaction, key)
    for (const kind of [`work/${reaction}`, `batch/${reaction}`, `coalesce/${reaction}`]) {
      const [first] = await this.#ledger.query({ scope, kind, order: 'seq', lane, limit: 1 })
      if (!first || first.seq > position) continue
      // A dead letter that holds its lane will not be handled by waiting; what is behind it may be.
      if (first.seq < position || !isHeldLetter(first.body)) return true
    }
    return false
  }

  /** Asks again whenever something may have changed, until there is an answer. @throws QuadrilleError `TIMED_OUT`. */
  async #until<T>(wait: { waitedFor: string; timeoutMs: number }, ask: () => Promise<T | undefined>): Promise<T> {
    const endsAt = this.#env.elapsed() + wait.timeoutMs
    for (;;) {
      let changed = false
      let wake = () => {}
      const look = () => {
        changed = true
        wake()
      }
      this.#looks.add(look)
      try {
        const answer = await ask()
        if (answer !== undefined) return answer
        const leftMs = endsAt - this.#env.elapsed()
        if (leftMs <= 0) throw new QuadrilleError('TIMED_OUT', { waitedFor: wait.waitedFor, waitedMs: wait.timeoutMs })
        if (changed) continue
        await new Promise<void>((resolve) => {
          const cancel = this.#env.timer(Math.min(lookAgainMs, leftMs), resolve)
          wake = () => {
            cancel()
            resolve()
          }
        })
      } finally {
        this.#looks.delete(look)
      }
    }
  }
}

const isHeldLetter = (body: string): boolean => (JSON.parse(body) as { letter?: string }).letter !== undefined
