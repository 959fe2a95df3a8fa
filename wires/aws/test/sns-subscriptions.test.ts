/** Subscriptions and topics that somebody removes at SNS, while a service receives and while it does not, against fauxqs. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { DeleteTopicCommand, type SNSClient } from '@aws-sdk/client-sns'
import { event, service, silentLogger, start, systemEnv } from 'quadrille'
import type { App, IncomingMessage, WireNotice } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import * as z from 'zod'
import { numbered, until } from '@quadrille/brokers/wire-load'
import { sns, type AwsOptions } from '@quadrille/aws'
import { clientFor, contextOf, snsClient, subscriptionArns, topicArn, unsubscribeAll } from './aws-setup.ts'
import { startFauxqs, type Fauxqs } from './fauxqs-server.ts'

const contractOf = (type: string) => event(type, { key: 'orderId', schema: z.object({ orderId: z.string() }) })
const [Created, Paid] = [contractOf('created'), contractOf('paid')]

describe('a subscription to a topic of SNS', () => {
  let server: Fauxqs
  let client: SNSClient
  before(async () => {
    server = await startFauxqs()
    client = snsClient(server.port)
  })
  after(async () => {
    client.destroy()
    await server.stop()
  })

  /** A service that receives, and a sender of its own. */
  async function receiving(t: { after(fn: () => Promise<void>): void }, more: AwsOptions = {}) {
    const prefix = `q${systemEnv.uuid().slice(-8)}-`
    const options = { prefix, client: clientFor(server.port), wait: '0s', timeout: '4s', checkEvery: '200ms' } as const
    const [sender, receiver] = [sns(options), sns({ ...options, ...more })]
    const notices: WireNotice[] = []
    await sender.open(contextOf(['a']))
    await receiver.open(contextOf([], notices))
    t.after(async () => void (await Promise.all([sender.close(), receiver.close()])))
    const got: IncomingMessage[] = []
    const types = [{ type: 'a', patterns: null }]
    const subscription = { service: 's', types, from: 'now', instance: 'i' } as const
    const make = async () => (await sender.receive(subscription, async () => {})).stop()
    if (more.create === false) await make()
    const running = await receiver.receive(subscription, async (messages) => void got.push(...messages))
    t.after(() => running.stop())
    const send = async (id: string) => {
      const [event] = numbered(1, 0, { id })
      assert.deepEqual(await sender.send([{ event: event!, dedupeId: id }]), [null])
    }
    const arrived = (id: string) => until(() => got.some(({ body }) => Buffer.from(body).includes(id)), `${id} arrives`)
    return { topic: await topicOf(prefix), notices, running, make, send, arrived }
  }

  const topicOf = (prefix: string, type = 'a') => topicArn(client, `${prefix}${type}.fifo`)
  const unsubscribe = (topic: string) => unsubscribeAll(client, topic)

  const kindsOf = (notices: readonly WireNotice[]) => notices.map(({ kind }) => kind)

  it('is made again when somebody removes it, and the loss is told', async (t) => {
    const { topic, notices, running, send, arrived } = await receiving(t)
    await send('before')
    await arrived('before')
    await unsubscribe(topic)
    await until(() => notices.length === 2, 'it is noticed')
    assert.deepEqual(kindsOf(notices), ['lost', 'restored'])
    assert.match(notices[0]!.why, /the subscription of s to .*a.* was gone/)
    await send('afterwards')
    await arrived('afterwards')
    assert.deepEqual((await running.health()).problems, [])
  })

  it('is made again with its topic when somebody deletes that', async (t) => {
    const { topic, notices, send, arrived } = await receiving(t)
    await send('before')
    await arrived('before')
    await client.send(new DeleteTopicCommand({ TopicArn: topic }))
    await until(() => notices.length >= 2, 'it is noticed')
    assert.deepEqual(kindsOf(notices).slice(0, 2), ['lost', 'restored'])
    await send('afterwards')
    await arrived('afterwards')
  })

  it('is made again where Lambda fetches what is in the queue, as long as the process runs', async (t) => {
    const { topic, notices, running, send } = await receiving(t, { receiveBy: 'lambda' })
    await unsubscribe(topic)
    await until(() => notices.length === 2, 'it is noticed')
    assert.deepEqual(kindsOf(notices), ['lost', 'restored'])
    await send('afterwards')
    await until(async () => (await running.health()).lag === 1, 'it is in the queue')
    assert.deepEqual((await running.health()).problems, [])
  })

  for (const receiveBy of ['polling', 'lambda'] as const)
    it(`is a problem of health() while it may not be made again (${receiveBy})`, async (t) => {
      const { topic, running, make } = await receiving(t, { receiveBy, create: false })
      assert.deepEqual((await running.health()).problems, [])
      await unsubscribe(topic)
      const problems = async () => (await running.health()).problems
      await until(async () => (await problems()).length > 0, 'it is noticed')
      const text = (await problems()).join()
      assert.match(text, /^the subscriptions of s can not be looked after: .*the subscription of \S+ to \S+ is missing/)
      await make()
      await until(async () => (await problems()).length === 0, 'it is seen again')
    })

  /** What starts a service of its own on a ledger that stays, and what it was told of its wire. */
  function services(t: { after(fn: () => Promise<void>): void }) {
    const prefix = `q${systemEnv.uuid().slice(-8)}-`
    const folder = mkdtempSync(join(tmpdir(), 'quadrille-sns-'))
    const told: string[] = []
    const heard: string[] = []
    const hear = ({ orderId }: { readonly orderId: string }) => void heard.push(orderId)
    const apps: App[] = []
    t.after(async () => {
      for (const app of apps) await app.stop()
      rmSync(folder, { recursive: true, force: true })
    })
    const begin = async (contracts: readonly (typeof Created)[], more: { readonly lost?: 'accept' } = {}) => {
      const wire = sns({ prefix, client: clientFor(server.port), wait: '0s', timeout: '4s' })
      const listener = contracts.reduce((made, contract) => made.on(contract, hear), service('listener'))
      const app = await start({
        services: [listener],
        ledger: sqlite(join(folder, 'ledger.db')),
        wires: [{ wire, from: 'now', ...more }],
        log: silentLogger,
        hooks: { wire: ({ state, why }) => void told.push(`${state}: ${why}`) },
      })
      apps.push(app)
      return app
    }
    return { prefix, told, heard, begin }
  }

  it('is refused, and not made anew, when it is gone at a start although the ledger knows it', async (t) => {
    const { prefix, told, heard, begin } = services(t)
    await (await begin([Created])).stop()
    const topic = await topicOf(prefix, 'created')
    await unsubscribe(topic)
    const problem = /WIRE_POSITION_LOST.*the subscription of listener to .*created.fifo is gone/
    await assert.rejects(begin([Created]), problem)
    await assert.rejects(begin([Created]), problem)
    assert.deepEqual(await subscriptionArns(client, topic), [])

    const app = await begin([Created], { lost: 'accept' })
    assert.match(told.join(), /^lost: the subscription of listener to \S+created.fifo is gone.*,restored: /)
    await app.publish(Created({ orderId: 'o-1' }))
    await until(() => heard.includes('o-1'), 'it is heard')
    await app.stop()
    await (await begin([Created])).stop()
  })

  it('that is new is made at a start, beside one that the ledger knows', async (t) => {
    const { prefix, told, begin } = services(t)
    await (await begin([Created])).stop()
    await (await begin([Created, Paid])).stop()
    assert.equal((await subscriptionArns(client, await topicOf(prefix, 'paid'))).length, 1)
    await unsubscribe(await topicOf(prefix, 'paid'))
    await assert.rejects(begin([Created, Paid]), /WIRE_POSITION_LOST.*paid.fifo is gone/)
    assert.deepEqual(told, [])
  })
})
