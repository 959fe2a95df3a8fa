/**
 * Waiting for ends of choreographies, for any number of them at once: the past is searched once for each, and what is
 * appended from then on is read once for all.
 *
 *     outcome() --> looking back --an end of its key--> told
 *                               --none--> following the log --an end of its key--> told
 *                                                           --time is over, and a last look has found none--> TIMED_OUT
 *                                                           --the ledger can not be read--> its error
 */
import type { Env } from '../base/index.ts'
import { decodeData, matches, type EventRecord } from '../contracts/index.ts'
import type { Ledger, ReadPage } from '../ledger/index.ts'
import type { Choreography } from '../service/index.ts'
import type { Outcome } from './app.ts'
import { LookRounds } from './look-rounds.ts'

/** Events of one key and the right types that are looked through at first: mostly there are a few. */
const endsMin = 1_000
/** Events that are read at once. */
const pageMax = 500
/** For so long the place where the last one who waited left off is better than the end of the log, which has to be asked for. */
const freshMs = 1_000

/** Whose end is waited for. */
interface Wait {
  readonly key: string
  readonly choreography: Choreography
  /** Of all ends. */
  readonly types: readonly string[]
  readonly told: PromiseWithResolvers<Outcome>
}

/** Implements `outcome()` of the app. */
export class Outcomes {
  readonly #env: Env
  readonly #ledger: Ledger
  readonly #rounds: LookRounds
  readonly #waits = new Map<string, Set<Wait>>()
  /** Up to here everything has been seen by those who wait. */
  #position = 0
  /** When the log was last followed, by the monotonic clock. */
  #followedAt = -Infinity
  /** Resolves when there is a position to follow from; undefined while nobody waits. */
  #standing: Promise<void> | undefined
  /** The page that is being read: it knows nothing of who has come since. */
  #reading: Promise<ReadPage> | undefined

  constructor(env: Env, ledger: Ledger) {
    this.#env = env
    this.#ledger = ledger
    this.#rounds = new LookRounds(env, () => this.#follow().catch((error: unknown) => this.#failed(error)))
  }

  /** Something may have been appended. */
  look(): void {
    this.#rounds.look()
  }

  /** Waits for an end. @throws QuadrilleError `TIMED_OUT`, and what reading the ledger throws. */
  async wait(choreography: Choreography, key: string, timeoutMs: number): Promise<Outcome> {
    const { success, failure } = choreography.ends
    const types = [...new Set([...success, ...failure].map(({ type }) => type))]
    const wait: Wait = { key, choreography, types, told: Promise.withResolvers() }
    const waitedFor = `an end of ${choreography.name} for ${key}`
    this.#add(wait)
    try {
      return await this.#rounds.wait({ waitedFor, timeoutMs }, wait.told, () => this.#past(wait))
    } finally {
      this.#remove(wait)
    }
  }

  /** Looks back; what is appended from here on is followed. */
  async #past({ key, types, choreography }: Wait): Promise<Outcome | undefined> {
    await (this.#standing ??= this.#stand())
    // Only a page that was asked for before may pass over what is to be found.
    await this.#reading?.catch(() => {})
    for (let limit = endsMin; ; limit *= 4) {
      const events = await this.#ledger.find({ key, types, limit })
      for (const event of events) {
        const end = endOf(choreography, event)
        if (end) return end
      }
      if (events.length < limit) return undefined
    }
  }

  #add(wait: Wait): void {
    const others = this.#waits.get(wait.key)
    if (others) others.add(wait)
    else this.#waits.set(wait.key, new Set([wait]))
  }

  #remove(wait: Wait): void {
    const ofKey = this.#waits.get(wait.key)!
    ofKey.delete(wait)
    if (ofKey.size === 0) this.#waits.delete(wait.key)
    if (this.#waits.size === 0) this.#standing = undefined
  }

  /** A position up to which whoever looks back from now on sees everything. */
  async #stand(): Promise<void> {
    if (this.#env.elapsed() - this.#followedAt < freshMs) return
    this.#position = (await this.#ledger.health()).head
  }

  async #follow(): Promise<void> {
    await this.#standing
    while (this.#standing) {
      const types = new Set<string>()
      for (const waits of this.#waits.values()) for (const wait of waits) for (const type of wait.types) types.add(type)
      const after = this.#position
      this.#reading = this.#ledger.read({ after, limit: pageMax, types: [...types] })
      const { events, upTo, end } = await this.#reading
      this.#position = upTo
      this.#followedAt = this.#env.elapsed()
      for (const event of events) this.#tell(event)
      // What is being committed behind the end is not waited for here: it will be told of.
      if (end || upTo === after) return
    }
  }

  #tell(event: EventRecord): void {
    for (const { choreography, told } of this.#waits.get(event.key) ?? []) {
      const end = endOf(choreography, event)
      if (end) told.resolve(end)
    }
  }

  #failed(error: unknown): void {
    for (const waits of this.#waits.values()) for (const { told } of waits) told.reject(error)
  }
}

/** What the event ends the choreography with; undefined when it is none of its ends. */
function endOf({ ends }: Choreography, event: EventRecord): Outcome | undefined {
  for (const status of ['success', 'failure'] as const) {
    for (const pattern of ends[status]) {
      if (pattern.type !== event.type) continue
      const data = dataOf(pattern.contract, event)
      if (data !== undefined && matches(pattern, data))
        return { status, event, data, correlationId: event.correlationId }
    }
  }
  return undefined
}

/** Undefined for data that can not be read: such an event ends nothing. */
function dataOf(contract: Parameters<typeof decodeData>[0], event: EventRecord): unknown {
  try {
    return decodeData(contract, event)
  } catch {
    return undefined
  }
}
