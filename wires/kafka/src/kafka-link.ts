/** Whether one side of the wire is connected: tells each change once. */
import type { WireContext } from 'quadrille'

/** The sending side, or one subscription. */
export class KafkaLink {
  readonly #context: WireContext
  readonly #service: string | null
  #problem: string | null = null

  constructor(context: WireContext, service: string | null) {
    this.#context = context
    this.#service = service
  }

  /** Why it is not connected; null when it is. */
  get problem(): string | null {
    return this.#problem
  }

  lost(why: string): void {
    if (this.#problem === null) this.#context.notice({ kind: 'lost', service: this.#service, why })
    this.#problem = why
  }

  restored(): void {
    if (this.#problem === null) return
    this.#problem = null
    this.#context.notice({ kind: 'restored', service: this.#service, why: 'the broker answers again' })
  }
}
