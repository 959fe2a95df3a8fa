/** Every try to send the mail makes another mail. */
import { kysely } from '@quadrille/kysely'
import { OrderCompleted } from '@quadrille/example-orders/contracts'
import { confirmation, recordMail, type NotificationTables } from '@quadrille/example-orders/notifications'
import { randomUUID } from 'node:crypto'
import { service } from 'quadrille'
import { broken } from './broken.ts'

export default broken({
  name: 'mail-without-key',
  wrong: 'Each try to send the mail has a Message-ID of its own: when an answer is lost, the customer gets two mails.',
  check: ['S13'],
  simulate: 'two mails about one order',
  services: ({ mailer }) => ({
    notifications: service('notifications', { db: kysely<NotificationTables>() }).on(
      OrderCompleted,
      {
        name: 'confirm',
        call: async (order) => {
          const mail = confirmation(order, randomUUID())
          await mailer.send(mail)
          return { messageId: mail.messageId }
        },
      },
      recordMail,
    ),
  }),
})
