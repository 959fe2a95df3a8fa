/** Gathers messages that are ready at the same time into calls of up to ten. */
import type { Env, QuadrilleError } from 'quadrille'
import { requestBytesMax } from './aws-options.ts'
import type { EncodedMessage } from './message-body.ts'

const entriesMax = 10

/** What became of a message: null when it was taken. */
export type SendResult = QuadrilleError | null

/** A message that waits for its call. */
export interface Waiting {
  readonly type: string
  readonly message: EncodedMessage
}

/** Sends up to ten messages in one call, and answers for each. Never rejects. */
export type SendBatch = (entries: readonly Waiting[]) => Promise<readonly SendResult[]>

/** One for each topic or queue. */
export class SendBatcher {
  readonly #send: SendBatch
  readonly #env: Env
  #entries: (Waiting & { readonly done: (result: SendResult) => void })[] = []
  #bytes = 0
  #round = 0

  constructor(send: SendBatch, env: Env) {
    this.#send = send
    this.#env = env
  }

  /** Resolves with what became of the message. */
  add(entry: Waiting): Promise<SendResult> {
    const { sizeBytes } = entry.message
    if (this.#entries.length === entriesMax || this.#bytes + sizeBytes > requestBytesMax) this.#flush()
    return new Promise((done) => {
      this.#entries.push({ ...entry, done })
      this.#bytes += sizeBytes
      if (this.#entries.length === 1) {
        const round = this.#round
        // Whoever has a message now adds it before this goes on.
        void this.#env.breathe().then(() => {
          if (round === this.#round) this.#flush()
        })
      }
    })
  }

  #flush(): void {
    const entries = this.#entries
    this.#entries = []
    this.#bytes = 0
    this.#round += 1
    void this.#send(entries).then((results) => entries.forEach(({ done }, index) => done(results[index]!)))
  }
}
