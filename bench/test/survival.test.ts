/** A short run of what `bench -- survival` does at length: eight processes, killed one after the other, and the server too. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realBroker } from '@quadrille/brokers'
import { survival } from '../src/survival.ts'

const server = realBroker('postgres')

test('while processes and the server are killed nothing is lost, done twice or stuck', server, async () => {
  const numbers = {
    orders: 200,
    processes: 2,
    rate: 1_000,
    seed: 3,
    killsApart: 1,
    serverKills: 1,
    remember: undefined,
  }
  const result = await survival({ ...numbers, progress: () => {} })
  assert.partialDeepStrictEqual(result, { orders: 200, lost: 0, duplicates: 0, invariants: 'hold', serverKills: 1 })
  assert.equal(result.completed + result.cancelled, 200)
  assert.ok(result.kills >= 5, `${result.kills} kills`)
})
