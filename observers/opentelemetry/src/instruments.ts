/** What is counted and timed. */
import type { Attributes, Meter } from '@opentelemetry/api'
import type { Hooks } from 'quadrille'
import { errorLabel } from 'quadrille/observe'
import { attributes, metricNames, own, ownMetrics, system } from './semantic-names.ts'

/** As the conventions want them, in seconds. */
const buckets = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10]
/** Events may wait for minutes, and after an outage for hours. */
const ageBuckets = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3_600]

export type Instruments = ReturnType<typeof instrumentsOf>

export function instrumentsOf(meter: Meter) {
  const seconds = (name: string, description: string, explicitBucketBoundaries = buckets) =>
    meter.createHistogram(name, { description, unit: 's', advice: { explicitBucketBoundaries } })
  const count = (name: string, description: string, unit: string) => meter.createCounter(name, { description, unit })
  return {
    handler: seconds(metricNames.processDuration, 'Time of a handler, for one event or a batch.'),
    send: seconds(metricNames.operationDuration, 'Time in which a broker has answered for a batch.'),
    call: seconds(ownMetrics.callDuration, 'Time of a call to the outside.'),
    age: seconds(ownMetrics.eventAge, 'From the time of an event to the commit of its handling.', ageBuckets),
    sent: count(metricNames.sent, 'Events that a broker was asked to take.', '{message}'),
    consumed: count(metricNames.consumed, 'Messages that have come over a wire.', '{message}'),
    retries: count(ownMetrics.retries, 'Tries that failed and will be repeated.', '{try}'),
    dead: count(ownMetrics.deadLetters, 'Events that became dead letters.', '{event}'),
  }
}

/** Counts what is told after a commit. */
export function countingHooks({ age, sent, consumed, retries, dead }: Instruments): Hooks {
  const ofReaction = (facts: { readonly service: string; readonly reaction: string }): Attributes => ({
    [own.service]: facts.service,
    [own.reaction]: facts.reaction,
  })
  const sending = { [attributes.system]: system, [attributes.operation]: 'send' }
  return {
    // A clock that jumped back must not count as a negative time.
    handled: (facts) => age.record(Math.max(0, facts.ageMs) / 1_000, ofReaction(facts)),
    failed: (facts) => retries.add(1, { ...ofReaction(facts), [attributes.errorType]: errorLabel(facts.error) }),
    dead: (facts) => dead.add(1, { ...ofReaction(facts), [attributes.errorType]: facts.code }),
    sent: ({ wire, events }) => sent.add(events.length, { ...sending, [own.wire]: wire }),
    sendFailed: ({ wire, error }) =>
      sent.add(1, { ...sending, [own.wire]: wire, [attributes.errorType]: errorLabel(error) }),
    received: ({ wire, service, appended, duplicates, dead: refused }) =>
      consumed.add(appended + duplicates + refused, {
        [attributes.system]: system,
        [attributes.operation]: 'receive',
        [attributes.consumerGroup]: service,
        [own.wire]: wire,
      }),
  }
}
