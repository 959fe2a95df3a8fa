/** The wire benchmark counts what it sends, over a real broker. */
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { realBroker } from '@quadrille/brokers'
import { wireBench } from '../src/wires/wire-bench.ts'

const brokers = { nats: 'nats', sns: 'fauxqs' } as const

for (const [wire, broker] of Object.entries(brokers))
  it(`wire, ${wire}: every event arrives, in both ways, and the figures are there`, realBroker(broker), async () => {
    const result = await wireBench({
      wire,
      events: 1_200,
      warmUp: 200,
      rounds: 1,
      rate: 50,
      seconds: 1,
      progress: () => {},
    })
    assert.equal(result.verifiedEvents, 2_400)
    assert.ok(result.eventsPerSecond > 0 && result.rawEventsPerSecond > 0)
    assert.ok(result.p50Ms > 0 && result.p99Ms >= result.p50Ms && result.rawP50Ms > 0)
    assert.equal(result.rounds.length, 1)
  })
