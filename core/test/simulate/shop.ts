/** A small shop for simulations: payments, stock and the order's own verdict. Right by default, and wrong on demand. */
import { choreography, event, service, type Choreography } from 'quadrille'
import { nodeSqlite, type SqliteHandle } from 'quadrille/sqlite'
import { mailBox, paymentProvider, type SimulationOptions } from 'quadrille/simulate'
import * as z from 'zod'

const orderId = z.string()
const Created = event('created', { key: 'orderId', schema: z.object({ orderId, units: z.number() }) })
const Paid = event('paid', {
  key: 'orderId',
  schema: z.object({ orderId, status: z.enum(['success', 'failed']) }),
})
const Reserved = event('reserved', { key: 'orderId', schema: z.object({ orderId }) })
const Short = event('short', { key: 'orderId', schema: z.object({ orderId }) })
const Completed = event('completed', { key: 'orderId', schema: z.object({ orderId }) })
const Cancelled = event('cancelled', { key: 'orderId', schema: z.object({ orderId }) })

/** What can be wrong with the shop; each is a mistake that teams make. */
export type Mistake =
  | 'release overtakes reserve'
  | 'completes without stock'
  | 'no deadline'
  | 'charge without a key'
  | 'failed from a catch'
  | 'never looks at its state'
  | 'mail too early'
  | 'no undo'
  | 'refunds only what it has recorded'
  | 'two releases'
  | 'saves, then publishes'

interface Outside {
  readonly gateway: ReturnType<typeof paymentProvider>
  readonly mailer: ReturnType<typeof mailBox>
}

const run = (db: SqliteHandle, sql: string, ...values: (string | number)[]) =>
  Number(db.prepare(sql).run(...values).changes)

function payments({ gateway }: Outside, wrong: Mistake | undefined) {
  const charge = async ({ units }: { units: number }, key: string) => {
    if (wrong === 'charge without a key') return gateway.charge({ amount: units })
    try {
      return await gateway.charge({ amount: units, idempotencyKey: key })
    } catch (error) {
      if (wrong !== 'failed from a catch') throw error
      return { status: 'declined', chargeId: '', reason: 'no answer' } as const
    }
  }
  const refund = async (chargeId: string, key: string) => gateway.refund({ chargeId, idempotencyKey: key })
  const made = service('payments', { db: nodeSqlite() })
  const record = (id: string, context: { db: SqliteHandle; result: { status: string; chargeId: string } }) => {
    const { status, chargeId } = context.result
    run(context.db, 'INSERT INTO payment VALUES (?, ?, ?)', id, chargeId, status)
    return Paid({ orderId: id, status: status === 'succeeded' ? 'success' : 'failed' })
  }
  const call = (order: { units: number }, { idempotencyKey }: { idempotencyKey: string }) =>
    charge(order, idempotencyKey)
  if (wrong === 'refunds only what it has recorded') {
    // The reaction on `cancelled` believes its own table: what is not there yet is never refunded.
    return made
      .on(Created, { name: 'charge', emits: [Paid], call }, (order, context) => record(order.orderId, context))
      .on(
        Cancelled,
        {
          name: 'refund',
          call: async () => null,
        },
        (order, { db }) => void run(db, `UPDATE payment SET status = 'noted' WHERE order_id = ?`, order.orderId),
      )
  }
  const undo = {
    on: [Cancelled],
    call: async (
      _: unknown,
      { done, idempotencyKey }: { done: { status: string; chargeId: string }; idempotencyKey: string },
    ) => (done.status === 'succeeded' ? refund(done.chargeId, idempotencyKey) : null),
    run: (order: { orderId: string }, { db }: { db: SqliteHandle }) =>
      void run(db, `UPDATE payment SET status = 'refunded' WHERE order_id = ?`, order.orderId),
  }
  return made.on(
    Created,
    { name: 'charge', emits: [Paid], call, ...(wrong === 'no undo' ? {} : { undo }) },
    (order, context) => record(order.orderId, context),
  )
}

function stock(wrong: Mistake | undefined) {
  const reserve = ({ orderId: id, units }: { orderId: string; units: number }, { db }: { db: SqliteHandle }) => {
    if (run(db, 'UPDATE stock SET available = available - ? WHERE available >= ?', units, units) === 0)
      return Short({ orderId: id })
    run(db, 'INSERT INTO reservation VALUES (?, ?)', id, units)
    return Reserved({ orderId: id })
  }
  const release = ({ orderId: id }: { orderId: string }, { db }: { db: SqliteHandle }): void => {
    const held = db.prepare('SELECT units FROM reservation WHERE order_id = ?').get(id)
    if (!held) return
    if (wrong !== 'two releases') run(db, 'DELETE FROM reservation WHERE order_id = ?', id)
    run(db, 'UPDATE stock SET available = available + ?', Number(held['units']))
  }
  const made = service('stock', { db: nodeSqlite() })
  if (wrong === 'release overtakes reserve')
    return made
      .on(Created, { name: 'reserve', emits: [Reserved, Short] }, reserve)
      .on(Paid.where({ status: 'failed' }), release)
  if (wrong === 'two releases')
    return made
      .on(Created, { name: 'reserve', emits: [Reserved, Short] }, reserve)
      .on(Paid.where({ status: 'failed' }), release)
      .on(Cancelled, release)
  return made.on(
    Created,
    { name: 'reserve', emits: [Reserved, Short], undo: { on: [Cancelled], run: release } },
    reserve,
  )
}

function orders(wrong: Mistake | undefined) {
  const decide = (db: SqliteHandle, id: string, status: string) =>
    wrong === 'never looks at its state'
      ? run(db, 'UPDATE orders SET status = ? WHERE order_id = ?', status, id) > 0
      : run(db, `UPDATE orders SET status = ? WHERE order_id = ? AND status = 'pending'`, status, id) > 0
  const complete = (id: string, { db }: { db: SqliteHandle }) =>
    decide(db, id, 'completed') ? Completed({ orderId: id }) : undefined
  const cancel = ({ orderId: id }: { orderId: string }, { db }: { db: SqliteHandle }) =>
    decide(db, id, 'cancelled') ? Cancelled({ orderId: id }) : undefined
  const made = service('orders', { db: nodeSqlite() })
    .on(Paid.where({ status: 'failed' }), { emits: [Cancelled] }, cancel)
    .on(Short, { emits: [Cancelled] }, cancel)
  if (wrong === 'completes without stock')
    made.on(Paid.where({ status: 'success' }), { name: 'complete', emits: [Completed] }, (paid, context) =>
      complete(paid.orderId, context),
    )
  else
    made.all(
      [Paid.where({ status: 'success' }), Reserved],
      { name: 'complete', emits: [Completed] },
      ([paid], context) => complete(paid.orderId, context),
    )
  if (wrong === 'no deadline') return made
  return made.deadline(Created, { unless: [Completed, Cancelled], within: '15m', emits: [Cancelled] }, cancel)
}

function mails({ mailer }: Outside, wrong: Mistake | undefined) {
  const trigger = wrong === 'mail too early' ? Paid.where({ status: 'success' }) : Completed
  return service('mails').on(
    trigger,
    {
      name: 'confirm',
      call: async (order, { idempotencyKey }) => mailer.send({ messageId: idempotencyKey, ...order }),
    },
    () => {},
  )
}

/** The shop as a choreography. */
export const shop =
  (wrong?: Mistake) =>
  (outside: Outside): Choreography =>
    choreography('shop', {
      services: [orders(wrong), payments(outside, wrong), stock(wrong), mails(outside, wrong)],
      starts: [Created],
      ends: { success: [Completed], failure: [Cancelled] },
      within: '15m',
    })

export interface Order {
  readonly orderId: string
  readonly units: number
}

/** How the shop is simulated. No invariant of its own: what is wrong has to be seen by the simulation itself. */
export function shopOptions(wrong?: Mistake): SimulationOptions<Order, Outside> {
  return {
    outside: (sim) => ({ gateway: paymentProvider(sim), mailer: mailBox(sim) }),
    setup: (_, { sqlite, service: name }) => {
      if (name === 'orders') sqlite.exec('CREATE TABLE orders (order_id TEXT PRIMARY KEY, status TEXT NOT NULL)')
      if (name === 'payments') sqlite.exec('CREATE TABLE payment (order_id TEXT, charge_id TEXT, status TEXT)')
      if (name === 'stock')
        sqlite.exec(`CREATE TABLE stock (available INTEGER NOT NULL); CREATE TABLE reservation (order_id TEXT, units INTEGER);
          INSERT INTO stock VALUES (5)`)
    },
    inputs: [
      { orderId: 'a', units: 2 },
      { orderId: 'b', units: 6 },
      { orderId: 'c', units: 2 },
    ],
    begin: async (app, order) => {
      const save = (db: SqliteHandle) => run(db, `INSERT INTO orders VALUES (?, 'pending')`, order.orderId)
      if (wrong === 'saves, then publishes') {
        await app.transact('orders', ({ db }) => void save(db as SqliteHandle))
        await app.publish(Created(order))
      } else
        await app.transact('orders', ({ db }) => {
          save(db as SqliteHandle)
          return Created(order)
        })
    },
  }
}
