/**
 * Topics and subscriptions of the test server: what Azure Service Bus promises of them, as far as the wire relies on it.
 * Duplicates within the window are dropped by message id; a subscription has rules, any of which lets a message in; its
 * sessions are locked by one link at a time, hand out their messages in order, and are free when the lock ends.
 */
import { randomUUID } from 'node:crypto'
import type { Message } from 'rhea'
import { sqlFilter } from './sql-filter.ts'

/** What lets messages into a subscription. */
export interface Rule {
  readonly label: string | null
  readonly properties: Readonly<Record<string, string>>
  /** A SQL filter, instead of the others. */
  readonly sql: string | null
  readonly lets?: (message: Message) => boolean
}

/** @throws SyntaxError for SQL that this server does not understand. */
export const sqlRule = (sql: string): Rule => ({ label: null, properties: {}, sql, lets: sqlFilter(sql) })

/** A message in a subscription. */
export interface Stored {
  readonly sequence: number
  readonly message: Message
  readonly enqueuedMs: number
  deliveries: number
}

/** Where a locked session's messages go. */
export interface SessionLink {
  /** Hands a message out; false when there is no credit. */
  give(stored: Stored, lockedUntilMs: number): boolean
  /** The lock has ended. */
  lose(): void
  /** False once the client, or its connection, has gone. */
  readonly isAlive: boolean
}

/** An accept that waits for a session. */
interface Accept {
  readonly link: SessionLink
  readonly settle: (id: string | null) => void
}

interface Session {
  readonly id: string
  readonly ready: Stored[]
  /** Handed out and not settled. */
  readonly out: Map<number, Stored>
  link: SessionLink | null
  lockedUntilMs: number
  timer: NodeJS.Timeout | undefined
}

export interface SubscriptionSettings {
  readonly lockMs: number
  readonly maxDeliveries: number
  readonly requiresSession: boolean
}

/** A subscription with sessions. */
export class Subscription {
  readonly settings: SubscriptionSettings
  readonly rules = new Map<string, Rule>()
  readonly #sessions = new Map<string, Session>()
  readonly #waiting: Accept[] = []
  dead = 0

  constructor(settings: SubscriptionSettings) {
    this.settings = settings
  }

  wants(message: Message): boolean {
    const properties = (message.application_properties ?? {}) as Record<string, unknown>
    return [...this.rules.values()].some(
      ({ label, properties: wanted, lets }) =>
        lets?.(message) ??
        ((label === null || label === message.subject) &&
          Object.entries(wanted).every(([name, value]) => properties[name] === value)),
    )
  }

  add(sequence: number, message: Message): void {
    const session = this.#session(message.group_id ?? '')
    session.ready.push({ sequence, message, enqueuedMs: Date.now(), deliveries: 0 })
    if (session.link) this.pump(session.id)
    else this.#offer()
  }

  get active(): number {
    return [...this.#sessions.values()].reduce((sum, { ready, out }) => sum + ready.length + out.size, 0)
  }

  get outstanding(): number {
    return [...this.#sessions.values()].reduce((sum, { out }) => sum + out.size, 0)
  }

  /** How many accepts wait for a session. */
  get waiting(): number {
    return this.#waiting.length
  }

  /** Locks the next session that has messages and is free; resolves with its id, or with null after the time. */
  next(link: SessionLink, waitMs: number): Promise<string | null> {
    return new Promise((resolve) => {
      const settle = (id: string | null) => {
        clearTimeout(timer)
        const at = this.#waiting.indexOf(accept)
        if (at >= 0) this.#waiting.splice(at, 1)
        resolve(id)
      }
      const accept = { link, settle }
      const timer = setTimeout(settle, waitMs, null)
      this.#waiting.push(accept)
      this.#offer()
    })
  }

  /** Locks a session for a link; false when somebody else has it. */
  lock(id: string, link: SessionLink): boolean {
    const session = this.#session(id)
    if (session.link) return false
    session.link = link
    this.renew(id, link)
    return true
  }

  /** The new end of the lock; null when the link does not have it. */
  renew(id: string, link: SessionLink | null): number | null {
    const session = this.#session(id)
    if (!session.link || (link && session.link !== link)) return null
    clearTimeout(session.timer)
    session.lockedUntilMs = Date.now() + this.settings.lockMs
    session.timer = setTimeout(() => this.unlock(id, session.link), this.settings.lockMs)
    return session.lockedUntilMs
  }

  lockedUntilMs(id: string): number {
    return this.#session(id).lockedUntilMs
  }

  /** Frees a session: what was handed out and not settled comes again, in order. */
  unlock(id: string, link: SessionLink | null): void {
    const session = this.#session(id)
    if (!link || session.link !== link) return
    clearTimeout(session.timer)
    session.link = null
    link.lose()
    const back = [...session.out.values()].sort((a, b) => a.sequence - b.sequence)
    session.out.clear()
    session.ready.unshift(...back.filter((stored) => this.#alive(stored)))
    this.#offer()
  }

  /** Hands out what the link has credit for. */
  pump(id: string): void {
    const session = this.#session(id)
    const { link, ready, out } = session
    while (link && ready.length > 0) {
      const stored = ready[0]!
      if (!link.give(stored, session.lockedUntilMs)) return
      ready.shift()
      stored.deliveries += 1
      out.set(stored.sequence, stored)
    }
  }

  hasReady(id: string): boolean {
    return this.#session(id).ready.length > 0
  }

  /** Settles a message; false when the lock is somebody else's by now. */
  settle(id: string, at: { link: SessionLink; sequence: number; complete: boolean }): boolean {
    const session = this.#session(id)
    const stored = session.out.get(at.sequence)
    if (session.link !== at.link || !stored) return false
    session.out.delete(at.sequence)
    if (at.complete || !this.#alive(stored)) return true
    const before = session.ready.findIndex(({ sequence }) => sequence > stored.sequence)
    session.ready.splice(before < 0 ? session.ready.length : before, 0, stored)
    return true
  }

  /** The server is going: every lock ends. */
  drop(): void {
    for (const { id, link } of this.#sessions.values()) this.unlock(id, link)
    for (const { settle } of this.#waiting.slice()) settle(null)
  }

  #alive(stored: Stored): boolean {
    if (stored.deliveries < this.settings.maxDeliveries) return true
    this.dead += 1
    return false
  }

  #free(): Session | undefined {
    return [...this.#sessions.values()].find(({ link, ready }) => link === null && ready.length > 0)
  }

  /** Gives free sessions to those who wait and are still there. Each is locked at once, so that the next gets another. */
  #offer(): void {
    for (const { link, settle } of this.#waiting.slice()) {
      const session = this.#free()
      if (!session) return
      settle(link.isAlive && this.lock(session.id, link) ? session.id : null)
    }
  }

  #session(id: string): Session {
    let session = this.#sessions.get(id)
    if (!session) {
      session = { id, ready: [], out: new Map(), link: null, lockedUntilMs: 0, timer: undefined }
      this.#sessions.set(id, session)
    }
    return session
  }
}

/** A topic, which copies what is sent to its subscriptions. */
export class Topic {
  readonly subscriptions = new Map<string, Subscription>()
  readonly dedupeMs: number
  readonly #seen = new Map<string, number>()
  #sequence = 0

  constructor(dedupeMs: number) {
    this.dedupeMs = dedupeMs
  }

  send(message: Message): void {
    const id = String(message.message_id ?? randomUUID())
    const seenMs = this.#seen.get(id)
    if (seenMs !== undefined && Date.now() - seenMs < this.dedupeMs) return
    if (this.dedupeMs > 0) this.#seen.set(id, Date.now())
    this.#sequence += 1
    for (const subscription of this.subscriptions.values()) {
      if (subscription.wants(message)) subscription.add(this.#sequence, { ...message, message_id: id })
    }
  }
}
