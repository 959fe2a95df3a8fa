/** Metrics as JSON data, for consoles and tests. */
import { Histogram } from './metric-kinds.ts'
import type { MetricKind, MetricView } from './metrics-registry.ts'

/** One series of a counter or gauge. */
export interface NumberSeries {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

/** One series of a histogram. */
export interface HistogramSeries {
  readonly labels: Readonly<Record<string, string>>
  readonly count: number
  readonly sum: number
  /** For each upper bound, how many values were not greater; `'+Inf'` is the last. */
  readonly buckets: readonly { readonly le: number | '+Inf'; readonly count: number }[]
}

/** One metric with all its series, sorted by label values. */
export type MetricSnapshot =
  | {
      readonly name: string
      readonly help: string
      readonly kind: Exclude<MetricKind, 'histogram'>
      readonly series: readonly NumberSeries[]
    }
  | {
      readonly name: string
      readonly help: string
      readonly kind: 'histogram'
      readonly series: readonly HistogramSeries[]
    }

/** All metrics of a registry, in the order in which they were registered. */
export type MetricsSnapshot = readonly MetricSnapshot[]

/** Copies the metrics into plain data. */
export function snapshotOf(metrics: readonly MetricView[]): MetricsSnapshot {
  return metrics.map((metric): MetricSnapshot => {
    const { name, help, kind } = metric
    const labelsOf = (values: readonly string[]) =>
      Object.fromEntries(metric.labels.map((label, index) => [label, values[index]!]))
    if (kind !== 'histogram') {
      const series = metric.series().flatMap(({ values, child }) => {
        return child instanceof Histogram ? [] : [{ labels: labelsOf(values), value: child.value }]
      })
      return { name, help, kind, series }
    }
    const series = metric.series().flatMap(({ values, child }) => {
      return child instanceof Histogram ? [histogramSeries(labelsOf(values), child)] : []
    })
    return { name, help, kind, series }
  })
}

function histogramSeries(labels: Readonly<Record<string, string>>, child: Histogram): HistogramSeries {
  const buckets = child.cumulative.map(({ le, count }) => ({ le: le === Infinity ? ('+Inf' as const) : le, count }))
  return { labels, count: child.count, sum: child.sum, buckets }
}

/**
 * Estimates a quantile from the buckets, as Prometheus does: the values of a bucket are taken to be spread evenly.
 *
 * @param quantile - 0 to 1.
 * @returns undefined without values; the highest finite bound when the quantile lies above it.
 *
 * @example
 * ```ts run
 * import { histogramQuantile, metricsRegistry } from 'quadrille/observe'
 *
 * const registry = metricsRegistry()
 * const waits = registry.histogram({ name: 'waits_seconds', help: 'Waits.', buckets: [1, 2, 4] }).with()
 * for (const seconds of [0.5, 1.5, 1.5, 3]) waits.observe(seconds)
 * const [metric] = registry.snapshot()
 * const median = metric?.kind === 'histogram' ? histogramQuantile(metric.series[0]!, 0.5) : undefined
 * median // => 1.5
 * ```
 */
export function histogramQuantile(series: Pick<HistogramSeries, 'buckets'>, quantile: number): number | undefined {
  const { buckets } = series
  const total = buckets[buckets.length - 1]?.count ?? 0
  if (total === 0) return undefined
  const rank = quantile * total
  const index = buckets.findIndex((bucket) => bucket.count >= rank)
  const { le, count } = buckets[index]!
  const below = index === 0 ? { le: 0, count: 0 } : buckets[index - 1]!
  const from = below.le === '+Inf' ? 0 : below.le
  if (le === '+Inf') return from
  return count === below.count ? le : from + ((le - from) * (rank - below.count)) / (count - below.count)
}
