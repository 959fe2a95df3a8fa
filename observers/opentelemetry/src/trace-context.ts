/** Between the trace context of an event, which is text, and that of OpenTelemetry. https://www.w3.org/TR/trace-context/ */
import { createTraceState, isSpanContextValid, type SpanContext } from '@opentelemetry/api'
import type { TraceContext } from 'quadrille'

/** What an event carries of this span; undefined where nothing is traced. */
export function textOf(context: SpanContext): TraceContext | undefined {
  if (!isSpanContextValid(context)) return undefined
  const { traceId, spanId, traceFlags, traceState } = context
  const traceparent = `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
  const tracestate = traceState?.serialize()
  return tracestate ? { traceparent, tracestate } : { traceparent }
}

const pattern = /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/

/** The span that an event comes from; undefined for none, and for what others have written wrongly. */
export function spanContextOf(event: {
  readonly traceparent: string | null
  readonly tracestate: string | null
}): SpanContext | undefined {
  const [, version, traceId, spanId, flags, more] = pattern.exec(event.traceparent ?? '') ?? []
  // Version 00 has nothing behind its flags; a later one may, and is read as far as it is known. 255 is none.
  if (version === undefined || version === 'ff' || (version === '00' && more !== undefined)) return undefined
  const context: SpanContext = {
    traceId: traceId!,
    spanId: spanId!,
    traceFlags: Number.parseInt(flags!, 16),
    isRemote: true,
    ...(event.tracestate ? { traceState: createTraceState(event.tracestate) } : {}),
  }
  return isSpanContextValid(context) ? context : undefined
}
