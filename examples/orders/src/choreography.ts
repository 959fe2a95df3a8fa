/** The dance as a whole. Nothing conducts it: this is for drawing, checking and waiting. */
import { choreography, type Duration } from 'quadrille'
import { OrderCancelled, OrderCompleted, OrderCreated } from './contracts.ts'
import { inventory } from './inventory.ts'
import { smtpMailer, type Mailer } from './mailbox/mailer.ts'
import { notifications } from './notifications.ts'
import { ordersWithin } from './orders.ts'
import { httpGateway, type Gateway } from './payment-provider/gateway.ts'
import { payments } from './payments.ts'

/** What the services need of the world outside: the only two things that a test or a simulation has to replace. */
export interface Outside {
  readonly gateway: Gateway
  readonly mailer: Mailer
}

export const checkout = ({ gateway, mailer }: Outside, within: Duration = '15m') =>
  choreography('checkout', {
    services: [ordersWithin(within), payments(gateway), inventory, notifications(mailer)],
    starts: [OrderCreated],
    ends: { success: [OrderCompleted], failure: [OrderCancelled] },
    within,
  })

/** The real ones. They connect when they are used, so a drawing needs nobody to be there. */
export const outside = (addresses: { readonly provider: string; readonly mailbox: string }): Outside => ({
  gateway: httpGateway(addresses.provider),
  mailer: smtpMailer(addresses.mailbox),
})
