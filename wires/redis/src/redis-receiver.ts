/**
 * One subscription: a consumer group, read over a connection of its own.
 *
 *     collecting ── nobody else holds anything ──> reading ── connection, group or a lease lost ──> recovering ──┐
 *         ▲                                                                                                      │
 *         └────────────── what was held is given back, the group is there (again) ──────────────────────────────┘
 *
 * Collecting keeps the order: what somebody else holds, or held when he died, comes before anything new. It is taken when
 * it was acknowledged or its lease has ended, and nothing new is read before.
 */
import type { Redis } from 'ioredis'
import { DeliveryLine, isKnown, QuadrilleError, sleep, wantedOf } from 'quadrille'
import type { Cancel, Deliver, Receiver, ReceiverHealth, Subscription, WireContext } from 'quadrille'
import { compareIds, entriesOf, type RedisEntry } from './redis-message.ts'
import type { RedisSettings } from './redis-options.ts'
import {
  acknowledgeScript,
  ensureScript,
  foreignScript,
  goneScript,
  lagScript,
  releaseScript,
  renewScript,
  trimScript,
} from './redis-scripts.ts'

/** An entry in our hands, and until when it is ours. */
interface Held {
  readonly entry: RedisEntry
  leaseEndsMs: number
}

const batchMax = 500
const blockMs = 1_000
const collectPollMs = 50
const retryMs = 200
const trimEveryMs = 30_000
const closeMs = 2_000
const unblockPollMs = 20

/** What a receiver works with. */
export interface RedisReceiverOptions {
  /** The wire's connection, for all that does not block. */
  readonly client: Redis
  /** A connection of the receiver's own, which only reads. */
  readonly reader: Redis
  readonly settings: RedisSettings
  readonly subscription: Subscription
  readonly context: WireContext
  readonly deliver: Deliver
  readonly closed: (receiver: RedisReceiver) => void
}

export class RedisReceiver implements Receiver {
  readonly #options: RedisReceiverOptions
  readonly #line: DeliveryLine<Held>
  readonly #consumer: string
  readonly #leaseMs: number
  readonly #timers = new Set<Cancel>()
  #loop: Promise<void> = Promise.resolve()
  #stopping: Promise<void> | null = null
  #problem: string | null = null
  /** Something was lost: the loop recovers before it reads on. */
  #lost = false
  /** Called when the line has become shorter. */
  #room: () => void = () => {}
  /** The connection of the reader, as the server knows it. */
  #readerId: number | null = null

  constructor(options: RedisReceiverOptions) {
    const { settings, subscription, context, deliver } = options
    this.#options = options
    this.#consumer = `${subscription.instance}.${context.env.uuid()}`
    // Ours a little shorter than the server's, which begins to count before the entry is here.
    this.#leaseMs = settings.leaseMs * 0.8
    this.#line = new DeliveryLine<Held>({
      env: context.env,
      log: context.log,
      service: subscription.service,
      deliver,
      batchMax,
      message: ({ entry }) => entry.message,
      wanted: (batch) => wantedOf(subscription, batch, ({ entry }) => entry.type),
      owned: (held) => this.#isOurs(held),
      acknowledge: (batch) => this.#acknowledge(batch.map(({ entry }) => entry.id)),
    })
  }

  /** Resolves when the group exists. */
  async start(): Promise<void> {
    await this.#ensure(true)
    const { leaseMs } = this.#options.settings
    this.#every(leaseMs / 4, () => this.#renew())
    this.#every(trimEveryMs, () => this.#trim())
    this.#loop = this.#run()
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#stop()
    return this.#stopping
  }

  /** Told by the wire when a connection was lost: what is held may be somebody else's before we know. */
  interrupted(why: string): void {
    if (this.#stopping) return
    if (!this.#lost) this.#notice('lost', why)
    this.#lost = true
    this.#room()
  }

  async health(): Promise<ReceiverHealth> {
    const problems = [...(this.#problem === null ? [] : [this.#problem]), ...this.#line.problems()]
    try {
      const lag = Number(await this.#script(lagScript))
      return { lag: lag < 0 ? null : lag, problems }
    } catch (error) {
      if (this.#problem === null) problems.push(`the server does not answer: ${(error as Error).message}`)
      return { lag: null, problems }
    }
  }

  #isOurs({ leaseEndsMs }: Held): boolean {
    return this.#options.context.env.elapsed() < leaseEndsMs
  }

  #script(script: string, ...args: (string | number)[]): Promise<unknown> {
    const { client, settings, subscription } = this.#options
    return client.eval(script, 2, settings.stream, settings.positions, subscription.service, ...args)
  }

  async #ensure(first: boolean): Promise<void> {
    const { settings, subscription } = this.#options
    const { service, from, lost } = subscription
    const policy = first && lost !== 'accept' ? 'refuse' : 'accept'
    // While we are connected a group that is nowhere known was in a stream that is gone: all that is there now is new.
    const start = first ? from : 'beginning'
    const memory = first && isKnown(subscription) ? 'known' : 'new'
    const [state, missing] = (await this.#script(ensureScript, start, policy, memory)) as [string, number]
    if (missing === 0) return
    const problem = this.#problemOf(missing)
    if (state === 'gap') throw new QuadrilleError('WIRE_POSITION_LOST', { wire: settings.name, service, problem })
    this.#notice('lost', problem)
  }

  /** In words what {@link ensureScript} says is missing. */
  #problemOf(missing: number): string {
    const { stream, positions } = this.#options.settings
    if (missing === -2)
      return (
        `the group of the service is gone from ${stream}, and its position from ${positions}, though it has received ` +
        'from there; the data of the server were lost or emptied, or the service or the prefix has another name now'
      )
    return `${missing > 0 ? `${missing} entries are gone` : 'the stream was removed, and what was in it'} from ${stream}`
  }

  async #run(): Promise<void> {
    const { env } = this.#options.context
    let collected = false
    while (!this.#stopping) {
      try {
        if (this.#lost) {
          await this.#recover()
          collected = false
        }
        if (!collected) collected = await this.#collect()
        if (collected && !this.#stopping && !this.#lost) await this.#read()
      } catch (error) {
        this.interrupted(reasonOf(error))
        await sleep(env, retryMs)
      }
    }
  }

  async #recover(): Promise<void> {
    // A delivery in hand ends first, so that what comes again stands behind it.
    await this.#line.pause()
    this.#line.takeAll()
    this.#lost = false
    try {
      await this.#options.reader.ping()
      await this.#ensure(false)
      await this.#script(releaseScript, this.#consumer)
    } catch (error) {
      this.#lost = true
      throw error
    }
    this.#notice('restored', 'messages come again')
  }

  /**
   * Takes over what others hold no more, in order, until nobody else holds anything. False at a stop and when something was
   * lost: then the line stays as it is, and what was taken over is released with all the rest.
   */
  async #collect(): Promise<boolean> {
    const { env, log } = this.#options.context
    const { settings, subscription } = this.#options
    // By then whoever else held something has acknowledged it, or has lost it to us.
    const untilMs = env.elapsed() + 2 * settings.leaseMs
    const collected: Held[] = []
    this.#readerId = await this.#options.reader.client('ID')
    const renewing = this.#everyUntil(settings.leaseMs / 4, () => this.#renewAll(collected))
    try {
      while (!this.#stopping && !this.#lost) {
        collected.push(...(await this.#takeOver()))
        if ((await this.#script(foreignScript, this.#consumer)) === 0) break
        if (env.elapsed() > untilMs) {
          log.warn({ service: subscription.service }, 'somebody else holds messages of this service: order is not sure')
          break
        }
        await sleep(env, collectPollMs)
      }
    } finally {
      renewing()
    }
    if (this.#stopping || this.#lost) return false
    this.#line.push(...collected.sort((a, b) => compareIds(a.entry.id, b.entry.id)))
    this.#line.resume()
    return true
  }

  async #takeOver(): Promise<Held[]> {
    const { client, settings, subscription } = this.#options
    const { stream, leaseMs } = settings
    const all: Held[] = []
    for (let cursor = '0-0'; ;) {
      const args = [stream, subscription.service, this.#consumer, leaseMs, cursor, 'COUNT', batchMax]
      const [next, entries, deleted] = (await client.callBuffer('XAUTOCLAIM', args)) as [Buffer, unknown, Buffer[]]
      all.push(...this.#heldOf(entriesOf(entries)))
      if (deleted.length > 0) await this.#gone(deleted.length)
      cursor = String(next)
      if (cursor === '0-0') return all
    }
  }

  async #read(): Promise<void> {
    const { reader, settings, subscription } = this.#options
    const room = settings.heldMax - this.#line.size
    if (room < Math.min(batchMax, settings.heldMax / 2)) return this.#waitForRoom()
    const count = Math.min(batchMax, room)
    const group = ['GROUP', subscription.service, this.#consumer]
    const args = [...group, 'COUNT', count, 'BLOCK', blockMs, 'STREAMS', settings.stream, '>']
    const reply = (await reader.callBuffer('XREADGROUP', args)) as [Buffer, unknown][] | null
    if (reply && !this.#lost) this.#line.push(...this.#heldOf(entriesOf(reply[0]![1])))
  }

  #waitForRoom(): Promise<void> {
    return new Promise((resolve) => {
      this.#room = resolve
    })
  }

  #heldOf(entries: readonly RedisEntry[]): Held[] {
    const leaseEndsMs = this.#options.context.env.elapsed() + this.#leaseMs
    return entries.map((entry) => ({ entry, leaseEndsMs }))
  }

  async #acknowledge(ids: readonly string[]): Promise<void> {
    try {
      if (ids.length > 0) await this.#script(acknowledgeScript, this.#consumer, ...ids)
    } catch (error) {
      // They come again, and the ledger knows them.
      this.interrupted(reasonOf(error))
    }
    this.#room()
  }

  #renew(): void {
    const held = this.#line.held()
    if (held.some((one) => !this.#isOurs(one)) && !this.#lost)
      this.interrupted('the process was too busy, or asleep, to keep what it held')
    else this.#renewAll(held)
  }

  #renewAll(held: readonly Held[]): void {
    const ours = held.filter((one) => this.#isOurs(one)).sort((a, b) => compareIds(a.entry.id, b.entry.id))
    if (ours.length === 0) return
    const leaseEndsMs = this.#options.context.env.elapsed() + this.#leaseMs
    const ids = ours.map(({ entry }) => entry.id)
    this.#script(renewScript, this.#consumer, ...ids).then(
      (renewed) => {
        const still = new Set(renewed as string[])
        // What was acknowledged meanwhile is not in the answer either, and not held any more.
        for (const one of ours) if (still.has(one.entry.id)) one.leaseEndsMs = leaseEndsMs
      },
      (error) => this.interrupted(reasonOf(error)),
    )
  }

  async #gone(entries: number): Promise<void> {
    this.#notice('lost', `${entries} entries that were not acknowledged are gone`)
    await this.#script(goneScript, entries)
  }

  #trim(): void {
    const { settings } = this.#options
    this.#script(trimScript, settings.keepMs).catch(() => {
      // The next time will do.
    })
  }

  #notice(kind: 'lost' | 'restored', why: string): void {
    this.#problem = kind === 'lost' ? why : null
    this.#options.context.notice({ kind, service: this.#options.subscription.service, why })
  }

  #every(periodMs: number, run: () => void): void {
    this.#timers.add(this.#everyUntil(periodMs, run))
  }

  #everyUntil(periodMs: number, run: () => void): Cancel {
    const { env } = this.#options.context
    let cancel: Cancel
    const arm = (): void => {
      cancel = env.timer(periodMs, () => {
        arm()
        run()
      })
    }
    arm()
    return () => cancel()
  }

  async #stop(): Promise<void> {
    const { reader, context, closed } = this.#options
    this.#room()
    await Promise.all([this.#line.pause(), this.#endReading()])
    reader.disconnect()
    await this.#loop
    for (const cancel of this.#timers) cancel()
    const released = this.#script(releaseScript, this.#consumer).catch(() => {
      // Without a connection there is nobody to tell: the leases end by themselves.
    })
    await Promise.race([released, sleep(context.env, closeMs)])
    closed(this)
  }

  /** Ends the read that waits at the server, again and again, because the next one may be on its way. */
  async #endReading(): Promise<void> {
    const { client, reader, context } = this.#options
    let ended = this.#readerId === null
    const loop = this.#loop.then(() => (ended = true))
    while (!ended) {
      try {
        await client.client('UNBLOCK', this.#readerId!)
      } catch {
        return reader.disconnect()
      }
      await Promise.race([loop, sleep(context.env, unblockPollMs)])
    }
  }
}

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  return /^(NOGROUP|UNBLOCKED)/.test(message) ? 'the group or the stream was removed' : message
}
