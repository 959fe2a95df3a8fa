/** NATS, RabbitMQ and Redis as the machine has them, ElasticMQ (SQS), fauxqs (SNS with SQS), and our own server for Service Bus. */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { classPath, missingForJava } from './maven.ts'
import { find, type BrokerKind } from './process.ts'
import { connectionStringFor } from './service-bus/connection-string.ts'
import { freePort } from './tcp.ts'

/** What is said when one program is missing. */
function missingProgram(program: string, debian: string): string | undefined {
  if (find(program) !== undefined) return undefined
  return `${program} not found; install it (Debian: apt-get install ${debian}; macOS: brew install ${debian})`
}

/** With JetStream, in files. */
export const nats: BrokerKind = {
  name: 'nats',
  usualPort: 14_222,
  missing: () => missingProgram('nats-server', 'nats-server'),
  url: (port) => `nats://127.0.0.1:${port}`,
  async prepare({ folder, port, settings }) {
    return {
      command: find('nats-server')!,
      args: ['-a', '127.0.0.1', '-p', String(port), '-js', '-sd', join(folder, 'data'), ...settings],
      readyText: /Server is ready/,
      mark: join(folder, 'data'),
    }
  },
}

/** Saves each write before it answers: what was acknowledged survives a kill. */
export const redis: BrokerKind = {
  name: 'redis',
  usualPort: 16_379,
  missing: () => missingProgram('redis-server', 'redis-server'),
  url: (port) => `redis://127.0.0.1:${port}`,
  async prepare({ folder, port, settings }) {
    const durable = ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '']
    return {
      command: find('redis-server')!,
      args: ['--bind', '127.0.0.1', '--port', String(port), '--dir', folder, ...durable, ...settings],
      readyText: /Ready to accept connections/,
      // Redis changes its command line to the address it listens on.
      mark: `:${port}`,
    }
  },
}

/** The program itself: the one in PATH on Debian changes to a user of its own, who may not write in our folder. */
const rabbitProgram = (): string | undefined => find('../lib/rabbitmq/bin/rabbitmq-server') ?? find('rabbitmq-server')

/** A node with a name, data and a cookie of its own. Its settings are lines of rabbitmq.conf; one of `management.` starts that. */
export const rabbitmq: BrokerKind = {
  name: 'rabbitmq',
  usualPort: 15_679,
  missing: () => (rabbitProgram() ? undefined : missingProgram('rabbitmq-server', 'rabbitmq-server')),
  url: (port) => `amqp://guest:guest@127.0.0.1:${port}`,
  async prepare({ folder, port, settings }) {
    const distribution = await freePort()
    const config = join(folder, 'rabbitmq.conf')
    writeFileSync(config, [`listeners.tcp.default = 127.0.0.1:${port}`, ...settings, ''].join('\n'))
    const managed = settings.some((line) => line.startsWith('management.'))
    writeFileSync(join(folder, 'enabled_plugins'), managed ? '[rabbitmq_management].' : '[].')
    const data = join(folder, 'data')
    mkdirSync(data, { recursive: true })
    return {
      command: rabbitProgram()!,
      args: [],
      env: {
        HOME: folder,
        RABBITMQ_NODENAME: `quadrille${port}@localhost`,
        RABBITMQ_NODE_PORT: String(port),
        RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
        RABBITMQ_DIST_PORT: String(distribution),
        RABBITMQ_CONFIG_FILE: config,
        RABBITMQ_MNESIA_BASE: data,
        RABBITMQ_LOG_BASE: folder,
        RABBITMQ_LOGS: '-',
        RABBITMQ_ENABLED_PLUGINS_FILE: join(folder, 'enabled_plugins'),
        RABBITMQ_PID_FILE: join(folder, 'rabbitmq.pid'),
      },
      readyText: /Server startup complete/,
      // A shell that stays beside the node; both are in one process group.
      mark: rabbitProgram()!,
    }
  },
}

/** SQS in memory: what it holds is gone after a restart. */
export const elasticmq: BrokerKind = {
  name: 'elasticmq',
  usualPort: 19_324,
  missing: missingForJava,
  url: (port) => `http://127.0.0.1:${port}`,
  async prepare({ folder, port, settings }) {
    const jars = await classPath('elasticmq', ['org.elasticmq:elasticmq-server_2.13:1.6.14'])
    const config = join(folder, 'elasticmq.conf')
    const lines = [
      'include classpath("application.conf")',
      `node-address { protocol = http, host = 127.0.0.1, port = ${port}, context-path = "" }`,
      `rest-sqs { enabled = true, bind-port = ${port}, bind-hostname = "127.0.0.1", sqs-limits = strict }`,
      'rest-stats { enabled = false }',
      ...settings,
      '',
    ]
    writeFileSync(config, lines.join('\n'))
    return {
      command: find('java')!,
      args: ['-Xmx256m', `-Dconfig.file=${config}`, '-cp', jars, 'org.elasticmq.server.Main'],
      readyText: /ElasticMQ server .* started/,
      mark: config,
    }
  },
}

/**
 * SNS with SQS. In memory, unless a setting (of the environment, `NAME=value`) is `FAUXQS_PERSISTENCE=true`: then what it has
 * is on disk and survives a kill, and it is many times slower.
 */
export const fauxqs: BrokerKind = {
  name: 'fauxqs',
  usualPort: 14_566,
  missing: () => undefined,
  url: (port) => `http://127.0.0.1:${port}`,
  async prepare({ folder, port, settings }) {
    const program = fileURLToPath(new URL('server.js', import.meta.resolve('fauxqs')))
    const given = Object.fromEntries(settings.map((line) => line.split('=', 2) as [string, string]))
    const data = join(folder, 'data')
    const env = { FAUXQS_PORT: String(port), FAUXQS_LOGGER: 'false', FAUXQS_DATA_DIR: data, ...given }
    // It says nothing without a log of every request: that its port is open has to do.
    return { command: process.execPath, args: [program], env, readyText: /^/, mark: program }
  },
}

/**
 * The project's own test server, which speaks the protocol of Azure Service Bus; Microsoft's needs Docker. In memory. The
 * url is a connection string.
 */
export const servicebus: BrokerKind = {
  name: 'servicebus',
  usualPort: 15_674,
  missing: () => undefined,
  url: connectionStringFor,
  async prepare({ port }) {
    const program = fileURLToPath(new URL('service-bus/main.ts', import.meta.url))
    return { command: process.execPath, args: [program, String(port)], readyText: /listens on/, mark: program }
  },
}
