/** A listener of a real Kafka with TLS and a login. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { freePort, realBroker, type Broker } from '@quadrille/brokers'
import { certificate, type Certificate } from '@quadrille/brokers/certificate'
import { silentLogger, systemEnv, type Wire } from 'quadrille'
import { kafka, type KafkaOptions } from '../src/index.ts'
import { eventIn, eventOf, outgoing, until } from './events.ts'

const real = realBroker('kafka')
const plainLogin = 'org.apache.kafka.common.security.plain.PlainLoginModule'
const scramLogin = 'org.apache.kafka.common.security.scram.ScramLoginModule'
const mechanisms = ['PLAIN', 'SCRAM-SHA-256'] as const

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
      format: ['--add-scram', 'SCRAM-SHA-256=[name=orders,password=s3cret]'],
      settings: [
        `controller.quorum.voters=1@127.0.0.1:${controller}`,
        `listeners=${clients},${at('CONTROLLER', controller)}`,
        `advertised.listeners=${clients}`,
        'listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL',
        'listener.name.secure.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256',
        `listener.name.secure.scram-sha-256.sasl.jaas.config=${scramLogin} required;`,
        `listener.name.secure.plain.sasl.jaas.config=${plainLogin} required user_orders="s3cret";`,
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
    ({ mechanism, username: 'orders', password: async () => password }) as const

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
    it(`${mechanism}: does not let in who has a wrong password, and the error says so`, () =>
      assert.rejects(
        open({ tls: { ca: tls.cert }, sasl: sasl('wrong', mechanism) }),
        /WIRE_UNREACHABLE.*SASL authentication failed/,
      ))

  it('is not trusted when nobody vouches for it', () =>
    assert.rejects(open({ tls: true, sasl: sasl('s3cret') }), /WIRE_UNREACHABLE.*self-signed/))
})
