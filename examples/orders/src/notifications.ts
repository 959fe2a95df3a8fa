/** The notification service. It tells the customer that the order is complete: one mail, and only then. */
import { kysely } from '@quadrille/kysely'
import { sql, type Kysely } from 'kysely'
import { createHash } from 'node:crypto'
import { service, type DataOf } from 'quadrille'
import { OrderCompleted } from './contracts.ts'
import type { Mailer, OutgoingMail } from './mailbox/mailer.ts'
import { showMinor, toMinor } from './money.ts'

export interface NotificationTables {
  notifications_mail: { order_id: string; message_id: string; sent_at: string }
}

export async function migrateNotifications(db: Kysely<NotificationTables>): Promise<void> {
  await sql`CREATE TABLE IF NOT EXISTS notifications_mail (
    order_id TEXT NOT NULL, message_id TEXT NOT NULL, sent_at TEXT NOT NULL)`.execute(db)
}

export const notifications = (mailer: Mailer) =>
  service('notifications', { db: kysely<NotificationTables>() }).on(
    OrderCompleted,
    {
      name: 'confirm',
      // Sent again when the answer of the mail server was lost, under the same Message-ID; see mailbox-server.ts.
      call: async (order, { idempotencyKey }) => {
        const mail = confirmation(order, idempotencyKey)
        await mailer.send(mail)
        return { messageId: mail.messageId }
      },
    },
    recordMail,
  )

type Completed = DataOf<typeof OrderCompleted>

/** The mail for an order. The same key gives the same Message-ID, by which a mail that is sent again is recognised. */
export function confirmation(order: Completed, idempotencyKey: string): OutgoingMail {
  const digest = createHash('sha256').update(idempotencyKey).digest('hex').slice(0, 32)
  return {
    messageId: `<${digest}@shop.example>`,
    orderId: order.orderId,
    to: `${order.customerId}@customers.example`,
    subject: `Your order ${order.orderId} is complete`,
    text: `Thank you! We have received ${showMinor(toMinor(order.totalAmount))}, and your order is on its way to you.`,
  }
}

interface Context {
  readonly db: Kysely<NotificationTables>
  readonly now: () => Date
  readonly result: { readonly messageId: string }
}

export async function recordMail({ orderId }: Completed, { db, now, result }: Context): Promise<void> {
  await db
    .insertInto('notifications_mail')
    .values({ order_id: orderId, message_id: result.messageId, sent_at: now().toISOString() })
    .execute()
}
