/**
 * Where the partitions of a subscription start. The group's committed offsets are the truth. A topic without any is new
 * to the group: the member that has its partition 0 commits the start of all its partitions, so that one process, and in
 * one membership, decides for all; the others wait for it. A partition that has none while others of its topic have some
 * was added later: everything in it is still to be received. A topic without any that the service has had a subscription
 * to is not new: the group was forgotten.
 */
import type { Subscription } from 'quadrille'
import { partitionId, type Partition } from './kafka-partition.ts'
import type { Range } from './kafka-fetcher.ts'

/** What the broker says. */
export interface BrokerPositions {
  /** How many partitions each topic has. */
  readonly counts: ReadonlyMap<string, number>
  readonly ranges: ReadonlyMap<string, Range>
  readonly committed: ReadonlyMap<string, bigint>
}

/** What is decided on. */
export interface PositionQuestion extends BrokerPositions {
  readonly subscription: Pick<Subscription, 'from' | 'lost'>
  /** Topics that the service has had a subscription to. */
  readonly known: ReadonlySet<string>
  readonly owned: ReadonlyMap<string, Partition>
  /** Topics that were removed and made again while this process ran: what the group knows of them is void. */
  readonly reborn: ReadonlySet<string>
  /** True when the owner of partition 0 has been waited for in vain. */
  readonly impatient: boolean
}

/** A start that the group has still to be told. */
export interface Start {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
}

/** What is to be done. */
export interface PositionAnswer {
  /** To be committed; then they hold. */
  readonly starts: readonly Start[]
  /** Partitions of this process whose position is known, with it. */
  readonly known: ReadonlyMap<Partition, bigint>
  /** Partitions of this process that can not go on, and why. */
  readonly gaps: ReadonlyMap<Partition, string>
  /** Gaps that somebody has decided to live with. */
  readonly accepted: readonly string[]
  /** Topics whose start is for another process to commit. */
  readonly waitsFor: readonly string[]
}

/** Decides for every partition of this process that does not know its position yet. */
export function decidePositions(question: PositionQuestion): PositionAnswer {
  const starts: Start[] = []
  const known = new Map<Partition, bigint>()
  const gaps = new Map<Partition, string>()
  const accepted: string[] = []
  const waitsFor: string[] = []
  for (const [topic, count] of question.counts) {
    const ids = Array.from({ length: count }, (_, index) => partitionId(topic, index))
    const isReborn = question.reborn.has(topic)
    const isBegun = isReborn || ids.some((id) => question.committed.has(id))
    if (!isBegun) {
      const forgotten = question.known.has(topic) ? `${topic}: ${forgottenText}` : null
      if (forgotten !== null && question.subscription.lost !== 'accept') {
        for (const id of ids) {
          const partition = question.owned.get(id)
          if (partition !== undefined && partition.acked === undefined) gaps.set(partition, forgotten)
        }
        continue
      }
      if (forgotten !== null) accepted.push(forgotten)
      if (question.owned.has(ids[0]!) || question.impatient) starts.push(...startsOf(topic, ids, question))
      else waitsFor.push(topic)
      continue
    }
    for (const [index, id] of ids.entries()) {
      const partition = question.owned.get(id)
      if (partition === undefined || partition.acked !== undefined) continue
      const range = rangeOf(question, id)
      const committed = isReborn ? undefined : question.committed.get(id)
      const gap = committed === undefined ? null : gapOf(id, committed, range)
      if (committed !== undefined && gap === null) known.set(partition, committed)
      else if (gap !== null && question.subscription.lost !== 'accept') gaps.set(partition, gap)
      else {
        if (gap !== null) accepted.push(gap)
        starts.push({ topic, partition: index, offset: range.start })
      }
    }
  }
  return { starts, known, gaps, accepted, waitsFor }
}

const forgottenText =
  'the group has no offsets any more, though the service has received from it; it was without members for longer than ' +
  'offsets.retention.minutes, or the topic, the group or its offsets were removed, or it has another name now'

function startsOf(topic: string, ids: readonly string[], question: PositionQuestion): Start[] {
  return ids.map((id, partition) => {
    const { start, end } = rangeOf(question, id)
    const { known, subscription, owned } = question
    const fromStart = subscription.from === 'beginning' || known.has(topic)
    return { topic, partition, offset: owned.get(id)?.acked ?? (fromStart ? start : end) }
  })
}

const rangeOf = (question: PositionQuestion, id: string): Range => question.ranges.get(id) ?? { start: 0n, end: 0n }

/** What is missing between where the group is and what the broker holds; null when nothing is. */
export function gapOf(id: string, committed: bigint, { start, end }: Range): string | null {
  if (committed < start) return `${id}: ${start - committed} messages from offset ${committed} on have been dropped`
  if (committed > end) return `${id}: it ends at offset ${end}, but the group was at ${committed} already`
  return null
}

/** How many messages the group has still to take, over all partitions. */
export function lagOf({ ranges, committed }: BrokerPositions): number {
  let lag = 0n
  for (const [id, { start, end }] of ranges) {
    const at = committed.get(id) ?? start
    if (end > at) lag += end - (at > start ? at : start)
  }
  return Number(lag)
}
