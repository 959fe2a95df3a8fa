import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startMailbox } from '../src/mailbox/mailbox-server.ts'
import { smtpMailer } from '../src/mailbox/mailer.ts'

const mail = {
  messageId: '<m-1@shop.example>',
  orderId: 'o-1',
  to: 'ada@customers.example',
  subject: 'Hello',
  text: 'Thank you: €5',
}

test('a mail arrives as it was sent', async (t) => {
  const mailbox = await startMailbox()
  t.after(() => mailbox.close())
  await smtpMailer(mailbox.url).send(mail)
  assert.deepEqual(mailbox.mails(), [{ ...mail, text: 'Thank you: €5\n' }])
})

test('a mail that comes again under its Message-ID is taken, and not delivered twice, also after a restart', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'quadrille-mailbox-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'mailbox.jsonl')
  for (const repeats of [1, 2]) {
    const mailbox = await startMailbox({ file })
    await smtpMailer(mailbox.url).send(mail)
    await smtpMailer(mailbox.url).send(mail)
    assert.equal(mailbox.mails().length, 1)
    assert.equal(mailbox.repeats(), repeats)
    await mailbox.close()
  }
})

test('when the answer is lost the sender hears an error, and the mail is there', async (t) => {
  const mailbox = await startMailbox({ losesAnswer: () => true })
  t.after(() => mailbox.close())
  await assert.rejects(smtpMailer(mailbox.url).send(mail), /451/)
  await smtpMailer(mailbox.url).send(mail)
  assert.equal(mailbox.mails().length, 1)
})
