/** Makes the topics that are missing, and leaves those that exist as they are. */
import { Admin } from '@platformatic/kafka'
import { QuadrilleError, sleep, type Env } from 'quadrille'
import { isProtocol, isUnknownTopic, textOf } from './kafka-failure.ts'
import type { KafkaSettings } from './kafka-options.ts'

const readyWithinMs = 15_000
const pollMs = 30
/** What the broker says of a topic that it will not make as it is asked to. */
const never = [
  'INVALID_TOPIC_EXCEPTION',
  'INVALID_CONFIG',
  'INVALID_PARTITIONS',
  'INVALID_REPLICATION_FACTOR',
  'POLICY_VIOLATION',
]

/** Looks after topics. It connects when it is needed, and then keeps no connection. */
export class KafkaTopics {
  readonly #settings: KafkaSettings
  readonly #env: Env

  constructor(settings: KafkaSettings, env: Env) {
    this.#settings = settings
    this.#env = env
  }

  /**
   * Resolves when every topic is there and can be used. Idempotent.
   *
   * @throws QuadrilleError `WIRE_INCOMPATIBLE` when one is missing and can not be made, also because its name collides
   * with that of another topic; errors of the client otherwise.
   */
  async ensure(topics: readonly string[]): Promise<void> {
    if (topics.length === 0) return
    const { client, requestMs } = this.#settings
    const admin = new Admin({ ...client, requestTimeout: requestMs, retries: 0 })
    try {
      for (const topic of new Set(topics)) if (!(await isThere(admin, topic))) await this.#make(admin, topic)
    } finally {
      await admin.close().catch(() => {})
    }
  }

  async #make(admin: Admin, topic: string): Promise<void> {
    const { name: wire, topics } = this.#settings
    if (topics === false) {
      const problem = `the topic ${topic} does not exist, and the option topics is false`
      throw new QuadrilleError('WIRE_INCOMPATIBLE', { wire, problem })
    }
    const { partitions = -1, replicas = -1, settings = {} } = topics
    const configs = Object.entries(settings).map(([name, value]) => ({ name, value }))
    try {
      await admin.createTopics({ topics: [topic], partitions, replicas, configs })
    } catch (error) {
      if (never.some((code) => isProtocol(error, code)))
        throw new QuadrilleError(
          'WIRE_INCOMPATIBLE',
          { wire, problem: `topic ${topic}: ${textOf(error)}${hintOf(error)}` },
          error,
        )
      // Somebody else was faster: that is as good.
      if (!isProtocol(error, 'TOPIC_ALREADY_EXISTS')) throw error
    }
    const began = this.#env.elapsed()
    while (!(await isThere(admin, topic))) {
      if (this.#env.elapsed() - began > readyWithinMs) {
        const message = `topic ${topic} was made, but is not ready after ${readyWithinMs} ms`
        throw new QuadrilleError('WIRE_UNREACHABLE', { wire, message })
      }
      await sleep(this.#env, pollMs)
    }
  }
}

const hintOf = (error: unknown): string =>
  isProtocol(error, 'INVALID_TOPIC_EXCEPTION') ? '; give it another name with the option topic' : ''

async function isThere(admin: Admin, topic: string): Promise<boolean> {
  try {
    const metadata = await admin.metadata({ topics: [topic], forceUpdate: true })
    const partitions = metadata.topics.get(topic)?.partitions ?? []
    return partitions.length > 0 && partitions.every(({ leader }) => leader >= 0)
  } catch (error) {
    if (isUnknownTopic(error) || isProtocol(error, 'LEADER_NOT_AVAILABLE')) return false
    throw error
  }
}
