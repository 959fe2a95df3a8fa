/**
 * The customers' mailboxes: a real SMTP server on loopback that shows what it received.
 *
 * SMTP has no exactly-once: when the answer to a mail is lost, the sender can only send it again. So 'one mail for each
 * order' needs help from the receiving side, and this relay gives it: a Message-ID that it knows is accepted and not
 * delivered again. Real mailboxes mostly do the same, but need not; what the sender can do, and does, is to give every
 * repetition the same Message-ID.
 */
import { appendFileSync, existsSync, readFileSync } from 'node:fs'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { simpleParser } from 'mailparser'
import { SMTPServer, type SMTPServerDataStream } from 'smtp-server'

export interface Mail {
  readonly messageId: string
  readonly orderId: string
  readonly to: string
  readonly subject: string
  readonly text: string
}

export interface Mailbox {
  /** `smtp://127.0.0.1:2525` */
  readonly url: string
  /** What was delivered, oldest first. */
  mails(): readonly Mail[]
  /** Mails that came again under a known Message-ID, and were not delivered twice. */
  repeats(): number
  close(): Promise<void>
}

export interface MailboxOptions {
  /** Where delivered mails are kept, one JSON document a line. Default: in memory only. */
  readonly file?: string
  /** Default: any free port. */
  readonly port?: number
  /** True when the answer to this mail gets lost after it was delivered. Default: never. */
  readonly losesAnswer?: (messageId: string) => boolean
}

export async function startMailbox({
  file,
  port = 0,
  losesAnswer = () => false,
}: MailboxOptions = {}): Promise<Mailbox> {
  const mails = new Map(readMails(file).map((mail) => [mail.messageId, mail]))
  let repeats = 0

  async function deliver(stream: SMTPServerDataStream): Promise<void> {
    const mail = await parseMail(stream)
    if (mails.has(mail.messageId)) {
      repeats += 1
      return
    }
    if (file) appendFileSync(file, `${JSON.stringify(mail)}\n`)
    mails.set(mail.messageId, mail)
    if (losesAnswer(mail.messageId)) throw new Error('4.3.0 try again later')
  }

  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['AUTH', 'STARTTLS'],
    disableReverseLookup: true,
    logger: false,
    onData(stream, _session, callback) {
      deliver(stream).then(
        () => callback(),
        (error: Error) => callback(Object.assign(error, { responseCode: 451 })),
      )
    },
  })
  // A sender that is killed in the middle of a mail resets the connection. That is its trouble, not ours.
  server.on('error', () => {})
  const listener = server.listen(port, '127.0.0.1')
  await once(listener, 'listening')
  return {
    url: `smtp://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    mails: () => [...mails.values()],
    repeats: () => repeats,
    close: () => new Promise((closed) => server.close(() => closed())),
  }
}

function readMails(file: string | undefined): Mail[] {
  if (!file || !existsSync(file)) return []
  const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean)
  return lines.map((line) => JSON.parse(line) as Mail)
}

async function parseMail(stream: SMTPServerDataStream): Promise<Mail> {
  const { messageId = '', headers, to, subject = '', text = '' } = await simpleParser(stream)
  const receivers = to === undefined ? [] : [to].flat()
  const orderId = headers.get('x-order-id')
  return {
    messageId,
    orderId: typeof orderId === 'string' ? orderId : '',
    to: receivers.map((receiver) => receiver.text).join(', '),
    subject,
    text,
  }
}
