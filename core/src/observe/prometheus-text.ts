/** Writes metrics in the Prometheus text format 0.0.4, with names and labels that OpenMetrics accepts too. */
import { Histogram } from './metric-kinds.ts'
import type { MetricView } from './metrics-registry.ts'

/** All metrics as text, each with HELP and TYPE, series sorted by their labels. A metric without series shows these only. */
export function prometheusText(metrics: readonly MetricView[]): string {
  const lines: string[] = []
  for (const metric of metrics) {
    lines.push(`# HELP ${metric.name} ${escapeHelp(metric.help)}`, `# TYPE ${metric.name} ${metric.kind}`)
    for (const { values, child } of metric.series()) {
      const labels = metric.labels.map((label, index) => `${label}="${escapeLabel(values[index]!)}"`)
      if (child instanceof Histogram) pushHistogram(lines, { name: metric.name, labels, child })
      else lines.push(`${metric.name}${inBraces(labels)} ${numberText(child.value)}`)
    }
  }
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}

interface HistogramLines {
  readonly name: string
  readonly labels: readonly string[]
  readonly child: Histogram
}

function pushHistogram(lines: string[], { name, labels, child }: HistogramLines): void {
  const cumulative = child.cumulative
  for (const { le, count } of cumulative) {
    lines.push(`${name}_bucket${inBraces([...labels, `le="${numberText(le)}"`])} ${count}`)
  }
  lines.push(`${name}_sum${inBraces(labels)} ${numberText(child.sum)}`)
  lines.push(`${name}_count${inBraces(labels)} ${cumulative[cumulative.length - 1]!.count}`)
}

const inBraces = (labels: readonly string[]): string => (labels.length === 0 ? '' : `{${labels.join(',')}}`)

const escapeHelp = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')

const escapeLabel = (text: string): string => escapeHelp(text).replaceAll('"', '\\"')

function numberText(value: number): string {
  if (value === Infinity) return '+Inf'
  return value === -Infinity ? '-Inf' : String(value)
}
