/** How long a receiver waits after a fetch that failed, without a server. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { systemEnv, type Env } from 'quadrille'
import { until } from '@quadrille/brokers/wire-load'
import type { AwsCalls } from '../src/aws-calls.ts'
import { checkedOptions } from '../src/aws-options.ts'
import type { Topology } from '../src/aws-topology.ts'
import { QueueReceiver } from '../src/queue-receiver.ts'
import { contextOf } from './aws-setup.ts'

/** The pauses after fetches, each of which fails or comes back empty. */
async function pausesOf(fetches: readonly ('fails' | 'empty')[]): Promise<number[]> {
  const pauses: number[] = []
  const env: Env = {
    ...systemEnv,
    random: () => 1,
    timer(delayMs, run) {
      pauses.push(delayMs)
      return systemEnv.timer(0, run)
    },
  }
  const left = [...fetches]
  const over = Promise.withResolvers<object>()
  const call = async () => {
    const next = left.shift()
    if (next === 'fails') throw new TypeError('no')
    return next === 'empty' ? {} : over.promise
  }
  const parts = {
    calls: { call } as unknown as AwsCalls,
    topology: {} as unknown as Topology,
    settings: checkedOptions({ queues: {} }, 'sqs'),
    context: { ...contextOf(), env },
    subscription: { service: 's', types: [{ type: 'a', patterns: null }], from: 'now', instance: 'i' } as const,
    deliver: async () => {},
    find: async () => ({ name: 'q', url: 'q' }),
  }
  const receiver = new QueueReceiver(parts, { name: 'q', url: 'q' })
  const failing = fetches.filter((fetch) => fetch === 'fails').length
  await until(() => left.length === 0 && pauses.length === failing, 'every fetch was made')
  const stopped = receiver.stop()
  over.resolve({})
  await stopped
  return pauses.slice(0, failing)
}

test('failures in a row make the pause grow, up to five seconds', async () => {
  assert.deepEqual(await pausesOf(Array<'fails'>(7).fill('fails')), [200, 400, 800, 1_600, 3_200, 5_000, 5_000])
})

test('a fetch that succeeds ends the row, also when the queue is empty', async () => {
  assert.deepEqual(await pausesOf(['fails', 'fails', 'empty', 'fails', 'empty', 'fails']), [200, 400, 200, 200])
})
