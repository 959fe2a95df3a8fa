/** One partition that this process has, and how far it is. */
import type { IncomingMessage } from 'quadrille'

/** A message that was fetched and not yet taken into the ledger. */
export interface Fetched {
  readonly offset: bigint
  readonly bytes: number
  readonly message: IncomingMessage
}

/**
 * Offsets only grow, in this order: `committed` ≤ `acked` ≤ the first of `fetched` < `position`. A partition that is
 * taken away and comes back is a new object: what an old one still has in hand can not move the new one.
 */
export class Partition {
  readonly topic: string
  readonly index: number
  readonly id: string
  /** The subscribed type whose topic it is; undefined where several share it. */
  readonly channel: string | undefined
  /** Everything before it is in the ledger. Undefined until the broker has said where the group is. */
  acked: bigint | undefined
  /** What the broker knows of `acked`. */
  committed = -1n
  /** The next one to fetch. */
  position = 0n
  /** Fetched, in order, the next one to deliver first. */
  fetched: Fetched[] = []
  fetchedBytes = 0
  /** Why it can not go on; null when it can. */
  gap: string | null = null
  /** Another process has it now. */
  revoked = false

  constructor(topic: string, index: number, channel?: string) {
    this.topic = topic
    this.index = index
    this.channel = channel
    this.id = partitionId(topic, index)
  }

  /** Whether more may be fetched for it. */
  get canFetch(): boolean {
    return this.acked !== undefined && this.gap === null && !this.revoked
  }

  /** Starts, or starts again, at an offset: what was fetched is forgotten. */
  startAt(offset: bigint): void {
    this.acked = offset
    this.position = offset
    this.fetched = []
    this.fetchedBytes = 0
    this.gap = null
  }

  /** What was fetched, in order; what is already there is left out. */
  take(messages: readonly Fetched[], next: bigint): void {
    for (const each of messages) {
      this.fetched.push(each)
      this.fetchedBytes += each.bytes
    }
    this.position = next
    // Nothing to deliver, as where a transaction was rolled back: the group goes on all the same.
    if (this.fetched.length === 0) this.acked = next
  }

  /** Everything before `offset` is in the ledger, by this process or by another one of the service. */
  forwardTo(offset: bigint): void {
    if (this.acked === undefined || offset <= this.acked) return
    if (offset > this.position) return this.startAt(offset)
    const at = this.fetched.findIndex((each) => each.offset >= offset)
    const done = this.fetched.splice(0, at < 0 ? this.fetched.length : at)
    for (const each of done) this.fetchedBytes -= each.bytes
    this.acked = this.fetched[0]?.offset ?? this.position
  }
}

export const partitionId = (topic: string, index: number): string => `${topic}:${index}`
