/** Sessions that are over before anything was received from them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ServiceBusError } from '@azure/service-bus'
import { silentLogger, systemEnv } from 'quadrille'
import { SessionReceiver } from '../src/session-receiver.ts'

type Parts = ConstructorParameters<typeof SessionReceiver>[0]

test('a session that is lost between its lock and the first message is left, and another one is asked for', async () => {
  const seen: string[] = []
  const next = Promise.withResolvers<void>()
  const session = {
    sessionId: 'keys-1',
    sessionLockedUntilUtc: new Date(Date.now() + 60_000),
    subscribe: () => {
      seen.push('subscribe')
      throw new ServiceBusError('The session lock has expired', 'SessionLockLost')
    },
    close: async () => void seen.push('close'),
  }
  const client = {
    acceptNextSession: () => {
      seen.push('accept')
      if (seen.filter((each) => each === 'accept').length === 1) return Promise.resolve(session)
      if (seen.includes('close')) next.resolve()
      return new Promise(() => {})
    },
  }
  const parts = {
    client,
    settings: { name: 'azure', topic: 't', receivers: 1, timeoutMs: 1_000, stalledMs: 1_000, lockMs: 60_000 },
    context: { env: systemEnv, log: silentLogger, notice: () => {} },
    subscription: { service: 's', types: [] },
    deliver: async () => {},
  } as unknown as Parts
  const receiver = new SessionReceiver(parts, 's')
  await next.promise
  await receiver.stop()
  assert.deepEqual(seen, ['accept', 'subscribe', 'close', 'accept'])
})
