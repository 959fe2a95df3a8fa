/** An SDK that keeps what it is told, and small contracts. */
import { context, trace, type Span } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import {
  InMemorySpanExporter,
  SimpleSpanProcessor,
  TracerProvider,
  type ReadableSpan,
  type Sampler,
} from '@opentelemetry/sdk-trace'
import { event } from 'quadrille'
import * as z from 'zod'

const schema = z.object({ id: z.string(), n: z.number().default(0) })
export const Ordered = event('ordered', { key: 'id', schema })
export const Paid = event('paid', { key: 'id', schema })
export const Shipped = event('shipped', { key: 'id', schema })
export const Cancelled = event('cancelled', { key: 'id', schema })

context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())

/** A metric with its labels and value; of a histogram how often something was recorded. */
export interface Point {
  readonly name: string
  readonly unit: string
  readonly attributes: Readonly<Record<string, unknown>>
  readonly value: number
  readonly sum: number | undefined
}

/** Providers to hand to `openTelemetry()`, and what they were told. */
export function sdk(sampler?: Sampler) {
  const spans = new InMemorySpanExporter()
  const processor = new SimpleSpanProcessor({ exporter: spans })
  const tracerProvider = new TracerProvider({ spanProcessors: [processor], ...(sampler && { sampler }) })
  const exporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter, exportIntervalMillis: 3_600_000 })
  const meterProvider = new MeterProvider({ readers: [reader] })
  return {
    providers: { tracerProvider, meterProvider },
    tracer: tracerProvider.getTracer('test'),
    /** In the order in which they ended. */
    async spans(): Promise<ReadableSpan[]> {
      await processor.forceFlush()
      return spans.getFinishedSpans()
    },
    async points(): Promise<Point[]> {
      await reader.forceFlush()
      const last = exporter.getMetrics().at(-1)
      return (last?.scopeMetrics ?? []).flatMap(({ metrics }) =>
        metrics.flatMap(({ descriptor: { name, unit }, dataPoints }) =>
          dataPoints.map(({ attributes, value }) => ({
            name,
            unit,
            attributes,
            value: typeof value === 'number' ? value : (value as { count: number }).count,
            sum: typeof value === 'number' ? undefined : (value as { sum?: number }).sum,
          })),
        ),
      )
    },
  }
}

/** Runs as the inside of a span, as an instrumented web framework would. */
export async function insideOf<T>(span: Span, work: () => Promise<T>): Promise<T> {
  try {
    return await context.with(trace.setSpan(context.active(), span), work)
  } finally {
    span.end()
  }
}
