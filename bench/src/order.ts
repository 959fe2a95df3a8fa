/** The orders of the benchmark: the same half kilobyte for every system. */
import { hash } from 'node:crypto'

/** What a customer has ordered. */
export interface Order {
  readonly orderId: string
  readonly customerId: string
  readonly currency: string
  readonly total: number
  readonly lines: {
    readonly sku: string
    readonly qty: number
    readonly price: number
    readonly title: string
  }[]
  readonly shipTo: string
  readonly placedAt: string
}

const lineNumbers = [0, 1, 2, 3]

/** A prefix that begins so makes ids that come in no order, as random ones do. */
export const scattered = '~'

/** The order with this number; ids with the same prefix sort by number, but for {@link scattered} ones. */
export function makeOrder(prefix: string, number: number): Order {
  const id = `${prefix}-${String(number).padStart(7, '0')}`
  return {
    orderId: prefix.startsWith(scattered) ? `${hash('md5', id).slice(0, 8)}${id}` : id,
    customerId: `customer-${number % 997}`,
    currency: 'EUR',
    total: 100 + (number % 900),
    lines: lineNumbers.map((line) => ({
      sku: `SKU-${(number * 7 + line) % 5000}`,
      qty: 1 + (line % 3),
      price: 10 + line,
      title: `Article number ${(number + line) % 5000} of the catalogue`,
    })),
    shipTo: 'Example Street 12, 12345 Example City',
    placedAt: '2026-01-01T00:00:00.000Z',
  }
}

/** How many pieces have to be reserved. */
export const unitsOf = (order: Pick<Order, 'lines'>): number => order.lines.reduce((units, line) => units + line.qty, 0)
