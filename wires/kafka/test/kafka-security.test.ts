/** A listener of a real Kafka with TLS and a login. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { freePort, realBroker, type Broker } from '@quadrille/brokers'
import { certificate, type Certificate } from '@quadrille/brokers/certificate'
import { silentLogger, systemEnv, type Wire } from 'quadrille'
import { kafka, type KafkaOptions } from '../src/index.ts'
import { settingsOf } from '../src/kafka-options.ts'
import { eventIn, eventOf, outgoing, until } from './events.ts'

const real = realBroker('kafka')
const plainLogin = 'org.apache.kafka.common.security.plain.PlainLoginModule'
const scramLogin = 'org.apache.kafka.common.security.scram.ScramLoginModule'
const tokenLogin = 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule'
const mechanisms = ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512', 'OAUTHBEARER'] as const

/** After so long the broker wants to see a token again. */
const loginMs = 2_000

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token as Kafka takes it where nobody signs them: who it is for, and for how long. */
function tokenFor(seconds: number): string {
  const now = Math.floor(systemEnv.now() / 1000)
  return `${part({ alg: 'none' })}.${part({ sub: 'orders', iat: now - 60, exp: now + seconds })}.`
}

describe('a Kafka with SASL over TLS', { skip: real.skip }, () => {
  let tls: Certificate
  let broker: Broker
  let securePort = 0
  before(async () => {
    tls = await certificate()
    const [port, secure, controller] = [await freePort(), await freePort(), await freePort()]
    securePort = secure
    const at = (listener: string, of: number) => `${listener}://127.0.0.1:${of}`
    const clients = `${at('PLAINTEXT', port)},${at('SECURE', secure)}`
    broker = await real.start({
      port,
      format: ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((each) => [
        '--add-scram',
        `${each}=[name=orders,password=s3cret]`,
      ]),
      settings: [
        `controller.quorum.voters=1@127.0.0.1:${controller}`,
        `listeners=${clients},${at('CONTROLLER', controller)}`,
        `advertised.listeners=${clients}`,
        'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL',
        'listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
        `listener.name.secure.scram-sha-256.sasl.jaas.config=${scramLogin} required;`,
        `listener.name.secure.scram-sha-512.sasl.jaas.config=${scramLogin} required;`,
        `listener.name.secure.plain.sasl.jaas.config=${plainLogin} required user_orders="s3cret";`,
        `listener.name.secure.oauthbearer.sasl.jaas.config=${tokenLogin} required unsecuredLoginStringClaim_sub="kafka";`,
        `listener.name.secure.oauthbearer.connections.max.reauth.ms=${loginMs}`,
        'listener.name.secure.ssl.keystore.type=PEM',
        `listener.name.secure.ssl.keystore.location=${tls.bothFile}`,
      ],
    })
  })
  after(async () => {
    await broker?.stop()
    tls?.remove()
  })

  const open = async (options: Partial<KafkaOptions>): Promise<Wire> => {
    const wire = kafka({ brokers: [`127.0.0.1:${securePort}`], topics: { partitions: 1 }, ...options })
    try {
      await wire.open({ env: systemEnv, log: silentLogger, sends: ['sealed'], notice: () => {} })
    } catch (error) {
      await wire.close()
      throw error
    }
    return wire
  }
  const sasl = (password: string, mechanism: (typeof mechanisms)[number] = 'PLAIN') =>
    ({
      mechanism,
      username: 'orders',
      password: async () => password,
      token: async () => tokenFor(password === 's3cret' ? 3_600 : -30),
    }) as const

  for (const mechanism of mechanisms)
    it(`${mechanism}: carries events, in both directions`, async (test) => {
      const wire = await open({ tls: { ca: tls.cert }, sasl: sasl('s3cret', mechanism) })
      test.after(() => wire.close())
      const ids: string[] = []
      const types = [{ type: 'sealed', patterns: null }]
      await wire.receive(
        { service: `sealed-${mechanism}`, types, from: 'beginning', instance: 'i' },
        async (messages) => {
          ids.push(...messages.map((message) => eventIn(message).id))
        },
      )
      const event = eventOf('sealed', 'k', {})
      assert.deepEqual(await wire.send([outgoing(event)]), [null])
      await until(() => ids.includes(event.id), 'it arrives')
      assert.deepEqual((await wire.health()).problems, [])
    })

  for (const mechanism of mechanisms)
    it(`${mechanism}: does not let in who has a wrong password, or a token of the past, and the error says so`, () =>
      assert.rejects(
        open({ tls: { ca: tls.cert }, sasl: sasl('wrong', mechanism) }),
        /WIRE_UNREACHABLE.*SASL authentication failed/,
      ))

  it('OAUTHBEARER: asks for a new token before the old one ends, and nothing is lost', async (test) => {
    let asked = 0
    const extensions = { logicalCluster: 'lkc-1' }
    const token = async () => {
      asked += 1
      return tokenFor(loginMs / 1000 + 1)
    }
    const wire = await open({ tls: { ca: tls.cert }, sasl: { mechanism: 'OAUTHBEARER', token, extensions } })
    test.after(() => wire.close())
    const ids: string[] = []
    const types = [{ type: 'sealed', patterns: null }]
    await wire.receive({ service: 'sealed-renewed', types, from: 'now', instance: 'i' }, async (messages) => {
      ids.push(...messages.map((message) => eventIn(message).id))
    })
    const sent: string[] = []
    const before = asked
    await until(async () => {
      const event = eventOf('sealed', 'k', {})
      const [error] = await wire.send([outgoing(event)])
      if (error === null) sent.push(event.id)
      // Each connection has logged in twice more.
      return asked >= before * 3
    }, 'tokens are asked for again')
    await until(() => sent.every((id) => ids.includes(id)), 'all arrive')
    assert.deepEqual((await wire.health()).problems, [])
  })

  it('is not trusted when nobody vouches for it', () =>
    assert.rejects(open({ tls: true, sasl: sasl('s3cret') }), /WIRE_UNREACHABLE.*self-signed/))
})

it('extensions of a token go to the client under the name it has for them', () => {
  const extensions = { logicalCluster: 'lkc-1' }
  const { client } = settingsOf({ brokers: ['b:9092'], sasl: { mechanism: 'OAUTHBEARER', token: 't', extensions } })
  assert.deepEqual(client.sasl, { mechanism: 'OAUTHBEARER', token: 't', oauthBearerExtensions: extensions })
})
