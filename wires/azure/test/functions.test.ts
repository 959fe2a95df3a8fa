/** Azure Functions: what its triggers hand over, into a ledger on disk that outlives every invocation. */
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  cloudEventText,
  event,
  service,
  silentLogger,
  start,
  systemEnv,
  toBinaryEvent,
  type EventRecord,
} from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import * as z from 'zod'
import { httpHandler, serviceBusHandler, timerHandler } from '@quadrille/azure'
import { wireTo } from './azure-setup.ts'
import { startServiceBus, type ServiceBusServer } from '@quadrille/brokers/service-bus'

const Created = event('order.created', { key: 'orderId', schema: z.object({ orderId: z.string() }) })

const recordOf = (orderId: string): EventRecord => ({
  id: `e-${orderId}`,
  type: 'order.created',
  version: 1,
  source: 'orders',
  key: orderId,
  correlationId: `e-${orderId}`,
  causationId: null,
  reaction: null,
  hops: 0,
  time: Date.UTC(2026, 10, 26),
  traceparent: null,
  tracestate: null,
  data: JSON.stringify({ orderId }),
  extensions: null,
  position: 1,
})

const propertiesOf = (orderId: string) =>
  Object.fromEntries(
    Object.entries(toBinaryEvent(recordOf(orderId)).attributes).map(([name, value]) => [`cloudEvents_${name}`, value]),
  )

describe('Azure Functions', () => {
  let server: ServiceBusServer
  let folder: string
  before(async () => {
    server = await startServiceBus()
    folder = mkdtempSync(join(tmpdir(), 'quadrille-functions-'))
  })
  after(async () => {
    await server.kill()
    rmSync(folder, { recursive: true, force: true })
  })

  it('handles one message, a batch and a tick, each once', async () => {
    const handled: string[] = []
    const payments = service('payments').on(Created, ({ orderId }) => void handled.push(orderId))
    const wire = wireTo(server, { topic: 'functions', receiveBy: 'functions' })
    const begin = () =>
      start({
        services: [payments],
        ledger: sqlite(join(folder, 'f.db')),
        wires: [{ wire, from: 'now' }],
        log: silentLogger,
      })
    const handler = serviceBusHandler({ wire, service: 'payments', start: begin })
    // The host parses a body that is JSON, and tells the rest beside it.
    const one = { messageId: 'm-1', contentType: 'application/json', subject: 'order.created', deliveryCount: 1 }
    await handler({ orderId: 'o-1' }, { triggerMetadata: { ...one, applicationProperties: propertiesOf('o-1') } })
    assert.deepEqual(handled, ['o-1'])
    await handler([{ orderId: 'o-1' }, '{"orderId":"o-2"}'], {
      triggerMetadata: {
        messageIdArray: ['m-1', 'm-2'],
        contentTypeArray: ['application/json', 'application/json'],
        labelArray: ['order.created', 'order.created'],
        applicationPropertiesArray: [propertiesOf('o-1'), propertiesOf('o-2')],
      },
    })
    assert.deepEqual(handled, ['o-1', 'o-2'])
    // A batch of which the host tells nothing beside: the events are in the bodies, and none is lost in another.
    await handler(
      ['o-3', 'o-4'].map((orderId) => cloudEventText(recordOf(orderId))),
      {},
    )
    assert.deepEqual(handled, ['o-1', 'o-2', 'o-3', 'o-4'])
    await timerHandler({ start: begin })()
    const unknown = serviceBusHandler({ wire, service: 'nobody', start: begin })
    await assert.rejects(unknown({}, {}), /WIRE_CANNOT/)
  })

  it('takes messages after the app has renewed its subscription', async (test) => {
    const wire = wireTo(server, { topic: 'renewed', receiveBy: 'functions' })
    await wire.open({ env: systemEnv, log: silentLogger, sends: [], notice() {} })
    test.after(() => wire.close())
    const types = [{ type: 'order.created', patterns: null }]
    const taken: string[] = []
    const receive = (name: string) =>
      wire.receive({ service: 'payments', types, instance: 'i', from: 'now' }, async () => void taken.push(name))
    await (await receive('first')).stop()
    await receive('second')
    await wire.deliverFromSubscription('payments', [{ body: '{}' }])
    assert.deepEqual(taken, ['second'])
  })

  it('hands a request of the HTTP trigger on, and its answer back', async () => {
    const handle = httpHandler(async (request) => {
      assert.equal(request.headers.get('content-type'), 'text/plain')
      return new Response(`got ${await request.text()}`, { status: 202, headers: { 'x-a': 'b' } })
    })
    const headers = new Headers({ 'content-type': 'text/plain' })
    const url = 'https://shop.azurewebsites.net/api/events'
    const request = new Request(url, { method: 'POST', headers, body: 'it' })
    const answer = await handle(request as never)
    assert.equal(answer.status, 202)
    assert.equal(answer.body, 'got it')
    assert.equal(answer.headers['x-a'], 'b')
  })
})
