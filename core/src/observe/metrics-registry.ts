/** A registry of counters, gauges and histograms with labels: cheap to count in, read as Prometheus text or as JSON. */
import { QuadrilleError } from '../base/index.ts'
import { labelValuesMax, LabelTree, seriesMax, type CardinalityLimits } from './label-tree.ts'
import { Counter, Gauge, Histogram } from './metric-kinds.ts'
import { prometheusText } from './prometheus-text.ts'
import { snapshotOf, type MetricsSnapshot } from './metrics-snapshot.ts'

/** What a metric is called and what its labels are. */
export interface MetricOptions<Names extends readonly string[] = readonly string[]> {
  /** `[a-zA-Z_:][a-zA-Z0-9_:]*`, the unit at its end; a counter's ends with `_total`. */
  readonly name: string
  /** One sentence on what is counted. */
  readonly help: string
  /** The names of the labels. Default: none. */
  readonly labels?: Names
}

/** What a histogram needs besides. */
export interface HistogramOptions<Names extends readonly string[] = readonly string[]> extends MetricOptions<Names> {
  /** The upper bounds of its buckets, ascending; one without bound is added. */
  readonly buckets: readonly number[]
}

/** A metric with one series for each combination of its label values. */
export interface Metric<Names extends readonly string[], Child> {
  readonly name: string
  /**
   * The series with these label values, in the order of the names. Keep it where it is counted often. Beyond the limits
   * of the registry the values become `other`.
   *
   * @throws QuadrilleError `OPTION_INVALID` when there are more or fewer values than names.
   */
  with(...values: { readonly [I in keyof Names]: string }): Child
  /** Forgets all series, those kept elsewhere too: what is counted in them is no longer seen. */
  clear(): void
}

/** The kinds of metrics. */
export type MetricKind = 'counter' | 'gauge' | 'histogram'

/** A metric as the writers of texts and snapshots read it. */
export interface MetricView {
  readonly name: string
  readonly help: string
  readonly kind: MetricKind
  readonly labels: readonly string[]
  /** Sorted by label values. */
  series(): readonly { readonly values: readonly string[]; readonly child: Counter | Gauge | Histogram }[]
}

/** A registry. Made by {@link metricsRegistry}. Asking again for a metric with the same kind and labels gives the same one. */
export interface MetricsRegistry {
  /** @throws QuadrilleError `OPTION_INVALID` for a name or label that can not be used, or is taken by another metric. */
  counter<const Names extends readonly string[] = []>(options: MetricOptions<Names>): Metric<Names, Counter>
  /** @throws QuadrilleError `OPTION_INVALID`, see {@link MetricsRegistry.counter}. */
  gauge<const Names extends readonly string[] = []>(options: MetricOptions<Names>): Metric<Names, Gauge>
  /** @throws QuadrilleError `OPTION_INVALID`, see {@link MetricsRegistry.counter}; also for buckets that do not ascend. */
  histogram<const Names extends readonly string[] = []>(options: HistogramOptions<Names>): Metric<Names, Histogram>
  /** Everything in the Prometheus text format 0.0.4. Serve it with {@link metricsContentType}. */
  text(): string
  /** Everything as JSON data. */
  snapshot(): MetricsSnapshot
}

/** The content type of {@link MetricsRegistry.text}. */
export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8'

interface Entry {
  readonly view: MetricView
  readonly buckets: string
  readonly metric: unknown
}

/**
 * Makes an empty registry.
 *
 * @param limits - How many series each metric may have. Defaults: 200 values of each label, 2,000 series.
 *
 * @example
 * ```ts run
 * import { metricsRegistry } from 'quadrille/observe'
 *
 * const registry = metricsRegistry()
 * const mails = registry.counter({ name: 'mails_total', help: 'Mails sent.', labels: ['kind'] })
 * const welcome = mails.with('welcome')
 * welcome.add()
 * registry.text().includes('mails_total{kind="welcome"} 1') // => true
 * ```
 */
export function metricsRegistry(limits: CardinalityLimits = {}): MetricsRegistry {
  const bounds = { labelValuesMax, seriesMax, ...limits }
  const entries = new Map<string, Entry>()
  function metricOf<Child extends Counter | Gauge | Histogram>(
    kind: MetricKind,
    options: MetricOptions & { readonly buckets?: readonly number[] },
    make: () => Child,
  ): Metric<never, Child> {
    const { name, help, labels = [], buckets = [] } = options
    checkOptions(kind, { name, labels, buckets })
    const known = entries.get(name)
    if (known) {
      const same = known.view.kind === kind && known.view.labels.join() === labels.join()
      if (!same || known.buckets !== buckets.join()) fail(name, 'one definition for this name, but there are two')
      return known.metric as Metric<never, Child>
    }
    const tree = new LabelTree(labels, bounds, make)
    const metric = { name, with: (...values: readonly string[]) => tree.get(values), clear: () => tree.clear() }
    const view = { name, help, kind, labels, series: () => tree.all() }
    entries.set(name, { view, buckets: buckets.join(), metric })
    return metric
  }
  const views = () => [...entries.values()].map((entry) => entry.view)
  return {
    counter: (options) => metricOf('counter', options, () => new Counter()),
    gauge: (options) => metricOf('gauge', options, () => new Gauge()),
    histogram: (options) => metricOf('histogram', options, () => new Histogram(options.buckets)),
    text: () => prometheusText(views()),
    snapshot: () => snapshotOf(views()),
  }
}

function fail(name: string, expected: string): never {
  throw new QuadrilleError('OPTION_INVALID', { option: `metric ${name}`, value: name, expected })
}

type Checked = Pick<HistogramOptions, 'name' | 'buckets'> & { readonly labels: readonly string[] }

function checkOptions(kind: MetricKind, { name, labels, buckets }: Checked): void {
  if (!/^[a-zA-Z_:][a-zA-Z0-9_:]*$/.test(name)) fail(name, 'a name of letters, digits, _ and :, no digit first')
  if ((kind === 'counter') !== name.endsWith('_total')) fail(name, '_total at the end of the name of a counter only')
  const wrong = labels.find((label) => !/^(?!__)[a-zA-Z_][a-zA-Z0-9_]*$/.test(label) || label === 'le')
  if (wrong !== undefined) fail(name, `labels of letters, digits and _ only, not ${wrong}`)
  if (kind !== 'histogram') return
  const ascending = buckets.every((bound, i) => Number.isFinite(bound) && (i === 0 || bound > buckets[i - 1]!))
  if (buckets.length === 0 || !ascending) fail(name, 'buckets that are finite and ascend')
}
