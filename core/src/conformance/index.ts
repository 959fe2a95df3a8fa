/** `quadrille/conformance`: what every ledger and every wire must do, as cases that any test runner can run. */
export * from '../ledger/conformance/index.ts'
export * from '../wire/conformance/index.ts'
