/**
 * What is sent to the server, in as few pieces as can be: for Node each piece that is written costs as much as copying some
 * kilobytes, and a statement is three or four messages of a hundred bytes.
 */
import { serialize } from 'pg-protocol'

/** What is used of pg's connection, which its types do not describe. */
export interface WireConnection {
  readonly stream: {
    readonly writable: boolean
    cork(): void
    uncork(): void
    write(piece: Buffer): boolean
  }
}

/** Messages are put together up to so much; a longer one is a piece of its own, and is not copied. */
const pieceBytes = 64 * 1024

const describePortal = serialize.describe({ type: 'P' })
const execute = serialize.execute()
const sync = serialize.sync()

/** Messages in the order of sending. Each statement is unnamed, and so is its portal. */
export class WireMessages {
  readonly #pieces: Buffer[] = []
  #small: Buffer[] = []
  #smallBytes = 0

  /** One that is to be bound. */
  parse(text: string): void {
    this.#add(serialize.parse({ text }))
  }

  /** Values for the one that was parsed last, and runs it; `describes` asks what its rows are. */
  run(values: readonly unknown[], describes = false): void {
    this.#add(serialize.bind({ values: values as unknown[] }))
    if (describes) this.#add(describePortal)
    this.#add(execute)
  }

  /** Ends with a sync, and writes all. */
  sendOver({ stream }: WireConnection): void {
    this.#add(sync)
    this.#join()
    if (!stream.writable) return
    stream.cork()
    for (const piece of this.#pieces) stream.write(piece)
    stream.uncork()
  }

  #add(message: Buffer): void {
    if (this.#smallBytes + message.length > pieceBytes) this.#join()
    if (message.length > pieceBytes) {
      this.#pieces.push(message)
      return
    }
    this.#small.push(message)
    this.#smallBytes += message.length
  }

  #join(): void {
    if (this.#small.length > 0) this.#pieces.push(Buffer.concat(this.#small, this.#smallBytes))
    this.#small = []
    this.#smallBytes = 0
  }
}
