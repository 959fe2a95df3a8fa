/** The Ledger interface. The SQLite one is `quadrille/sqlite`; the cases every ledger passes are `quadrille/conformance`. */
export * from './ledger.ts'
