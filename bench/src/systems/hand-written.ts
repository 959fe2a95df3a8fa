/** What people write by hand: outbox and inbox tables in SQLite (WAL), a polling relay, 50 messages per commit. */
import { DatabaseSync, type StatementSync } from 'node:sqlite'
import { unitsOf, type Order } from '../order.ts'
import { orderSql, orderTables, tallyOf } from '../order-tables.ts'
import type { OrderSystem, SystemOptions } from './system.ts'

const messagesPerCommit = 50
const messagesPerLook = 200
const pollMs = 20

const messageTables = `
  CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT, payload TEXT);
  CREATE TABLE inbox (subscriber TEXT, msg_id INT, PRIMARY KEY (subscriber, msg_id)) WITHOUT ROWID;`

/** One side of the join by hand: remembers it in the order's row and tells whether the other side is there. */
const joinSql = (side: string, other: string): string =>
  `UPDATE orders SET ${side} = 1, status = CASE WHEN ${other} THEN 'completed' ELSE status END,
   completions = completions + ${other} WHERE id = ? RETURNING ${other} AS done`

const statementTexts = {
  ...orderSql,
  begin: 'BEGIN IMMEDIATE',
  commit: 'COMMIT',
  rollback: 'ROLLBACK',
  send: 'INSERT INTO outbox (topic, payload) VALUES (?, ?)',
  receive: 'INSERT OR IGNORE INTO inbox (subscriber, msg_id) VALUES (?, ?)',
  take: `SELECT id, topic, payload FROM outbox ORDER BY id LIMIT ${messagesPerLook}`,
  drop: 'DELETE FROM outbox WHERE id = ?',
  paid: joinSql('paid', 'reserved'),
  reserved: joinSql('reserved', 'paid'),
} as const

type Statements = Readonly<Record<keyof typeof statementTexts, StatementSync>>
type Topic = 'order.created' | 'payment.processed' | 'inventory.updated' | 'order.completed'
interface Message {
  readonly id: number
  readonly topic: Topic
  readonly payload: string
}
type Subscribers = Readonly<Record<string, (data: Order) => void>>

function open(file: string, synchronous: string): { readonly db: DatabaseSync; readonly sql: Statements } {
  const db = new DatabaseSync(file, { timeout: 10_000 })
  db.exec('PRAGMA journal_mode = WAL')
  db.exec(`PRAGMA synchronous = ${synchronous}`)
  db.exec(orderTables)
  db.exec(messageTables)
  const prepared = Object.entries(statementTexts).map(([name, text]) => [name, db.prepare(text)])
  return { db, sql: Object.fromEntries(prepared) as Statements }
}

/** Who gets what, and what they do: handlers run inside the relay's transaction. */
function subscribersOf(sql: Statements, send: (topic: Topic, data: unknown) => void): Record<Topic, Subscribers> {
  const join = (side: StatementSync) => (data: Order) => {
    if (side.get(data.orderId)!['done']) send('order.completed', { orderId: data.orderId })
  }
  return {
    'order.created': {
      payment(order) {
        sql.pay.run(order.orderId, order.total)
        send('payment.processed', { orderId: order.orderId, amount: order.total })
      },
      inventory(order) {
        const units = unitsOf(order)
        sql.reserve.run(order.orderId, units)
        send('inventory.updated', { orderId: order.orderId, units })
      },
    },
    'payment.processed': { order: join(sql.paid) },
    'inventory.updated': { order: join(sql.reserved) },
    'order.completed': { notification: (data) => void sql.notify.run(data.orderId) },
  }
}

/** Starts the flow on a new file. */
export function startHandWritten(options: SystemOptions & { readonly synchronous: 'NORMAL' | 'FULL' }): OrderSystem {
  const { database, notified, synchronous } = options
  const { db, sql } = open(database, synchronous)
  const send = (topic: Topic, data: unknown): void => void sql.send.run(topic, JSON.stringify(data))
  const subscribers = subscribersOf(sql, send)
  let stopped = false
  let wake = (): void => {}

  const transaction = (work: () => void): void => {
    sql.begin.run()
    try {
      work()
      sql.commit.run()
    } catch (error) {
      sql.rollback.run()
      throw error
    }
  }

  const handle = (messages: readonly Message[]): void => {
    const decoded = messages.map((message) => ({ ...message, data: JSON.parse(message.payload) as Order }))
    transaction(() => {
      for (const { id, topic, data } of decoded) {
        const receivers = subscribers[topic]
        for (const name in receivers) if (sql.receive.run(name, id).changes > 0) receivers[name]!(data)
        sql.drop.run(id)
      }
    })
    for (const { topic, data } of decoded) if (topic === 'order.completed') notified(data.orderId)
  }

  const relay = async (): Promise<void> => {
    while (!stopped) {
      const messages = sql.take.all() as unknown as Message[]
      for (let i = 0; i < messages.length; i += messagesPerCommit) {
        handle(messages.slice(i, i + messagesPerCommit))
        if (i % 20 === 0) await nextTurn()
      }
      if (messages.length === 0) await resting((resolve) => (wake = resolve))
    }
  }
  const relaying = relay()
  return {
    async publish(order) {
      transaction(() => {
        sql.order.run(order.orderId, order.customerId, order.total, JSON.stringify(order))
        send('order.created', order)
      })
      wake()
      await nextTurn()
    },
    async stop() {
      stopped = true
      wake()
      await relaying
      db.close()
    },
    tally: (prefix) => tallyOf(database, prefix),
  }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Until woken, or until it is time to look. */
function resting(started: (wake: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, pollMs)
    started(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
