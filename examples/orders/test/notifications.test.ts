import assert from 'node:assert/strict'
import { test } from 'node:test'
import { confirmation, migrateNotifications, recordMail, type NotificationTables } from '../src/notifications.ts'
import { openTables, someTime } from './tables.ts'

const completed = { orderId: 'o-1', customerId: 'ada', totalAmount: 129, timestamp: someTime }

test('the mail names the order and the amount', () => {
  const mail = confirmation(completed, 'key-1')
  assert.equal(mail.to, 'ada@customers.example')
  assert.match(mail.subject, /o-1/)
  assert.match(mail.text, /€129\.00/)
})

test('the same key gives the same Message-ID, another key another one', () => {
  assert.equal(confirmation(completed, 'key|1').messageId, confirmation(completed, 'key|1').messageId)
  assert.notEqual(confirmation(completed, 'key|1').messageId, confirmation(completed, 'key|2').messageId)
  assert.match(confirmation(completed, 'any <key> at all').messageId, /^<[0-9a-f]{32}@shop\.example>$/)
})

test('a sent mail is remembered', async () => {
  const context = await openTables<NotificationTables>(migrateNotifications)
  await recordMail(completed, { ...context, result: { messageId: '<m@x>' } })
  const rows = await context.db.selectFrom('notifications_mail').selectAll().execute()
  assert.deepEqual(
    rows.map((row) => ({ ...row })),
    [{ order_id: 'o-1', message_id: '<m@x>', sent_at: someTime }],
  )
})
