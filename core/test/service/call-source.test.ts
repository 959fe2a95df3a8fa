/** What the source of a call tells: whether it takes the idempotency key, and whether it hides errors. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import * as z from 'zod'
import { event } from '../../src/contracts/index.ts'
import { service } from '../../src/service/index.ts'

interface Order {
  readonly id: string
}
interface Context {
  readonly idempotencyKey: string
  readonly signal: AbortSignal
  readonly attempt: number
}
const gateway = {
  charge: async (order: Order, ..._rest: unknown[]): Promise<string> => order.id,
}
const log = (text: string) => text.length
const send = async (order: Order, context: Context) => gateway.charge(order, context)
async function plainFunction(order: Order): Promise<string> {
  return gateway.charge(order)
}
const methods: { readonly keyed: (order: Order, context: Context) => unknown } = {
  async keyed(order: Order, { idempotencyKey }: Context) {
    return gateway.charge(order, idempotencyKey)
  },
}

const A = event('a', { key: 'id', schema: z.object({ id: z.string() }) })
type Call = (order: Order, context: Context) => unknown
const described = (call: Call) =>
  service('s')
    .on(A, { call }, () => {})
    .describe().reactions[0]!.call!

test('a call that hands the key on, or makes one of its own, uses one', () => {
  const calls: Call[] = [
    (order, { idempotencyKey }) => gateway.charge(order, idempotencyKey),
    async (order, { signal, ...rest }) => gateway.charge(order, signal, rest.idempotencyKey),
    (order) => gateway.charge(order, { requestId: order.id }),
    (order) => gateway.charge(order, { key: `charge-${order.id}` }),
    (order, context) => gateway.charge(order, context.idempotencyKey),
    (order, { idempotencyKey, attempt }) => gateway.charge(order, { idempotencyKey, attempt, at: Date.now() }),
    methods.keyed,
  ]
  for (const call of calls) assert.equal(described(call).usesKey, true, call.toString())
})

test('a call that takes no context, or only other parts of it, uses none', () => {
  const calls: Call[] = [
    (order) => gateway.charge(order),
    async ({ id }) => {
      // No idempotencyKey here.
      return await gateway.charge({ id })
    },
    (order, { signal }) => gateway.charge(order, signal),
    (order, context) => gateway.charge(order, context.signal),
    plainFunction,
    (order) => gateway.charge(order, { idempotencyKey: randomUUID() }),
    (order, { idempotencyKey, attempt }) => gateway.charge(order, { idempotencyKey: `${idempotencyKey}-${attempt}` }),
    (order, { signal }) => gateway.charge(order, { key: `${order.id}-${Date.now()}`, signal }),
  ]
  for (const call of calls) assert.equal(described(call).usesKey, false, call.toString())
})

test('where the source does not tell, nothing is said', () => {
  const calls: Call[] = [
    () => 1,
    (order) => ({ id: order.id }),
    async (order) => order.id,
    send,
    gateway.charge.bind(gateway),
  ]
  for (const call of calls) assert.equal(described(call).usesKey, null, call.toString())
})

test('a catch without a throw hides errors', () => {
  const hiding: Call[] = [
    async (order) => {
      try {
        return { status: 'ok', id: await gateway.charge(order) }
      } catch {
        return { status: 'failed' }
      }
    },
    (order) => gateway.charge(order).catch(() => null),
  ]
  const open: Call[] = [
    async (order) => {
      try {
        return await gateway.charge(order)
      } catch (error) {
        if ((error as { declined?: boolean }).declined) return { status: 'failed' }
        throw error
      }
    },
    async (order) => {
      try {
        return await gateway.charge(order)
      } finally {
        log('asked')
      }
    },
    (order) => gateway.charge(order),
  ]
  for (const call of hiding) assert.equal(described(call).swallowsErrors, true, call.toString())
  for (const call of open) assert.equal(described(call).swallowsErrors, false, call.toString())
})

test('the name of a handler function is told, and a reaction without a call says null', () => {
  function reserve(): void {}
  const made = service('s')
    .on(A, reserve)
    .on(A, { name: 'second' }, () => {})
  assert.deepEqual(
    made.describe().reactions.map(({ handler, call }) => [handler, call]),
    [
      ['reserve', null],
      ['', null],
    ],
  )
})
