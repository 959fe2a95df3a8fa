/** How the ledger calls what sends over a wire. */

/** Under which name the relays of all wires are kept. */
export const relayScope = '~relay'

/** The name of a relay's reader in the ledger. */
export const relayReader = (wire: string): string => `${relayScope}/${wire}`
