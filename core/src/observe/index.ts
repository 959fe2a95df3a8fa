/** Looking at Quadrille: metrics, and drawings of what is declared and of what has happened. docs/observing.md is the guide. */
export { metricsRegistry, metricsContentType } from './metrics-registry.ts'
export type {
  HistogramOptions,
  Metric,
  MetricKind,
  MetricOptions,
  MetricsRegistry,
  MetricView,
} from './metrics-registry.ts'
export { Counter, Gauge, Histogram } from './metric-kinds.ts'
export { labelCharsMax, labelValuesMax, otherLabel, seriesMax, type CardinalityLimits } from './label-tree.ts'
export {
  histogramQuantile,
  type HistogramSeries,
  type MetricSnapshot,
  type MetricsSnapshot,
  type NumberSeries,
} from './metrics-snapshot.ts'
export { errorLabel, metricsHooks } from './metrics-hooks.ts'
export { healthMetrics } from './health-metrics.ts'
export { choreographyFlowchart } from './choreography-flowchart.ts'
export { choreographySequence } from './choreography-sequence.ts'
export { flowDiagram, flowEventsDrawnMax } from './flow-diagram.ts'
export { flowText } from './flow-text.ts'
export { mermaidText, mermaidCharsMax } from './mermaid-text.ts'
