/** What the notification service knows of mail: how to hand one over. */
import { createTransport } from 'nodemailer'

export interface OutgoingMail {
  /** Names this mail for ever, so that a repetition can be recognised. */
  readonly messageId: string
  readonly orderId: string
  readonly to: string
  readonly subject: string
  readonly text: string
}

export interface Mailer {
  /** Resolves when the mail server has taken the mail. Throws when it has not, or when its answer was lost. */
  send(mail: OutgoingMail): Promise<void>
}

/** Talks SMTP to the server at this address. Connects when there is a mail to send, not before. */
export function smtpMailer(url: string): Mailer {
  const { hostname, port } = new URL(url)
  const timeouts = { connectionTimeout: 5_000, greetingTimeout: 5_000, socketTimeout: 5_000 }
  const transport = createTransport({ host: hostname, port: Number(port), ignoreTLS: true, ...timeouts })
  return {
    async send({ orderId, ...mail }) {
      const from = 'Quadrille orders <orders@shop.example>'
      await transport.sendMail({ from, headers: { 'X-Order-Id': orderId }, ...mail })
    },
  }
}
