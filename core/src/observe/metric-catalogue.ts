/** The one list of the metrics that Quadrille has: names, labels, units, buckets. docs/observing.md lists the same. */
import type { HistogramOptions, MetricOptions } from './metrics-registry.ts'

const perReaction = ['service', 'reaction'] as const

const metric = <const Names extends readonly string[]>(options: MetricOptions<Names>): MetricOptions<Names> => options
const histogram = <const Names extends readonly string[]>(options: HistogramOptions<Names>): HistogramOptions<Names> =>
  options

/** The value of the label `origin` for events that no service of this process has emitted. */
export const outsideOrigin = 'outside'

/** The numbers of the gauge `quadrille_breaker_state`. */
export const breakerStates = { closed: 0, probing: 1, open: 2 } as const

/** Derived from the hooks, event by event. */
export const hookMetrics = {
  appended: metric({
    name: 'quadrille_events_appended_total',
    help: 'Events appended to the ledger by this process.',
    labels: ['type', 'origin'],
  }),
  duplicates: metric({
    name: 'quadrille_duplicates_total',
    help: 'Events dropped because their id was known already.',
    labels: ['origin'],
  }),
  handled: metric({
    name: 'quadrille_handled_total',
    help: 'Handlings that committed, undoing and deadlines included.',
    labels: perReaction,
  }),
  compensations: metric({
    name: 'quadrille_compensations_total',
    help: 'Actions undone.',
    labels: perReaction,
  }),
  expired: metric({
    name: 'quadrille_deadlines_passed_total',
    help: 'Deadlines that passed and joins that were not completed in time.',
    labels: perReaction,
  }),
  failed: metric({
    name: 'quadrille_failed_total',
    help: 'Tries that failed and were parked for a later one, by error code or name.',
    labels: [...perReaction, 'error'],
  }),
  dead: metric({
    name: 'quadrille_dead_total',
    help: 'Events that became dead letters.',
    labels: [...perReaction, 'code'],
  }),
  skipped: metric({
    name: 'quadrille_skipped_total',
    help: 'Events that a reaction had to leave alone: undone before it ran, coalesced, nothing to undo, joined.',
    labels: [...perReaction, 'why'],
  }),
  slow: metric({
    name: 'quadrille_slow_handlers_total',
    help: 'Handlers that held the transaction open for too long.',
    labels: perReaction,
  }),
  sent: metric({
    name: 'quadrille_sent_total',
    help: 'Events that a wire has taken.',
    labels: ['wire', 'type'],
  }),
  sendFailed: metric({
    name: 'quadrille_send_failed_total',
    help: 'Tries to send an event that the broker refused, by error code.',
    labels: ['wire', 'error'],
  }),
  received: metric({
    name: 'quadrille_received_total',
    help: 'Messages that came over a wire: appended, duplicate, or dead.',
    labels: ['wire', 'service', 'as'],
  }),
  wireLost: metric({
    name: 'quadrille_wire_lost_total',
    help: 'How often a connection or subscription of a wire was lost.',
    labels: ['wire'],
  }),
  breaker: metric({
    name: 'quadrille_breaker_state',
    help: 'Circuit breaker of the reaction: 0 closed, 1 probing, 2 open.',
    labels: perReaction,
  }),
} as const

/** Derived from the hooks, as histograms. Buckets in seconds, or in events. */
export const hookHistograms = {
  age: histogram({
    name: 'quadrille_event_age_seconds',
    help: 'From the time of the event to the commit of its handling.',
    labels: perReaction,
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800],
  }),
  handler: histogram({
    name: 'quadrille_handler_seconds',
    help: 'Time in the handler; in a batch its share of it.',
    labels: perReaction,
    buckets: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5],
  }),
  call: histogram({
    name: 'quadrille_call_seconds',
    help: 'Time of a call to the outside; outcome unknown means that it may or may not have happened.',
    labels: [...perReaction, 'outcome'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  }),
  sentAge: histogram({
    name: 'quadrille_send_age_seconds',
    help: 'From the time of the oldest event of a batch to when the broker had it.',
    labels: ['wire'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 60, 300, 1800],
  }),
  batchEvents: histogram({
    name: 'quadrille_batch_events',
    help: 'Events in one transaction of a service.',
    labels: ['service'],
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024],
  }),
  batchSeconds: histogram({
    name: 'quadrille_batch_seconds',
    help: 'Time of one transaction of a service.',
    labels: ['service'],
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5],
  }),
} as const

/** Taken from `app.health()`, as often as it is asked. */
export const healthGauges = {
  healthy: metric({ name: 'quadrille_healthy', help: '1 when nothing needs a person, 0 otherwise.' }),
  problems: metric({ name: 'quadrille_problems', help: 'What health() names as problems.' }),
  ledger: metric({ name: 'quadrille_ledger_healthy', help: '1 when the ledger works, 0 otherwise.' }),
  head: metric({ name: 'quadrille_ledger_head_position', help: 'The newest position of the ledger.' }),
  backlog: metric({
    name: 'quadrille_backlog_events',
    help: 'Events between the reader and the newest one.',
    labels: ['reader'],
  }),
  oldest: metric({
    name: 'quadrille_oldest_unhandled_seconds',
    help: 'Age of the oldest event that the reader has not handled.',
    labels: ['reader'],
  }),
  waiting: metric({
    name: 'quadrille_waiting_events',
    help: 'Events parked for a retry, a call, a breaker or an earlier event of their key.',
    labels: ['reader'],
  }),
  dead: metric({
    name: 'quadrille_dead_letters',
    help: 'Dead letters that nobody has dealt with.',
    labels: ['reader'],
  }),
  held: metric({
    name: 'quadrille_partitions_held',
    help: 'Virtual partitions of the reader that this process holds.',
    labels: ['reader'],
  }),
  unsent: metric({
    name: 'quadrille_unsent_events',
    help: 'Events between the relay of the wire and the newest one.',
    labels: ['wire'],
  }),
  oldestUnsent: metric({
    name: 'quadrille_oldest_unsent_seconds',
    help: 'Age of the oldest event that the wire has not sent.',
    labels: ['wire'],
  }),
  parked: metric({
    name: 'quadrille_unsent_parked',
    help: 'Events that the broker has refused for now, and those of their keys behind them.',
    labels: ['wire'],
  }),
  unsendable: metric({
    name: 'quadrille_unsendable',
    help: 'Dead letters of the wire: events that could not be sent.',
    labels: ['wire'],
  }),
  wireLag: metric({
    name: 'quadrille_wire_lag_messages',
    help: 'Messages at the broker that the service has not taken, where the broker says so.',
    labels: ['wire', 'service'],
  }),
  wireProblems: metric({
    name: 'quadrille_wire_problems',
    help: 'What health() names as problems of the wire.',
    labels: ['wire'],
  }),
  breakers: metric({
    name: 'quadrille_breakers_open',
    help: 'Open circuit breakers of the reader.',
    labels: ['reader'],
  }),
} as const
