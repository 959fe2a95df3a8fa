/**
 * Real brokers, and PostgreSQL, for tests, benchmarks and examples, each as an instance of our own on a loopback port.
 *
 * A test file that needs one:
 *
 * ```ts
 * import { realBroker, type Broker } from '@quadrille/brokers'
 *
 * const nats = realBroker('nats')
 *
 * describe('the NATS wire', { skip: nats.skip }, () => {
 *   let broker: Broker
 *   before(async () => (broker = await nats.start()))
 *   after(() => broker.stop())
 *
 *   it('...', async () => {
 *     connect(broker.url)       // kafka: 127.0.0.1:19092; the others as a URL
 *     await broker.kill()       // SIGKILL
 *     await broker.restart()    // same port, same data; resolves when it answers
 *     broker.freeze()           // SIGSTOP: connections stay open, nothing moves
 *     broker.thaw()
 *   })
 * })
 * ```
 *
 * The one rule on missing parts is `skip`: where CI=true it is always false, so that `start()` fails and says what to
 * install; elsewhere it is one clear line, and the tests are skipped with it.
 *
 * `start()` makes an instance with a port and a folder of its own, which end with `stop()` or with the process, however
 * that dies. `borrow()` takes the one that `node scripts/brokers.mjs up` has left running, and starts one when there is
 * none: for tests that neither kill nor freeze it, and use random names. `tcpProxy()` stands between a client and a
 * broker, and can freeze or cut their connections alone.
 */
import { kafka } from './kafka.ts'
import { elasticmq, fauxqs, nats, rabbitmq, redis, servicebus } from './kinds.ts'
import { postgres, postgresOf, type PostgresVersion } from './postgres.ts'
import { startBroker, type Broker, type BrokerKind, type StartOptions } from './process.ts'
import { stateOf } from './state.ts'

export { postgresVersions, type PostgresVersion } from './postgres.ts'
export type { Broker, BrokerKind, StartOptions } from './process.ts'
export { freePort, tcpProxy, type TcpProxy } from './tcp.ts'

/** Every broker that can be started, by name. */
export const kinds = {
  kafka,
  nats,
  rabbitmq,
  redis,
  elasticmq,
  fauxqs,
  servicebus,
  postgres,
} as const satisfies Record<string, BrokerKind>

/** The name of a broker. */
export type BrokerName = keyof typeof kinds

/** One kind of broker, as a test sees it. */
export interface RealBroker {
  /** For the option of the same name of node:test. */
  readonly skip: string | false
  /** A new instance, without data. */
  start(options?: StartOptions): Promise<Broker>
  /** The running one, whose `stop()` does nothing, or a new instance. */
  borrow(): Promise<Broker>
}

/** See the top of this file. */
export const realBroker = (name: BrokerName): RealBroker => real(kinds[name])

/** PostgreSQL of a version, whatever this machine has. */
export const realPostgres = (version: PostgresVersion): RealBroker => real(postgresOf(version))

function real(kind: BrokerKind): RealBroker {
  const missing = kind.missing()
  const says = `no real ${kind.name} here: ${missing ?? ''}`
  const start = (options?: StartOptions): Promise<Broker> => {
    if (missing !== undefined) return Promise.reject(new Error(says))
    return startBroker(kind, options)
  }
  return {
    skip: missing !== undefined && process.env['CI'] !== 'true' ? says : false,
    start,
    async borrow() {
      const running = stateOf(kind)
      return running === undefined ? start() : running.asBroker()
    },
  }
}
