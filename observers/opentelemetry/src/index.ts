/** What a Quadrille app does, as spans and metrics of OpenTelemetry. docs/opentelemetry.md is the guide. */
export { openTelemetry } from './open-telemetry.ts'
export type { OpenTelemetryOptions } from './open-telemetry.ts'
