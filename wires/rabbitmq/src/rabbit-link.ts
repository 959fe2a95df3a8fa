/**
 * A connection with one channel, which comes back by itself.
 *
 *     down ── connected and set up ──> up ── connection or channel closed, or given up ──> down
 *
 * `setUp` runs after every connect: it makes what is needed and returns the channel. While `down` it is tried again, with
 * a pause that grows, until `close()`.
 */
import type { Duplex } from 'node:stream'
import { connect, type Channel, type ChannelModel, type Connection } from 'amqplib'
import { QuadrilleError, sleep, type Env } from 'quadrille'
import type { RabbitSettings } from './rabbit-options.ts'

/** What a link works with. */
export interface RabbitLinkOptions<C extends Channel> {
  readonly env: Env
  readonly settings: RabbitSettings
  readonly setUp: (model: ChannelModel) => Promise<C>
  /** Runs before every connect; may take its time. */
  readonly prepare?: () => Promise<void>
  /** Called once for each loss, before the first attempt to come back. */
  readonly lost: (why: string) => void
  readonly restored: () => void
}

/** A link that is up. */
export interface Up<C extends Channel> {
  readonly model: ChannelModel
  readonly channel: C
}

const retryMsMin = 100
const retryMsMax = 2_000
const closeMs = 2_000

export class RabbitLink<C extends Channel> {
  readonly #options: RabbitLinkOptions<C>
  #up: Up<C> | null = null
  #closing = new AbortController()
  #returning: Promise<void> | null = null
  #problem: string | null = null
  #gathers = false

  constructor(options: RabbitLinkOptions<C>) {
    this.#options = options
  }

  /** The connection and its channel; null while it is down. */
  get up(): Up<C> | null {
    return this.#up
  }

  /** Why it is down; null while it is up. */
  get problem(): string | null {
    return this.#problem
  }

  /** The first connect, which fails when the broker is not there. */
  async start(): Promise<void> {
    await this.#connect()
  }

  /** Gives up what is up, and connects anew. */
  giveUp(why: string): void {
    const up = this.#up
    if (!up) return
    this.#up = null
    this.#problem = why
    this.#options.lost(why)
    void farewell(this.#options.env, up)
    this.#returning = this.#return()
  }

  /**
   * To be called before something is published: all that is published in one turn goes out together. The client writes each
   * message by itself, and that system call costs as much as the rest of what it does with it.
   */
  gather(): void {
    if (this.#gathers || !this.#up) return
    const { env } = this.#options
    const socket = socketOf(this.#up.model)
    const letGo = (): void => {
      this.#gathers = false
      socket.uncork()
    }
    this.#gathers = true
    socket.cork()
    // The client writes in the next turn, so that all is there after that.
    void env.breathe().then(env.breathe).then(letGo)
  }

  /** Idempotent. What the broker had handed out over the channel goes back at once. */
  async close(): Promise<void> {
    this.#closing.abort()
    const up = this.#up
    this.#up = null
    if (up) await farewell(this.#options.env, up)
    await this.#returning
  }

  async #return(): Promise<void> {
    const { env, restored } = this.#options
    const { signal } = this.#closing
    for (let pauseMs = retryMsMin; !signal.aborted; pauseMs = Math.min(retryMsMax, pauseMs * 2)) {
      await sleep(env, pauseMs * (0.5 + env.random() / 2), signal)
      if (signal.aborted) return
      try {
        await this.#connect()
        restored()
        return
      } catch (error) {
        this.#problem = (error as Error).message
      }
    }
  }

  async #connect(): Promise<void> {
    const { env, settings, setUp, prepare } = this.#options
    await prepare?.()
    const model = await this.#openAny()
    let ended = false
    const end = (why: string) => {
      ended = true
      if (this.#up?.model === model) this.giveUp(why)
    }
    model.on('error', (error) => end(error.message))
    model.on('close', (error) => end(error?.message ?? 'the connection was closed'))
    try {
      const channel = await inTime({ env, settings, signal: this.#closing.signal }, setUp(model))
      channel.on('error', (error) => end(error.message))
      channel.on('close', () => end('the channel was closed'))
      if (ended || this.#closing.signal.aborted)
        throw new QuadrilleError('WIRE_UNREACHABLE', { wire: settings.name, message: 'the connection ended at once' })
      this.#up = { model, channel }
      this.#problem = null
      // Where more was published than the socket takes, the client writes the rest from here.
      socketOf(model).prependListener('drain', () => this.gather())
    } catch (error) {
      await farewell(env, { model })
      throw error
    }
  }

  /** The first of the addresses that answers. */
  async #openAny(): Promise<ChannelModel> {
    const { settings } = this.#options
    const socket = { noDelay: true, timeout: settings.timeoutMs, ...settings.socket }
    let failure: unknown
    for (const url of settings.urls) {
      try {
        return await connect(url, socket)
      } catch (error) {
        failure = error
      }
    }
    throw failure
  }
}

/** Closes what may be dead already; does not wait for long, and leaves no socket that would keep the process. */
async function farewell(env: Env, { model, channel }: { model: ChannelModel; channel?: Channel }): Promise<void> {
  model.on('error', () => {})
  const closed = Promise.resolve(channel?.close())
    .catch(() => {})
    .then(() => model.close())
    .catch(() => {})
  await Promise.race([closed, sleep(env, closeMs)])
  // The client would wait for ever for a broker that is frozen.
  socketOf(model).destroy()
}

/** The client has it, but not in its types. */
const socketOf = (model: ChannelModel): Duplex => (model.connection as Connection & { readonly stream: Duplex }).stream

/** Waits no longer than the timeout: a broker that has accepted a connection may still never answer. */
export async function inTime<T>(
  limit: { readonly env: Env; readonly settings: RabbitSettings; readonly signal?: AbortSignal },
  work: Promise<T>,
): Promise<T> {
  const { env, settings } = limit
  const done = new AbortController()
  const signal = limit.signal ? AbortSignal.any([done.signal, limit.signal]) : done.signal
  const late = sleep(env, settings.timeoutMs, signal).then(() => {
    const message = `no answer within ${settings.timeoutMs} ms`
    throw new QuadrilleError('WIRE_UNREACHABLE', { wire: settings.name, message })
  })
  late.catch(() => {})
  return Promise.race([work, late]).finally(() => done.abort())
}
