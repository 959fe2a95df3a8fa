/**
 * Wakes those who wait for events. Within the process at once; other processes by NOTIFY, sent after the commit and not
 * with it (a transaction that notifies holds a lock of the whole server while it commits), and not more often than every
 * few milliseconds. A notification is a hint: whoever misses one looks by himself some time later.
 */
import type { Cancel, Env } from 'quadrille'
import type pg from 'pg'
import { Line, type ConnectionContext } from './connections.ts'

/** Notifications are sent no more often than this. */
const notifyEveryMs = 20
/** After the listening connection was lost, it is made again after this. */
const listenAgainMs = 500
/** Without a listening connection it looks by itself: soon while there is something to see, slower otherwise. */
const pollMs = { active: 100, idle: 1_000 }
/** After this long without a commit of anyone it is idle. */
const activeForMs = 2_000

/** What {@link WakeUps} works with. */
export interface WakeUpsOptions {
  readonly env: Env
  readonly channel: string
  /** Sends notifications. */
  readonly line: Line
  /** Listens; undefined for not at all. */
  readonly listening: ConnectionContext | undefined
  /** The last position drawn by anyone. */
  readonly drawn: () => Promise<number>
  /** Called before the others are woken because of what somebody else may have appended. */
  readonly others: () => void
  /** Names this process in its notifications, which it does not listen to itself. */
  readonly self: string
}

/** Tells of commits. */
export class WakeUps {
  readonly #options: WakeUpsOptions
  readonly #wakes = new Set<() => void>()
  #wakeDue = false
  #listener: Line | undefined
  #listenAgain: Cancel = () => {}
  #notifiedAt = -Infinity
  #notifyLater: Cancel | undefined
  #cancelPoll: Cancel | undefined
  #drawn = 0
  #activeAt = 0
  #closed = false

  constructor(options: WakeUpsOptions) {
    this.#options = options
  }

  /** This process has committed events. */
  committed(): void {
    this.wake()
    const { env } = this.#options
    if (this.#closed || this.#notifyLater !== undefined) return
    const waitMs = this.#notifiedAt + notifyEveryMs - env.elapsed()
    if (waitMs <= 0) this.#notify()
    else
      this.#notifyLater = env.timer(waitMs, () => {
        this.#notifyLater = undefined
        this.#notify()
      })
  }

  /** The last position drawn by anyone, from whoever asks the server anyway. */
  heard(position: number): void {
    if (position === this.#drawn) return
    this.#drawn = position
    this.#activeAt = this.#options.env.elapsed()
    this.#wakeForOthers()
  }

  /** Calls everyone who waits, once, after the current turn. */
  wake(): void {
    if (this.#wakeDue || this.#wakes.size === 0) return
    this.#wakeDue = true
    queueMicrotask(() => {
      this.#wakeDue = false
      for (const wake of this.#wakes) wake()
    })
  }

  #wakeForOthers(): void {
    this.#options.others()
    this.wake()
  }

  /** Adds one who waits; begins to listen with the first. */
  add(wake: () => void): () => void {
    // Wrapped, so that the same function may be added twice and taken away once.
    const entry = () => wake()
    this.#wakes.add(entry)
    if (this.#options.listening) this.#listen(this.#options.listening)
    else this.#poll()
    return () => {
      this.#wakes.delete(entry)
      if (this.#wakes.size === 0) void this.#stopListening()
    }
  }

  /** Wakes nobody any more. */
  async close(): Promise<void> {
    this.#closed = true
    this.#wakes.clear()
    this.#notifyLater?.()
    await this.#stopListening()
  }

  #notify(): void {
    const { env, line, channel, self } = this.#options
    this.#notifiedAt = env.elapsed()
    // Others look by themselves if this fails.
    line.run({ text: 'SELECT pg_notify($1, $2)', values: [channel, self] }).catch(() => {})
  }

  #listen(listening: ConnectionContext): void {
    const { env, channel, self } = this.#options
    if (this.#listener !== undefined || this.#closed) return
    const prepare = async (client: pg.Client) => {
      client.on('notification', ({ payload }) => {
        if (payload !== self) this.#wakeForOthers()
      })
      await client.query(`LISTEN ${channel}`)
      // What came before was not heard.
      this.#wakeForOthers()
    }
    const again = () => {
      this.#listenAgain()
      this.#listenAgain = env.timer(listenAgainMs, () => void listener.connected().catch(() => {}))
    }
    const listener = new Line({ ...listening, lost: again }, prepare)
    this.#listener = listener
    void listener.connected().catch(() => {})
  }

  #poll(): void {
    if (this.#cancelPoll !== undefined || this.#closed || this.#wakes.size === 0) return
    const { env, drawn } = this.#options
    const isActive = env.elapsed() - this.#activeAt < activeForMs
    this.#cancelPoll = env.timer(isActive ? pollMs.active : pollMs.idle, () => {
      drawn()
        .then((position) => this.heard(position))
        // Whoever reads meets that too.
        .catch(() => {})
        .finally(() => {
          this.#cancelPoll = undefined
          this.#poll()
        })
    })
  }

  async #stopListening(): Promise<void> {
    this.#listenAgain()
    this.#cancelPoll?.()
    this.#cancelPoll = undefined
    const listener = this.#listener
    this.#listener = undefined
    await listener?.close()
  }
}
