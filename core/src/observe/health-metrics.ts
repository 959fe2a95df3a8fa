/** Turns what `app.health()` says into gauges. */
import type { Health } from '../runtime/app.ts'
import { healthGauges } from './metric-catalogue.ts'
import type { MetricsRegistry } from './metrics-registry.ts'

/**
 * Sets the gauges of the registry to what the health says: backlog, age of the oldest unhandled event, waiting, dead,
 * partitions held. Call it before each reading of the registry. Readers that are no longer there lose their series.
 *
 * @example
 * ```ts run
 * import { healthMetrics, metricsRegistry } from 'quadrille/observe'
 *
 * const registry = metricsRegistry()
 * const ledger = { ok: true, head: 12, problems: [], facts: {} }
 * healthMetrics(registry, { ok: true, problems: [], ledger, readers: [] }) // in real life: await app.health()
 * registry.text().includes('quadrille_ledger_head_position 12') // => true
 * ```
 */
export function healthMetrics(registry: MetricsRegistry, health: Health): void {
  registry.gauge(healthGauges.healthy).with().set(Number(health.ok))
  registry.gauge(healthGauges.problems).with().set(health.problems.length)
  registry.gauge(healthGauges.ledger).with().set(Number(health.ledger.ok))
  registry.gauge(healthGauges.head).with().set(health.ledger.head)
  const perReader = {
    backlog: registry.gauge(healthGauges.backlog),
    oldest: registry.gauge(healthGauges.oldest),
    waiting: registry.gauge(healthGauges.waiting),
    dead: registry.gauge(healthGauges.dead),
    held: registry.gauge(healthGauges.held),
    breakers: registry.gauge(healthGauges.breakers),
  }
  for (const gauge of Object.values(perReader)) gauge.clear()
  for (const reader of health.readers) {
    perReader.backlog.with(reader.reader).set(reader.backlog)
    perReader.oldest.with(reader.reader).set(reader.oldestMs / 1_000)
    perReader.waiting.with(reader.reader).set(reader.waiting)
    perReader.dead.with(reader.reader).set(reader.dead)
    perReader.held.with(reader.reader).set(reader.partitionsHeld)
    perReader.breakers.with(reader.reader).set(reader.openBreakers.length)
  }
}
