/** `quadrille/ledger-kit`: what those who write a ledger need not write again. See docs/writing-a-ledger.md. */
export { eventAt } from './event-at.ts'
export { EventTail, type TailLimits, type TailPage } from './event-tail.ts'
