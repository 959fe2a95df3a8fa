/** The mail goes out with the payment, when the stock may still be short. */
import { kysely } from '@quadrille/kysely'
import { PaymentSucceeded } from '@quadrille/example-orders/contracts'
import type { NotificationTables } from '@quadrille/example-orders/notifications'
import { createHash } from 'node:crypto'
import { service } from 'quadrille'
import { broken } from './broken.ts'

export default broken({
  name: 'mail-before-decision',
  wrong: 'The customer is told that the order is complete when it is paid; it may still be cancelled.',
  check: ['S20'],
  simulate: 'a mail about a cancelled order',
  services: ({ mailer }) => ({
    notifications: service('notifications', { db: kysely<NotificationTables>() }).on(
      PaymentSucceeded,
      {
        name: 'confirm',
        call: async ({ orderId }, { idempotencyKey }) => {
          const messageId = `<${createHash('sha256').update(idempotencyKey).digest('hex').slice(0, 32)}@shop.example>`
          const text = 'Thank you! Your order is on its way to you.'
          const subject = `Your order ${orderId} is complete`
          await mailer.send({ messageId, orderId, to: `${orderId}@customers.example`, subject, text })
          return { messageId }
        },
      },
      async ({ orderId }, { db, now, result }) => {
        const row = { order_id: orderId, message_id: result.messageId, sent_at: now().toISOString() }
        await db.insertInto('notifications_mail').values(row).execute()
      },
    ),
  }),
})
