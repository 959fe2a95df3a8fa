/** A stream of orders to watch. The same seed gives the same orders, down to their ids. */
import { catalogue } from './catalogue.ts'
import { draw, drawId, pick } from './random.ts'

/** What a customer sends. */
export interface OrderRequest {
  readonly customerId: string
  readonly items: readonly { readonly productId: string; readonly quantity: number }[]
}

/** A request with its id: what makes it safe to send again. */
export interface SampleOrder extends OrderRequest {
  readonly orderId: string
}

const customers = 97
const itemsMax = 3

export function sampleOrders(seed: number, count: number): SampleOrder[] {
  return Array.from({ length: count }, (_, index) => {
    const chance = (what: string) => draw(seed, 'order', index, what)
    const size = 1 + Math.floor(chance('size') * itemsMax)
    // What stands first in the catalogue sells best; the scarce products at its end are in one order of five or six.
    const products = new Set(Array.from({ length: size }, (_, i) => pick(catalogue, chance(`product ${i}`) ** 3)))
    return {
      orderId: drawId(seed, 'order', index),
      customerId: `customer-${1 + Math.floor(chance('customer') * customers)}`,
      items: [...products].map(({ productId }) => ({
        productId,
        quantity: 1 + Math.floor(chance(`quantity of ${productId}`) * 3),
      })),
    }
  })
}
