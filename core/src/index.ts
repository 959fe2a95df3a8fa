/** Quadrille: event choreography with what teams go to an orchestrator for. See docs/architecture.md. */
export * from './base/index.ts'
export * from './contracts/index.ts'
export * from './service/index.ts'
export type * from './ledger/index.ts'
export * from './wire/index.ts'
export * from './runtime/index.ts'
