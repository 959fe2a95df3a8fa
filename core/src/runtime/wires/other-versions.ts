/**
 * What other processes of a service receive that this one knows nothing of: during a release those of a newer version do, and
 * their subscription is the same. A process of the old one that gets such an event must not drop it, nor narrow the subscription.
 *
 * The new process writes down what it receives, and starts only when every answer from before that has become too old.
 */
import { declaredTypes, registeredIn } from '../declared.ts'
import type { Ledger } from '../../ledger/index.ts'
import type { Settings } from '../settings.ts'

/** How old an answer may be. */
export const answerMs = 1_000

/** What it needs to know. */
export interface OtherVersionsContext {
  readonly ledger: Ledger
  readonly settings: Settings
  readonly service: string
  /** The types that processes of the service have written down that they want over this wire. */
  readonly wanted: () => Promise<readonly string[]>
  readonly own: ReadonlySet<string>
}

/** Knows what other processes of the service receive. */
export class OtherVersions {
  readonly #context: OtherVersionsContext
  #answer: Promise<ReadonlySet<string>> = Promise.resolve(new Set<string>())
  #askedAt = -Infinity

  constructor(context: OtherVersionsContext) {
    this.#context = context
  }

  /** The types that another version of the service receives, and this one does not. */
  readonly wanted = (): Promise<ReadonlySet<string>> => {
    const now = this.#context.settings.env.elapsed()
    if (now - this.#askedAt >= answerMs) {
      this.#askedAt = now
      this.#answer = this.#ask().catch((error: unknown) => {
        this.#askedAt = -Infinity
        throw error
      })
    }
    return this.#answer
  }

  async #ask(): Promise<ReadonlySet<string>> {
    const { ledger, settings, service, wanted, own } = this.#context
    const strange = (await wanted()).filter((type) => !own.has(type))
    if (strange.length === 0) return new Set()
    const declared = declaredTypes(await registeredIn(ledger, service), settings.env.now())
    return new Set(strange.filter((type) => declared.has(type)))
  }
}
