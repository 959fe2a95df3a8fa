/** The Wire interface. The cases every wire passes are in `quadrille/conformance`. */
export * from './wire.ts'
export { byName } from './by-name.ts'
export { sendByKey } from './send-by-key.ts'
export { isKnown, wantedOf } from './wanted-types.ts'
export { DeliveryLine, type DeliveryLineOptions } from './delivery-line.ts'
