/**
 * Amounts as people write them (12.5) and as they are computed: whole minor units, cents (1250). Adding amounts as
 * floating point numbers would sooner or later lose a cent: 0.1 + 0.2 is not 0.3.
 */

/** 12.5 to 1250. The amount must have at most two decimals; the contracts see to that. */
export function toMinor(amount: number): number {
  const minor = Math.round(amount * 100)
  // What is left of a floating point sum (0.30000000000000004) is forgiven, a third decimal is not.
  if (!Number.isSafeInteger(minor) || Math.abs(minor - amount * 100) > 0.001)
    throw new RangeError(`${amount} is not an amount of at most two decimals`)
  return minor
}

/** 1250 to 12.5. */
export function fromMinor(minor: number): number {
  if (!Number.isSafeInteger(minor)) throw new RangeError(`${minor} is not a whole number of minor units`)
  return minor / 100
}

/** What the items cost together. */
export function totalOf(items: readonly { readonly price: number; readonly quantity: number }[]): number {
  return fromMinor(items.reduce((sum, item) => sum + toMinor(item.price) * item.quantity, 0))
}

const euros = new Intl.NumberFormat('en-IE', { style: 'currency', currency: 'EUR' })

/** 1250 to '€12.50'. */
export function showMinor(minor: number): string {
  return euros.format(minor / 100)
}
