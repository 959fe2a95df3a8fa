/**
 * Whether what a process knows of its checkpoints can be relied on. A reader goes on in memory from what it has read; when
 * the server crashes, or another one takes its place, what was read may have come to nothing and its positions may be given
 * to other events. So after a lost connection every lease is asked for anew: it gets a new epoch, by which the runtime
 * learns its checkpoint from the ledger, and until then a claim on it is refused.
 */

/** Names a holder of leases. */
interface Holder {
  readonly reader: string
  readonly owner: string
}

const nameOf = ({ reader, owner }: Holder): string => `${reader}\0${owner}`

/** What was learned since the last connection was lost. */
export class Knowledge {
  readonly #learned = new Map<string, number>()
  #incarnation = 0

  /** Changes whenever what is known becomes doubtful. */
  get incarnation(): number {
    return this.#incarnation
  }

  doubt(): void {
    this.#incarnation += 1
  }

  /** True when it has held leases here before, and not asked for them since a connection was lost. */
  isDoubtful(holder: Holder): boolean {
    const learned = this.#learned.get(nameOf(holder))
    return learned !== undefined && learned !== this.#incarnation
  }

  /** Its leases are known as of the incarnation in which they were asked for. */
  learned(holder: Holder, incarnation: number): void {
    this.#learned.set(nameOf(holder), incarnation)
  }
}
