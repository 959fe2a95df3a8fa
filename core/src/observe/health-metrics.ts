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
 * healthMetrics(registry, { ok: true, problems: [], ledger, readers: [], wires: [] }) // in real life: await app.health()
 * registry.text().includes('quadrille_ledger_head_position 12') // => true
 * ```
 */
export function healthMetrics(registry: MetricsRegistry, health: Health): void {
  registry.gauge(healthGauges.healthy).with().set(Number(health.ok))
  registry.gauge(healthGauges.problems).with().set(health.problems.length)
  registry.gauge(healthGauges.ledger).with().set(Number(health.ledger.ok))
  registry.gauge(healthGauges.head).with().set(health.ledger.head)
  wireGauges(registry, health)
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

function wireGauges(registry: MetricsRegistry, { wires }: Health): void {
  const perWire = {
    backlog: registry.gauge(healthGauges.unsent),
    oldest: registry.gauge(healthGauges.oldestUnsent),
    parked: registry.gauge(healthGauges.parked),
    dead: registry.gauge(healthGauges.unsendable),
    problems: registry.gauge(healthGauges.wireProblems),
  }
  const lag = registry.gauge(healthGauges.wireLag)
  for (const gauge of [...Object.values(perWire), lag]) gauge.clear()
  for (const { wire, sending, receiving, problems } of wires) {
    perWire.backlog.with(wire).set(sending.backlog)
    perWire.oldest.with(wire).set(sending.oldestUnsentMs / 1_000)
    perWire.parked.with(wire).set(sending.parked)
    perWire.dead.with(wire).set(sending.dead)
    perWire.problems.with(wire).set(problems.length)
    for (const each of receiving) if (each.lag !== null) lag.with(wire, each.service).set(each.lag)
  }
}
