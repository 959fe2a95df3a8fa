/** The wire: one connection for all that does not block, and one that reads for each subscription. */
import type { Redis } from 'ioredis'
import { QuadrilleError } from 'quadrille'
import type { Deliver, OutgoingMessage, Receiver, Subscription } from 'quadrille'
import type { Wire, WireCapabilities, WireContext, WireHealth } from 'quadrille'
import { openRedis } from './redis-link.ts'
import { toRedisMessage } from './redis-message.ts'
import { redisSettings, type RedisOptions, type RedisSettings } from './redis-options.ts'
import { RedisReceiver } from './redis-receiver.ts'
import { addScript } from './redis-scripts.ts'

const majorMin = 7

export class RedisWire implements Wire {
  readonly capabilities: WireCapabilities
  readonly #settings: RedisSettings
  readonly #receivers = new Set<RedisReceiver>()
  #client: Redis | null = null
  #context: WireContext | null = null

  constructor(options: RedisOptions) {
    this.#settings = redisSettings(options)
    this.capabilities = {
      order: 'one-receiver',
      from: ['beginning', 'now'],
      filters: false,
      reportsUnroutable: false,
      dedupeMs: 0,
      messageBytesMax: this.#settings.messageBytesMax,
    }
  }

  get name(): string {
    return this.#settings.name
  }

  async open(context: WireContext): Promise<void> {
    const client = await openRedis(this.#settings, {
      lost: (why) => {
        context.notice({ kind: 'lost', service: null, why })
        for (const receiver of this.#receivers) receiver.interrupted(why)
      },
      restored: () => {
        if (this.#client) context.notice({ kind: 'restored', service: null, why: 'the connection is back' })
      },
    })
    const version = factsOf(await client.info('server')).get('redis_version') ?? 'unknown'
    if (!(Number.parseInt(version, 10) >= majorMin)) {
      client.disconnect()
      const problem = `the server is version ${version}, and ${majorMin}.0 is needed`
      throw new QuadrilleError('WIRE_INCOMPATIBLE', { wire: this.name, problem })
    }
    this.#client = client
    this.#context = context
  }

  async close(): Promise<void> {
    await Promise.all([...this.#receivers].map((receiver) => receiver.stop()))
    this.#client?.disconnect()
    this.#client = null
  }

  async send(messages: readonly OutgoingMessage[]): Promise<readonly (QuadrilleError | null)[]> {
    const wire = this.name
    if (this.#client?.status !== 'ready')
      throw new QuadrilleError('WIRE_UNREACHABLE', { wire, message: 'the connection is lost' })
    const { messageBytesMax, stream } = this.#settings
    const results: (QuadrilleError | null)[] = messages.map(() => null)
    const values: string[] = []
    for (const [index, message] of messages.entries()) {
      const { type, data, ce, bytes } = toRedisMessage(message)
      if (bytes > messageBytesMax) {
        const problem = `it has ${bytes} bytes, of ${messageBytesMax}`
        results[index] = new QuadrilleError('WIRE_MESSAGE_REFUSED', { wire, type, problem })
        continue
      }
      values.push(type, data, ce)
    }
    if (values.length === 0) return results
    const failure = await failureOf(this.#client.eval(addScript, 1, stream, ...values))
    if (failure === null) return results
    return results.map((result, index) => {
      if (result) return result
      return new QuadrilleError('WIRE_SEND_FAILED', { wire, type: messages[index]!.event.type, message: failure })
    })
  }

  async receive(subscription: Subscription, deliver: Deliver): Promise<Receiver> {
    const [client, context] = [this.#client, this.#context]
    const wire = this.name
    if (!client || !context) throw new QuadrilleError('WIRE_UNREACHABLE', { wire, message: 'it is not open' })
    let receiver: RedisReceiver | undefined
    const reader = await openRedis(this.#settings, {
      lost: (why) => receiver?.interrupted(why),
      restored: () => {},
    })
    const closed = (ended: RedisReceiver) => this.#receivers.delete(ended)
    receiver = new RedisReceiver({ client, reader, settings: this.#settings, subscription, context, deliver, closed })
    try {
      await receiver.start()
    } catch (error) {
      reader.disconnect()
      throw error instanceof QuadrilleError ? error : this.#wireError(error)
    }
    this.#receivers.add(receiver)
    return receiver
  }

  async health(): Promise<WireHealth> {
    const client = this.#client
    if (client?.status !== 'ready') return { problems: ['the connection is lost'], facts: {} }
    try {
      const facts = factsOf(await client.info())
      const entries = await client.xlen(this.#settings.stream)
      const memory = Number(facts.get('used_memory'))
      const server = facts.get('redis_version') ?? ''
      return { problems: durabilityProblems(facts), facts: { server, stream: this.#settings.stream, entries, memory } }
    } catch (error) {
      return { problems: [`the server does not answer: ${(error as Error).message}`], facts: {} }
    }
  }

  #wireError(error: unknown): QuadrilleError {
    const message = error instanceof Error ? error.message : String(error)
    if (/^(WRONGTYPE|NOPERM)/.test(message))
      return new QuadrilleError('WIRE_INCOMPATIBLE', { wire: this.name, problem: message }, error)
    return new QuadrilleError('WIRE_UNREACHABLE', { wire: this.name, message }, error)
  }
}

/** Null when it was done. */
async function failureOf(done: Promise<unknown>): Promise<string | null> {
  try {
    await done
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

function factsOf(info: string): Map<string, string> {
  const pairs = info.split('\r\n').map((line): [string, string] => {
    const colon = line.indexOf(':')
    return [line.slice(0, colon), line.slice(colon + 1)]
  })
  return new Map(pairs)
}

/** What the server's configuration takes away from the promise that a sent event is kept. */
function durabilityProblems(facts: Map<string, string>): string[] {
  const problems: string[] = []
  if (facts.get('aof_enabled') !== '1')
    problems.push('the server writes no append-only file: a restart loses events that it has acknowledged')
  if (Number(facts.get('maxmemory')) > 0 && facts.get('maxmemory_policy') !== 'noeviction')
    problems.push(`the server may evict the stream when memory is short (${facts.get('maxmemory_policy')})`)
  return problems
}
