/** Subscriptions and topics that somebody removes at SNS while a service receives, against fauxqs. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  DeleteTopicCommand,
  ListSubscriptionsByTopicCommand,
  ListTopicsCommand,
  UnsubscribeCommand,
  type SNSClient,
} from '@aws-sdk/client-sns'
import { systemEnv, type IncomingMessage, type WireNotice } from 'quadrille'
import { numbered, until } from '@quadrille/brokers/wire-load'
import { sns } from '@quadrille/aws'
import { clientFor, contextOf, snsClient } from './aws-setup.ts'
import { startFauxqs, type Fauxqs } from './fauxqs-server.ts'

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
  async function receiving(t: { after(fn: () => Promise<void>): void }) {
    const prefix = `q${systemEnv.uuid().slice(-8)}-`
    const options = { prefix, client: clientFor(server.port), wait: '0s', timeout: '4s', checkEvery: '200ms' } as const
    const [sender, receiver] = [sns(options), sns(options)]
    const notices: WireNotice[] = []
    await sender.open(contextOf(['a']))
    await receiver.open(contextOf([], notices))
    t.after(async () => void (await Promise.all([sender.close(), receiver.close()])))
    const got: IncomingMessage[] = []
    const types = [{ type: 'a', patterns: null }]
    const running = await receiver.receive({ service: 's', types, from: 'now', instance: 'i' }, async (messages) => {
      got.push(...messages)
    })
    t.after(() => running.stop())
    const send = async (id: string) => {
      const [event] = numbered(1, 0, { id })
      assert.deepEqual(await sender.send([{ event: event!, dedupeId: id }]), [null])
    }
    const arrived = (id: string) => until(() => got.some(({ body }) => Buffer.from(body).includes(id)), `${id} arrives`)
    await send('before')
    await arrived('before')
    const { Topics = [] } = await client.send(new ListTopicsCommand({}))
    const topic = Topics.map(({ TopicArn }) => TopicArn!).find((arn) => arn.includes(prefix))!
    return { topic, notices, running, send, arrived }
  }

  const kindsOf = (notices: readonly WireNotice[]) => notices.map(({ kind }) => kind)

  it('is made again when somebody removes it, and the loss is told', async (t) => {
    const { topic, notices, running, send, arrived } = await receiving(t)
    const { Subscriptions = [] } = await client.send(new ListSubscriptionsByTopicCommand({ TopicArn: topic }))
    const [{ SubscriptionArn }] = Subscriptions as [{ SubscriptionArn: string }]
    await client.send(new UnsubscribeCommand({ SubscriptionArn }))
    await until(() => notices.length === 2, 'it is noticed')
    assert.deepEqual(kindsOf(notices), ['lost', 'restored'])
    assert.match(notices[0]!.why, /the subscription of s to .*a.* was gone/)
    await send('afterwards')
    await arrived('afterwards')
    assert.deepEqual((await running.health()).problems, [])
  })

  it('is made again with its topic when somebody deletes that', async (t) => {
    const { topic, notices, send, arrived } = await receiving(t)
    await client.send(new DeleteTopicCommand({ TopicArn: topic }))
    await until(() => notices.length >= 2, 'it is noticed')
    assert.deepEqual(kindsOf(notices).slice(0, 2), ['lost', 'restored'])
    await send('afterwards')
    await arrived('afterwards')
  })
})
