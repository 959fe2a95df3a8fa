/**
 * A broker in the memory of one process, with the manners of a real one: a log, subscriptions with a cursor for each of
 * 16 lanes of keys, members that share the lanes, locks of dead members that must end first, and a window in which a
 * repeated dedupe id is dropped.
 */
import type { Env } from '../../base/index.ts'
import { matchesPattern, partitionCount, partitionOf } from '../../contracts/index.ts'
import type { IncomingMessage, SubscribedType } from '../wire.ts'

/** What a hub is like; all values filled in. */
export interface HubSettings {
  readonly lockMs: number
  readonly dedupeMs: number
  readonly keep: number
  readonly batchMax: number
  readonly messageBytesMax: number | null
  readonly reportsUnroutable: boolean
}

/** A message in the log. */
export interface Entry {
  readonly sequence: number
  readonly type: string
  readonly lane: number
  readonly message: IncomingMessage
  /** The parsed body, for patterns; undefined when it is not JSON. */
  readonly data: unknown
}

/** A receiver that takes part in a subscription. */
export interface Member {
  readonly instance: string
  /** Something may have changed. */
  wake(): void
}

/** What a member may deliver next, and where its lanes go afterwards. */
export interface Share {
  readonly messages: readonly IncomingMessage[]
  readonly lanes: readonly number[]
  readonly upTo: number
}

/** The subscription of a service: who takes part, and how far each lane is. */
export class Group {
  types: readonly SubscribedType[]
  /** True when the broker has dropped what a lane had still to receive. */
  gap = false
  /** Messages handed to members that are not acknowledged. */
  outstanding = 0
  readonly cursors: number[]
  readonly #owners: (Member | null)[] = Array.from({ length: partitionCount }, () => null)
  readonly #members = new Set<Member>()

  constructor(types: readonly SubscribedType[], start: number) {
    this.types = types
    this.cursors = Array.from({ length: partitionCount }, () => start)
  }

  join(member: Member): void {
    this.#members.add(member)
    this.wake()
  }

  /** Gives back the lanes of the member. */
  leave(member: Member): void {
    this.#members.delete(member)
    this.#owners.forEach((owner, lane) => {
      if (owner === member) this.#owners[lane] = null
    })
    this.wake()
  }

  wake(): void {
    for (const member of this.#members) member.wake()
  }

  wants(entry: Entry): boolean {
    return this.types.some(
      ({ type, patterns }) =>
        type === entry.type && (patterns === null || patterns.some((pattern) => matchesPattern(pattern, entry.data))),
    )
  }

  /** Lanes of the member, after it has given back what is beyond its share and taken what is free. Between deliveries only. */
  lanesOf(member: Member): readonly number[] {
    const fair = Math.ceil(partitionCount / Math.max(1, this.#members.size))
    let own = 0
    let gaveBack = false
    this.#owners.forEach((owner, lane) => {
      if (owner === member && ++own > fair) {
        this.#owners[lane] = null
        gaveBack = true
      }
    })
    own = Math.min(own, fair)
    if (gaveBack) this.#members.forEach((other) => other !== member && other.wake())
    else
      this.#owners.forEach((owner, lane) => {
        if (owner !== null || own >= fair) return
        this.#owners[lane] = member
        own += 1
      })
    return this.#owners.flatMap((owner, lane) => (owner === member ? [lane] : []))
  }

  isOwner(member: Member, lane: number): boolean {
    return this.#owners[lane] === member
  }
}

/** The log and the subscriptions. */
export class Broker {
  readonly settings: HubSettings
  readonly groups = new Map<string, Group>()
  /** Services whose subscription was removed. Of those before its own time a hub knows nothing, and is not asked. */
  readonly forgotten = new Set<string>()
  /** False while it is switched off: nothing is lost, and nobody reaches it. */
  up = true
  /** Called when it is switched off or on. */
  readonly watchers = new Set<() => void>()
  #log: Entry[] = []
  #next = 1
  readonly #dedupe = new Map<string, number>()

  constructor(settings: HubSettings) {
    this.settings = settings
  }

  get head(): number {
    return this.#next
  }

  get #base(): number {
    return this.#log[0]?.sequence ?? this.#next
  }

  isRoutable(type: string): boolean {
    return [...this.groups.values()].some((group) => group.types.some((wanted) => wanted.type === type))
  }

  /** Takes a message, unless its dedupe id was seen a moment ago. */
  append(from: { type: string; key: string; message: IncomingMessage; dedupeId: string | null }, env: Env): void {
    const { type, key, message, dedupeId } = from
    if (dedupeId !== null && this.settings.dedupeMs > 0) {
      const seen = this.#dedupe.get(dedupeId)
      if (seen !== undefined && env.now() - seen < this.settings.dedupeMs) return
      this.#dedupe.set(dedupeId, env.now())
    }
    this.#log.push({ sequence: this.#next++, type, lane: partitionOf(key), message, data: parsed(message.body) })
    if (this.#log.length > this.settings.keep * 1.1) this.drop(this.#log.length - this.settings.keep)
    for (const group of this.groups.values()) group.wake()
  }

  /** Forgets the oldest messages. */
  drop(count: number): void {
    const dropped = this.#log.slice(0, count)
    this.#log = this.#log.slice(count)
    for (const group of this.groups.values()) {
      group.gap ||= dropped.some((entry) => entry.sequence >= group.cursors[entry.lane]! && group.wants(entry))
    }
  }

  /** Everything in the log is forgotten. */
  dropAll(): void {
    this.drop(this.#log.length)
  }

  start(from: 'beginning' | 'now'): number {
    return from === 'beginning' ? this.#base : this.#next
  }

  /** What the member may deliver next; null for nothing. */
  next(group: Group, member: Member): Share | null {
    const lanes = group.lanesOf(member)
    if (lanes.length === 0) return null
    const from = Math.min(...lanes.map((lane) => group.cursors[lane]!))
    const messages: IncomingMessage[] = []
    let upTo = from
    for (
      let at = Math.max(0, from - this.#base);
      at < this.#log.length && messages.length < this.settings.batchMax;
      at++
    ) {
      const entry = this.#log[at]!
      upTo = entry.sequence + 1
      const isDue = lanes.includes(entry.lane) && entry.sequence >= group.cursors[entry.lane]!
      if (isDue && group.wants(entry)) messages.push(entry.message)
    }
    if (messages.length > 0) return { messages, lanes, upTo }
    this.acknowledge(group, member, { messages, lanes, upTo })
    return null
  }

  /** The lanes go on, where they are still the member's. */
  acknowledge(group: Group, member: Member, share: Share): void {
    for (const lane of share.lanes)
      if (group.isOwner(member, lane)) group.cursors[lane] = Math.max(group.cursors[lane]!, share.upTo)
  }

  /** How many messages the subscription has not acknowledged. */
  lag(group: Group): number {
    return this.#log.filter((entry) => entry.sequence >= group.cursors[entry.lane]! && group.wants(entry)).length
  }

  /** Switches it off or on. */
  turn(up: boolean): void {
    this.up = up
    for (const watch of this.watchers) watch()
  }
}

const utf8 = new TextDecoder()

function parsed(body: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(body)) as unknown
  } catch {
    return undefined
  }
}
