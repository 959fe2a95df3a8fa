/** The runtime: start(), and the app it gives. */
export { start } from './start.ts'
export { eventsToAppend, type OutsideOptions } from './outside-events.ts'
export { invocations, type Invocations } from './invocations.ts'
export type * from './app.ts'
export type * from './hooks.ts'
export type * from './flow.ts'
export type { ForeignMapping, ForeignMessage, TypeSelection, WireOptions, WireStart } from './wires/wire-options.ts'
export type { WireReport } from './wires/wire-report.ts'
