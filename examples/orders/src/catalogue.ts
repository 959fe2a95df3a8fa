/** What the shop sells. The order service knows the prices; how many there are is the inventory's business alone. */

export interface Product {
  readonly productId: string
  readonly name: string
  readonly price: number
  /** How many the warehouse starts with. Two products are scarce, so that the stock runs out while one watches. */
  readonly stock: number
}

export const catalogue: readonly [Product, ...Product[]] = [
  { productId: 'kettle', name: 'Enamel kettle', price: 39.9, stock: 100_000 },
  { productId: 'lamp', name: 'Reading lamp', price: 64.5, stock: 100_000 },
  { productId: 'notebook', name: 'Notebook, dotted', price: 7.25, stock: 100_000 },
  { productId: 'apron', name: 'Linen apron', price: 28, stock: 100_000 },
  { productId: 'radio', name: 'Kitchen radio', price: 119.95, stock: 100_000 },
  { productId: 'teapot', name: 'Teapot, signed edition', price: 249, stock: 12 },
  { productId: 'print', name: 'Quadrille, lithograph', price: 480.35, stock: 4 },
]

export const productOf = (productId: string): Product | undefined =>
  catalogue.find((product) => product.productId === productId)
