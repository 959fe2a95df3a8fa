/** What every wrong variant says of itself, and what it shares with the order application that is right. */
import { outside as realOutside, type Outside } from '@quadrille/example-orders/choreography'
import { OrderCancelled, OrderCompleted, OrderCreated } from '@quadrille/example-orders/contracts'
import { inventory } from '@quadrille/example-orders/inventory'
import { notifications } from '@quadrille/example-orders/notifications'
import { orders, place, type NewOrder, type OrderTables } from '@quadrille/example-orders/orders'
import { payments } from '@quadrille/example-orders/payments'
import { migrate, type ShopTables } from '@quadrille/example-orders/tables'
import type { Kysely } from 'kysely'
import { choreography, type App, type Choreography, type Service } from 'quadrille'
import type { RuleCode } from 'quadrille/check'

/** A service of the shop, over its own tables. */
type ShopService = Service<never>

/** What a variant is made from. */
export interface BrokenOptions {
  /** The name of the file. */
  readonly name: string
  /** What is wrong, as a sentence. */
  readonly wrong: string
  /** The rules of the check that must find it; empty when no declaration shows it. */
  readonly check: readonly RuleCode[]
  /** What a simulation must come to see; null when it does no harm before it has grown. */
  readonly simulate: string | null
  /** The services that are not as in the order application, by name. */
  readonly services: (outside: Outside) => Partial<Record<ServiceName, unknown>> & Record<string, unknown>
  /** How an order is placed. Default: as in the order application. */
  readonly place?: (app: App, order: NewOrder) => Promise<unknown>
  /** Tables beside those of the shop. */
  readonly migrate?: (db: Kysely<never>) => Promise<void>
}

type ServiceName = 'orders' | 'payments' | 'inventory' | 'notifications'

/** A wrong variant of the order application. */
export interface Broken extends Omit<BrokenOptions, 'services' | 'place' | 'migrate'> {
  /** The dance, with the world outside that it is given. */
  choreography(outside: Outside): Choreography
  /** Places an order, as this variant does it. */
  place(app: App, order: NewOrder): Promise<unknown>
  /** Makes all tables. */
  migrate(db: Kysely<ShopTables>): Promise<void>
  /** With nobody outside: for `quadrille check`, which runs nothing. */
  readonly choreographies: Choreography
}

const nowhere = realOutside({ provider: 'http://127.0.0.1:9', mailbox: 'smtp://127.0.0.1:9' })

/** Puts a variant together. */
export function broken({ services, ...options }: BrokenOptions): Broken {
  const { name } = options
  const made = (outside: Outside): Choreography => {
    const right = {
      orders,
      payments: payments(outside.gateway),
      inventory,
      notifications: notifications(outside.mailer),
    }
    return choreography(name, {
      services: Object.values({ ...right, ...services(outside) }) as ShopService[],
      starts: [OrderCreated],
      ends: { success: [OrderCompleted], failure: [OrderCancelled] },
      within: '15m',
    })
  }
  return {
    ...options,
    choreography: made,
    choreographies: made(nowhere),
    place: options.place ?? ((app, order) => app.transact(ordersOf(app), (context) => place(order, context))),
    async migrate(db) {
      await migrate(db)
      await options.migrate?.(db as unknown as Kysely<never>)
    },
  }
}

/** The order service that runs in the app, whatever variant it is. */
export const ordersOf = (app: App): Service<Kysely<OrderTables>> =>
  app.services.find(({ name }) => name === 'orders') as unknown as Service<Kysely<OrderTables>>
