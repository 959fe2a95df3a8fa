/** Counts what the runtime tells: hooks that fill a metrics registry. */
import type { Handling, Hooks } from '../runtime/hooks.ts'
import { breakerStates, healthGauges, hookHistograms, hookMetrics, outsideOrigin } from './metric-catalogue.ts'
import type { MetricsRegistry } from './metrics-registry.ts'

/** The most pairs whose series are kept at hand; further ones are looked up in the registry each time. */
const pairsKeptMax = 5_000

/** Finds what belongs to a pair of names with two map lookups and no new object. */
function pairCache<T>(make: (first: string, second: string) => T): (first: string, second: string) => T {
  const outer = new Map<string, Map<string, T>>()
  let kept = 0
  return (first, second) => {
    const found = outer.get(first)?.get(second)
    if (found !== undefined) return found
    const made = make(first, second)
    if (kept >= pairsKeptMax) return made
    kept += 1
    const inner = outer.get(first) ?? new Map<string, T>()
    outer.set(first, inner.set(second, made))
    return made
  }
}

const codePattern = /^[A-Z][A-Z0-9_]*$/

/** What an error is counted under: its `code` when it has one (`ECONNREFUSED`), else its name (`TypeError`). */
export function errorLabel(error: unknown): string {
  if (typeof error !== 'object' || error === null) return `thrown ${typeof error}`
  const { code, name } = error as { readonly code?: unknown; readonly name?: unknown }
  if (typeof code === 'string' && codePattern.test(code)) return code
  return typeof name === 'string' && name !== '' ? name : 'unnamed'
}

/**
 * Hooks that count into the registry. Hand them to `start({ hooks })`; docs/observing.md lists what they count.
 *
 * @example
 * ```ts run
 * import { metricsHooks, metricsRegistry } from 'quadrille/observe'
 *
 * const registry = metricsRegistry()
 * const hooks = metricsHooks(registry) // start({ services, hooks })
 * hooks.batch?.({ service: 'orders', events: 3, handled: 3, durationMs: 2 })
 * registry.text().includes('quadrille_batch_events_sum{service="orders"} 3') // => true
 * ```
 */
export function metricsHooks(registry: MetricsRegistry): Hooks {
  const counter = {
    failed: registry.counter(hookMetrics.failed),
    dead: registry.counter(hookMetrics.dead),
    skipped: registry.counter(hookMetrics.skipped),
    slow: registry.counter(hookMetrics.slow),
  }
  const breakers = registry.gauge(hookMetrics.breaker)
  const calls = registry.histogram(hookHistograms.call)
  const held = registry.gauge(healthGauges.held)
  const batchOf = batchCounts(registry)
  return {
    appended: appendedHook(registry),
    handled: handledHook(registry),
    skipped: (facts) => counter.skipped.with(facts.service, facts.reaction, facts.why).add(),
    failed: (facts) => counter.failed.with(facts.service, facts.reaction, errorLabel(facts.error)).add(),
    dead: (facts) => counter.dead.with(facts.service, facts.reaction, facts.code).add(),
    call: (facts) => calls.with(facts.service, facts.reaction, facts.outcome).observe(seconds(facts.durationMs)),
    breaker: (facts) => breakers.with(facts.service, facts.reaction).set(breakerStates[facts.state]),
    batch(facts) {
      const { events, time } = batchOf(facts.service, '')
      events.observe(facts.events)
      time.observe(seconds(facts.durationMs))
    },
    slow: (facts) => counter.slow.with(facts.service, facts.reaction).add(),
    leases: (facts) => held.with(facts.reader).set(facts.held),
    ...wireHooks(registry),
  }
}

/** A clock that jumped back must not count as a negative time. */
const seconds = (ms: number): number => (ms > 0 ? ms / 1_000 : 0)

function appendedHook(registry: MetricsRegistry): NonNullable<Hooks['appended']> {
  const appended = registry.counter(hookMetrics.appended)
  const dropped = registry.counter(hookMetrics.duplicates)
  const seriesOf = pairCache((origin, type) => appended.with(type, origin))
  return ({ events, duplicates, origin }) => {
    const from = origin ?? outsideOrigin
    for (const event of events) seriesOf(from, event.type).add()
    if (duplicates > 0) dropped.with(from).add(duplicates)
  }
}

function handledHook(registry: MetricsRegistry): NonNullable<Hooks['handled']> {
  const handled = registry.counter(hookMetrics.handled)
  const compensations = registry.counter(hookMetrics.compensations)
  const expired = registry.counter(hookMetrics.expired)
  const age = registry.histogram(hookHistograms.age)
  const handler = registry.histogram(hookHistograms.handler)
  const seriesOf = pairCache((service, reaction) => ({
    handled: handled.with(service, reaction),
    age: age.with(service, reaction),
    handler: handler.with(service, reaction),
  }))
  const special = ({ role, service, reaction }: Handling): void => {
    if (role === 'undo') compensations.with(service, reaction).add()
    else expired.with(service, reaction).add()
  }
  return (facts) => {
    const series = seriesOf(facts.service, facts.reaction)
    series.handled.add()
    series.age.observe(seconds(facts.ageMs))
    series.handler.observe(seconds(facts.handlerMs))
    if (facts.role !== 'run') special(facts)
  }
}

function wireHooks(registry: MetricsRegistry): Pick<Hooks, 'sent' | 'sendFailed' | 'received' | 'wire'> {
  const sent = registry.counter(hookMetrics.sent)
  const failed = registry.counter(hookMetrics.sendFailed)
  const received = registry.counter(hookMetrics.received)
  const lost = registry.counter(hookMetrics.wireLost)
  const age = registry.histogram(hookHistograms.sentAge)
  const sentOf = pairCache((wire, type) => sent.with(wire, type))
  return {
    sent({ wire, events, ageMs }) {
      for (const event of events) sentOf(wire, event.type).add()
      age.with(wire).observe(seconds(ageMs))
    },
    sendFailed: ({ wire, error }) => failed.with(wire, errorLabel(error)).add(),
    received({ wire, service, appended, duplicates, dead }) {
      for (const [as, count] of Object.entries({ appended, duplicates, dead }))
        if (count > 0) received.with(wire, service, as).add(count)
    },
    wire: ({ wire, state }) => state === 'lost' && lost.with(wire).add(),
  }
}

function batchCounts(registry: MetricsRegistry) {
  const events = registry.histogram(hookHistograms.batchEvents)
  const time = registry.histogram(hookHistograms.batchSeconds)
  return pairCache((service) => ({ events: events.with(service), time: time.with(service) }))
}
