/** The hooks count what the runtime tells, the gauges show what health says, and the guide lists exactly these metrics. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { QuadrilleError } from 'quadrille'
import { healthMetrics, metricsHooks, metricsRegistry } from 'quadrille/observe'
import type { Health } from '../../src/runtime/app.ts'
import type { Handled } from '../../src/runtime/hooks.ts'
import { healthGauges, hookHistograms, hookMetrics } from '../../src/observe/metric-catalogue.ts'
import { parsePrometheus, valueOf } from './prometheus-parser.ts'
import { record } from './record-fixture.ts'

const at = { service: 'payments', reaction: 'charge' }
const handling = { ...at, event: record({ id: 'e1' }), role: 'run', attempt: 1 } as const
const handled = (fields: Partial<Handled>): Handled => ({ ...handling, ageMs: 4, handlerMs: 1, emitted: [], ...fields })

function script() {
  const registry = metricsRegistry()
  const hooks = metricsHooks(registry)
  return { registry, hooks, read: () => parsePrometheus(registry.text()) }
}

test('appended events are counted by type and origin, duplicates by origin', () => {
  const { hooks, read } = script()
  const events = [record({ id: '1' }), record({ id: '2' }), record({ id: '3', type: 'order.completed' })]
  hooks.appended!({ events, duplicates: 0, origin: 'orders' })
  hooks.appended!({ events: events.slice(0, 1), duplicates: 2, origin: null })
  const found = read()
  const name = 'quadrille_events_appended_total'
  assert.equal(valueOf(found, name, { type: 'order.created', origin: 'orders' }), 2)
  assert.equal(valueOf(found, name, { type: 'order.completed', origin: 'orders' }), 1)
  assert.equal(valueOf(found, name, { type: 'order.created', origin: 'outside' }), 1)
  assert.deepEqual(
    found.samples.filter((sample) => sample.name === 'quadrille_duplicates_total'),
    [{ name: 'quadrille_duplicates_total', labels: { origin: 'outside' }, value: 2 }],
  )
})

test('handlings are counted with their age and time, compensations and deadlines also by themselves', () => {
  const { hooks, read } = script()
  hooks.handled!(handled({ ageMs: 3, handlerMs: 0.2 }))
  hooks.handled!(handled({ ageMs: 2_000, handlerMs: 20 }))
  hooks.handled!(handled({ role: 'undo', ageMs: -50 }))
  hooks.handled!(handled({ role: 'deadline', service: 'orders', reaction: 'expire' }))
  hooks.handled!(handled({ role: 'late', service: 'orders', reaction: 'expire' }))
  const found = read()
  assert.equal(valueOf(found, 'quadrille_handled_total', at), 3)
  assert.equal(valueOf(found, 'quadrille_compensations_total', at), 1)
  assert.equal(valueOf(found, 'quadrille_deadlines_passed_total', { service: 'orders', reaction: 'expire' }), 2)
  assert.equal(valueOf(found, 'quadrille_event_age_seconds_count', at), 3)
  assert.equal(valueOf(found, 'quadrille_event_age_seconds_sum', at), 2.003)
  assert.equal(valueOf(found, 'quadrille_event_age_seconds_bucket', { ...at, le: '0.005' }), 2)
  assert.equal(valueOf(found, 'quadrille_handler_seconds_bucket', { ...at, le: '0.00025' }), 1)
  assert.ok(Math.abs(valueOf(found, 'quadrille_handler_seconds_sum', at) - 0.0212) < 1e-9)
})

test('failures are counted by error code or name, dead letters by code, skipped ones by reason', () => {
  const { hooks, read } = script()
  const errors: [unknown, string][] = [
    [new TypeError('x'), 'TypeError'],
    [Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
    [Object.assign(new Error('odd'), { code: 'the order 17 is odd' }), 'Error'],
    [new QuadrilleError('CALL_TIMED_OUT', { reaction: 'charge', timeoutMs: 5 }), 'CALL_TIMED_OUT'],
    ['a text', 'thrown string'],
    [null, 'thrown object'],
    [{}, 'unnamed'],
  ]
  for (const [error] of errors) hooks.failed!({ ...handling, error, retryAt: 5 })
  hooks.dead!({ ...handling, error: new Error('x'), retryAt: null, code: 'HOPS_EXCEEDED' })
  hooks.skipped!({ ...handling, why: 'undone' })
  hooks.skipped!({ ...handling, why: 'undone' })
  const found = read()
  for (const [, error] of errors) assert.equal(valueOf(found, 'quadrille_failed_total', { ...at, error }), 1)
  assert.equal(valueOf(found, 'quadrille_dead_total', { ...at, code: 'HOPS_EXCEEDED' }), 1)
  assert.equal(valueOf(found, 'quadrille_skipped_total', { ...at, why: 'undone' }), 2)
})

test('calls, batches, breakers, slow handlers and leases are measured', () => {
  const { hooks, read } = script()
  hooks.call!({ ...handling, durationMs: 40, outcome: 'answered' })
  hooks.call!({ ...handling, durationMs: 30_000, outcome: 'unknown' })
  hooks.batch!({ service: 'payments', events: 100, handled: 90, durationMs: 8 })
  hooks.batch!({ service: 'payments', events: 1, handled: 1, durationMs: 2 })
  hooks.breaker!({ ...at, state: 'open', until: 9 })
  hooks.breaker!({ ...at, state: 'probing', until: 9 })
  hooks.slow!({ ...handling, heldMs: 400 })
  hooks.leases!({ reader: 'payments', held: 16 })
  hooks.leases!({ reader: 'payments', held: 8 })
  const found = read()
  assert.equal(valueOf(found, 'quadrille_call_seconds_sum', { ...at, outcome: 'answered' }), 0.04)
  assert.equal(valueOf(found, 'quadrille_call_seconds_sum', { ...at, outcome: 'unknown' }), 30)
  assert.equal(valueOf(found, 'quadrille_batch_events_sum', { service: 'payments' }), 101)
  assert.equal(valueOf(found, 'quadrille_batch_seconds_sum', { service: 'payments' }), 0.01)
  assert.equal(valueOf(found, 'quadrille_breaker_state', at), 1)
  assert.equal(valueOf(found, 'quadrille_slow_handlers_total', at), 1)
  assert.equal(valueOf(found, 'quadrille_partitions_held', { reader: 'payments' }), 8)
})

test('hot hooks keep counting after the pairs at hand are used up, and labels stay bounded', () => {
  const { hooks, read } = script()
  for (let i = 0; i < 6_000; i++) {
    hooks.appended!({ events: [record({ id: `${i}`, type: `t${i}` })], duplicates: 0, origin: null })
  }
  const { samples } = read()
  assert.equal(samples.length, 201)
  assert.equal(
    samples.reduce((sum, sample) => sum + sample.value, 0),
    6_000,
  )
})

const readerHealth = { backlog: 7, oldestMs: 1_500, waiting: 3, dead: 2, partitionsHeld: 16, openBreakers: ['charge'] }
const health: Health = {
  ok: false,
  problems: ['a dead letter'],
  ledger: { ok: true, head: 99, problems: [], facts: {} },
  readers: [
    { reader: 'payments', ...readerHealth },
    { reader: 'orders', ...readerHealth, backlog: 0 },
  ],
  wires: [
    {
      wire: 'nats',
      problems: ['nats: the broker is away'],
      facts: {},
      sending: { backlog: 5, oldestUnsentMs: 2_500, parked: 2, oldestParked: null, dead: 1, partitionsHeld: 16 },
      receiving: [
        { service: 'orders', lag: 4, state: 'receiving' },
        { service: 'payments', lag: null, state: 'elsewhere' },
      ],
    },
  ],
}

test('what wires send and receive is counted', () => {
  const { hooks, read } = script()
  const events = [record({ id: '1' }), record({ id: '2' })]
  hooks.sent!({ wire: 'nats', events, ageMs: 20 })
  hooks.sendFailed!({ wire: 'nats', event: events[0]!, error: new TypeError('x'), retryAt: null })
  hooks.received!({ wire: 'nats', service: 'orders', appended: 3, duplicates: 1, dead: 0 })
  hooks.wire!({ wire: 'nats', service: null, state: 'lost', why: 'gone' })
  hooks.wire!({ wire: 'nats', service: null, state: 'restored', why: 'back' })
  const found = read()
  assert.equal(valueOf(found, 'quadrille_sent_total', { wire: 'nats', type: 'order.created' }), 2)
  assert.equal(valueOf(found, 'quadrille_send_age_seconds_sum', { wire: 'nats' }), 0.02)
  assert.equal(valueOf(found, 'quadrille_send_failed_total', { wire: 'nats', error: 'TypeError' }), 1)
  const received = found.samples.filter((sample) => sample.name === 'quadrille_received_total')
  assert.deepEqual(
    received.map(({ labels, value }) => [labels['as'], value]),
    [
      ['appended', 3],
      ['duplicates', 1],
    ],
  )
  assert.equal(valueOf(found, 'quadrille_wire_lost_total', { wire: 'nats' }), 1)
})

test('health becomes gauges, and a reader that is gone is gone', () => {
  const { registry, read } = script()
  healthMetrics(registry, health)
  const found = read()
  const reader = { reader: 'payments' }
  assert.equal(valueOf(found, 'quadrille_healthy'), 0)
  assert.equal(valueOf(found, 'quadrille_problems'), 1)
  assert.equal(valueOf(found, 'quadrille_ledger_healthy'), 1)
  assert.equal(valueOf(found, 'quadrille_ledger_head_position'), 99)
  assert.equal(valueOf(found, 'quadrille_backlog_events', reader), 7)
  assert.equal(valueOf(found, 'quadrille_oldest_unhandled_seconds', reader), 1.5)
  assert.equal(valueOf(found, 'quadrille_waiting_events', reader), 3)
  assert.equal(valueOf(found, 'quadrille_dead_letters', reader), 2)
  assert.equal(valueOf(found, 'quadrille_partitions_held', reader), 16)
  assert.equal(valueOf(found, 'quadrille_breakers_open', reader), 1)
  const wire = { wire: 'nats' }
  assert.equal(valueOf(found, 'quadrille_unsent_events', wire), 5)
  assert.equal(valueOf(found, 'quadrille_oldest_unsent_seconds', wire), 2.5)
  assert.equal(valueOf(found, 'quadrille_unsent_parked', wire), 2)
  assert.equal(valueOf(found, 'quadrille_unsendable', wire), 1)
  assert.equal(valueOf(found, 'quadrille_wire_problems', wire), 1)
  assert.deepEqual(
    found.samples.filter((sample) => sample.name === 'quadrille_wire_lag_messages'),
    [{ name: 'quadrille_wire_lag_messages', labels: { wire: 'nats', service: 'orders' }, value: 4 }],
  )
  healthMetrics(registry, { ...health, readers: health.readers.slice(1) })
  const backlogs = read().samples.filter((sample) => sample.name === 'quadrille_backlog_events')
  assert.deepEqual(backlogs, [{ name: 'quadrille_backlog_events', labels: { reader: 'orders' }, value: 0 }])
})

test('docs/observing.md lists exactly these metrics, with their kinds and labels', () => {
  const { registry, hooks } = script()
  hooks.leases!({ reader: 'x', held: 1 })
  healthMetrics(registry, health)
  const guide = readFileSync(join(import.meta.dirname, '../../../docs/observing.md'), 'utf8')
  const rows = [...guide.matchAll(/^\| `(quadrille_\w+)` +\| (\w+) +\| ([^|]*) \|/gm)].map(
    ([, name, kind, labels]) => ({
      name: name!,
      kind: kind!,
      labels: [...labels!.matchAll(/`(\w+)`/g)].map((match) => match[1]!),
    }),
  )
  const byName = (a: { name: string }, b: { name: string }) => (a.name < b.name ? -1 : 1)
  assert.deepEqual(rows.sort(byName), registeredMetrics().sort(byName))
  assert.deepEqual(
    rows.map((row) => row.name),
    registry
      .snapshot()
      .map((metric) => metric.name)
      .sort(),
  )
})

/** What the catalogue defines, by kind. */
function registeredMetrics(): { name: string; kind: string; labels: string[] }[] {
  const counterOrGauge = [...Object.values(hookMetrics), ...Object.values(healthGauges)].map(({ name, labels }) => ({
    name,
    kind: name.endsWith('_total') ? 'counter' : 'gauge',
    labels: [...(labels ?? [])],
  }))
  const histograms = Object.values(hookHistograms).map(({ name, labels }) => ({
    name,
    kind: 'histogram',
    labels: [...(labels ?? [])],
  }))
  return [...counterOrGauge, ...histograms]
}
