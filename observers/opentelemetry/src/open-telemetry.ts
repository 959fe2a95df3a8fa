/**
 * Spans: `create` for an event from outside, `process` for a handler, `call` for a call, `send` for a batch to a broker. An event carries
 * the context of the span in which it was made, through ledgers and brokers, retries and dead letters, to the next `process`.
 */
import {
  context,
  metrics,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  trace,
  type Attributes,
  type Histogram,
  type MeterProvider,
  type Span,
  type SpanContext,
  type TracerProvider,
} from '@opentelemetry/api'
import type { EventRecord, Handling, TraceOrigin, Traced, TracedRun, Tracing } from 'quadrille'
import { errorLabel } from 'quadrille/observe'
import { countingHooks, instrumentsOf } from './instruments.ts'
import { attributes, own, system } from './semantic-names.ts'
import { spanContextOf, textOf } from './trace-context.ts'

/** Options of {@link openTelemetry}. */
export interface OpenTelemetryOptions {
  /**
   * What the span of a handling is to the span that the event comes from. `child` (default): its child, so that a conversation is one
   * trace. `link`: a trace of its own, with a link; for conversations that last for days or have thousands of events. A handler that takes a
   * batch always has a trace of its own, with a link for each event.
   */
  readonly handlings?: 'child' | 'link'
  /** Default: the global one. */
  readonly tracerProvider?: TracerProvider
  /** Default: the global one. */
  readonly meterProvider?: MeterProvider
}

const library = '@quadrille/opentelemetry'

/**
 * Traces and counts with the API of OpenTelemetry; where they go is the business of its SDK, which may be registered before or
 * after. Without an SDK nothing is recorded, and events carry on the context that they have.
 *
 * The span of a handler ends when the handler has, before the commit; what is told after the commit are the metrics
 * `quadrille.*`. A handler that is run again has a span for each run.
 *
 * @example
 * ```ts
 * const app = await start({ services, ledger, tracing: openTelemetry() })
 * ```
 */
export function openTelemetry(options: OpenTelemetryOptions = {}): Tracing {
  const { handlings = 'child', tracerProvider = trace, meterProvider = metrics } = options
  const tracer = tracerProvider.getTracer(library)
  const instruments = instrumentsOf(meterProvider.getMeter(library))

  const handling = (run: Exclude<TracedRun, { what: 'send' }>): Traced => {
    const first = run.handlings[0]!
    const origins = originsOf([...run.handlings.map(({ event }) => event), ...(run.linked ?? [])])
    const [origin] = origins
    const isChild = handlings === 'child' && run.handlings.length === 1 && origin !== undefined
    const parent = isChild ? trace.setSpanContext(ROOT_CONTEXT, origin) : ROOT_CONTEXT
    const isCall = run.what === 'call'
    const span = tracer.startSpan(
      isCall ? `call ${first.service}/${first.reaction}` : `process ${first.event.type}`,
      {
        kind: isCall ? SpanKind.INTERNAL : SpanKind.CONSUMER,
        attributes: isCall ? callAttributes(first) : handlerAttributes(run.handlings),
        links: origins.map((origin) => ({ context: origin })),
      },
      parent,
    )
    const { call, handler } = instruments
    return traced(
      span,
      isCall ? { timer: call, labels: callLabels(first) } : { timer: handler, labels: labelsOf(first) },
    )
  }

  const sending = (wire: string, events: readonly EventRecord[]): Traced => {
    const types = new Set(events.map(({ type }) => type))
    const destination = types.size === 1 ? events[0]!.type : undefined
    const labels = {
      ...operation('send'),
      ...(destination === undefined ? {} : { [attributes.destination]: destination }),
      [own.wire]: wire,
    }
    const span = tracer.startSpan(
      `send ${destination ?? wire}`,
      {
        kind: SpanKind.CLIENT,
        attributes: { ...labels, [attributes.messageCount]: events.length },
        links: originsOf(events).map((origin) => ({ context: origin })),
      },
      ROOT_CONTEXT,
    )
    return traced(span, { timer: instruments.send, labels })
  }

  return {
    traceContext({ id, type, source, correlationId }) {
      const made = {
        ...operation('create'),
        [attributes.destination]: type,
        [attributes.messageId]: id,
        [attributes.conversation]: correlationId,
        [own.service]: source,
      }
      const span = tracer.startSpan(`create ${type}`, { kind: SpanKind.PRODUCER, attributes: made })
      span.end()
      return textOf(span.spanContext())
    },
    begin: (run) => (run.what === 'send' ? sending(run.wire, run.events) : handling(run)),
    hooks: countingHooks(instruments),
  }
}

/** The spans that events come from, each once. */
function originsOf(events: readonly TraceOrigin[]): SpanContext[] {
  const found = new Map<string, SpanContext>()
  for (const event of events) {
    const origin = spanContextOf(event)
    if (origin) found.set(`${origin.traceId}${origin.spanId}`, origin)
  }
  return [...found.values()]
}

/** Each of these operations is called as its type is. */
const operation = (name: 'create' | 'send' | 'process'): Attributes => ({
  [attributes.system]: system,
  [attributes.operation]: name,
  [attributes.operationType]: name,
})

const labelsOf = ({ service, event }: Handling): Attributes => ({
  ...operation('process'),
  [attributes.destination]: event.type,
  [attributes.consumerGroup]: service,
})

const callLabels = ({ service, reaction }: Handling): Attributes => ({
  [own.service]: service,
  [own.reaction]: reaction,
})

const tryOf = ({ role, attempt }: Handling): Attributes => ({ [own.role]: role, [own.attempt]: attempt })

const messageOf = ({ event }: Handling): Attributes => ({
  [attributes.messageId]: event.id,
  [attributes.conversation]: event.correlationId,
})

const callAttributes = (handling: Handling): Attributes => ({
  ...callLabels(handling),
  ...tryOf(handling),
  ...messageOf(handling),
})

function handlerAttributes(handlings: readonly Handling[]): Attributes {
  const first = handlings[0]!
  const common = { ...labelsOf(first), [own.reaction]: first.reaction, ...tryOf(first) }
  // A batch is of many conversations: its links say which.
  return handlings.length === 1
    ? { ...common, ...messageOf(first) }
    : { ...common, [attributes.messageCount]: handlings.length }
}

function traced(span: Span, { timer, labels }: { timer: Histogram; labels: Attributes }): Traced {
  const began = performance.now()
  const active = trace.setSpan(ROOT_CONTEXT, span)
  return {
    context: textOf(span.spanContext()),
    inside: (work) => context.with(active, work),
    ended(failure) {
      const type = failure && { [attributes.errorType]: errorLabel(failure.error) }
      if (failure) {
        const exception = exceptionOf(failure.error)
        span.recordException(exception)
        span.setStatus({ code: SpanStatusCode.ERROR, message: exception.message })
        span.setAttributes(type!)
      }
      span.end()
      timer.record((performance.now() - began) / 1_000, { ...labels, ...type })
    },
  }
}

/** Anything can be thrown, also what can not be made a text. */
const exceptionOf = (error: unknown) =>
  error instanceof Error ? error : { name: errorLabel(error), message: typeof error === 'string' ? error : '' }
