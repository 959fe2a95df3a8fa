/** For tests of the whole flow: the real services on a file of their own, virtual time, and a world outside to script. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { TestContext } from 'node:test'
import { world, type World } from 'quadrille/testing'
import { checkout } from '../src/choreography.ts'
import { openDatabase } from '../src/database.ts'
import type { OutgoingMail } from '../src/mailbox/mailer.ts'
import { orders, place } from '../src/orders.ts'
import type { Gateway } from '../src/payment-provider/gateway.ts'

export interface ShopWorld {
  readonly world: World
  /** The idempotency keys of all requests to the provider, in order. */
  readonly charges: string[]
  readonly refunds: string[]
  readonly mails: OutgoingMail[]
  order(orderId: string, items?: { productId: string; quantity: number; price: number }[]): Promise<void>
  /** One value from the services' tables. */
  value(sql: string): unknown
  /** The types of all events so far. */
  types(): string[]
}

export interface Script {
  /** What the provider does when it is asked to charge or refund; `attempt` counts from 1. Default: all goes well. */
  readonly charge?: (attempt: number, orderId: string) => ReturnType<Gateway['charge']>
  readonly refund?: (attempt: number) => ReturnType<Gateway['refund']>
}

export const paid = async (_: number, orderId: string) => ({ status: 'succeeded', chargeId: `ch-${orderId}` }) as const
export const declined = async (_: number, orderId: string) =>
  ({ status: 'declined', chargeId: `ch-${orderId}`, reason: 'no money' }) as const
export const noAnswer = async (): Promise<never> => {
  throw new Error('no answer')
}

export async function shopWorld(t: TestContext, { charge = paid, refund }: Script = {}): Promise<ShopWorld> {
  const folder = await mkdtemp(join(tmpdir(), 'quadrille-shop-'))
  const file = join(folder, 'orders.db')
  const database = await openDatabase(file)
  const charges: string[] = []
  const refunds: string[] = []
  const mails: OutgoingMail[] = []
  const gateway: Gateway = {
    charge: ({ idempotencyKey, orderId }) => charge(charges.push(idempotencyKey), orderId),
    async refund({ idempotencyKey, chargeId }) {
      const attempt = refunds.push(idempotencyKey)
      return refund ? refund(attempt) : { refundId: `re-${chargeId}` }
    },
  }
  const mailer = { send: async (mail: OutgoingMail) => void mails.push(mail) }
  const shop = await world(checkout({ gateway, mailer }).services, { ledger: database.ledger, errors: 'keep' })
  const reading = new DatabaseSync(file, { readOnly: true })
  t.after(async () => {
    reading.close()
    await database.close()
    await shop.stop()
    await rm(folder, { recursive: true })
  })
  return {
    world: shop,
    charges,
    refunds,
    mails,
    async order(orderId, items = [{ productId: 'teapot', quantity: 2, price: 249 }]) {
      await shop.app.transact(orders, (context) => place({ orderId, customerId: 'ada', items }, context))
    },
    value: (sql) => Object.values(reading.prepare(sql).get() ?? {})[0],
    types: () => shop.events.map((event) => event.type),
  }
}
