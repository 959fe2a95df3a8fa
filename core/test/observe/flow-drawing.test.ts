/** Recorded conversations as sequence diagrams and as text: golden ones, the order of notes, and whatever a flow may hold. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { flowDiagram, flowEventsDrawnMax, flowText } from 'quadrille/observe'
import type { Flow } from '../../src/runtime/flow.ts'
import { cancelled, completed, delivery, note } from './flow-fixture.ts'
import { assertGolden, assertMermaid } from './golden.ts'
import { record, startMs } from './record-fixture.ts'

const body = (drawing: string): string[] =>
  drawing
    .trim()
    .split('\n')
    .filter((line) => !/^(sequenceDiagram|  (accTitle|actor|participant))/.test(line))

test('a completed conversation, with retries and a call without an answer', () => {
  const drawing = flowDiagram(completed)
  assertMermaid(drawing)
  assertGolden('completed-flow.mmd', drawing)
  assertGolden('completed-flow.txt', flowText(completed))
  assert.match(
    drawing,
    /p2: order\.created tried again 2 times \(HTTP 503#59; busy\)\n {2}p2->>p1: payment\.processed\n/,
  )
  assert.match(drawing, /-->>p\d: order\.completed \(pending\)/)
})

test('a cancelled conversation, with a deadline, compensations, a prevented action and a dead letter', () => {
  const drawing = flowDiagram(cancelled)
  assertMermaid(drawing)
  assertGolden('cancelled-flow.mmd', drawing)
  assertGolden('cancelled-flow.txt', flowText(cancelled))
  assert.match(drawing, /actor p0 as https#58;\/\/shop\.example\/api\n/)
  assert.match(drawing, /--xp\d: order\.cancelled \(dead\)\n/)
  assert.match(drawing, /rect rgba\(.*\)\n.*became a dead letter \(MAILBOX_FULL#58; #35;1 #34;is#34; full\)\n {2}end\n/)
})

test('the same flow gives the same drawing, whatever the order of its notes', () => {
  const turned = { ...cancelled, notes: cancelled.notes.toReversed() }
  assert.equal(flowDiagram(turned), flowDiagram(cancelled))
  assert.equal(flowText(turned), flowText(cancelled))
})

test('a note stands behind its event and before what its handling emitted, also when a clock is wrong', () => {
  const events = [
    record({ id: 'a', type: 'a', time: 500 }),
    record({ id: 'b', type: 'b', source: 'payments', reaction: 'r', causationId: 'a', time: 10 }),
  ]
  for (const at of [0, 10, 600]) {
    const notes = [note({ at, kind: 'undone', service: 'payments', reaction: 'r', eventId: 'a' })]
    const deliveries = [delivery('a', 'payments/r'), delivery('b', 'orders/x')]
    const lines = body(flowDiagram({ correlationId: 'c', events, deliveries, notes }))
    assert.deepEqual(lines, ['  p0->>p1: a', '  Note over p1: r undone', '  p1->>p2: b'])
  }
})

test('what no reaction has caused comes from outside, named by its source unless that is a service', () => {
  const flow: Flow = { correlationId: 'c', events: [record({ id: 'a' })], deliveries: [], notes: [] }
  assert.match(flowDiagram(flow), / {2}actor p0 as orders\n {2}Note over p0: order\.created, nobody reacts\n$/)
  assert.match(flowDiagram(flow, [{ name: 'orders' }]), / {2}actor p0 as outside\n/)
  const caused = { ...flow, events: [record({ id: 'a', causationId: 'elsewhere' })] }
  assert.match(flowDiagram(caused, [{ name: 'orders' }]), / {2}participant p0 as orders\n/)
  const nameless = { ...flow, events: [record({ id: 'a', source: '' })] }
  assert.match(flowDiagram(nameless), / {2}actor p0 as outside\n/)
})

test('deliveries of one event to one service are one arrow each for acting, undoing and what has become of them', () => {
  const deliveries = [
    delivery('a', 's/one'),
    delivery('a', 's/two', { role: 'start' }),
    delivery('a', 's/three', { role: 'undo' }),
    delivery('a', 's/four', { status: 'pending' }),
    delivery('a', 's/five', { status: 'waiting' }),
    delivery('a', 's/six', { status: 'dead' }),
    delivery('a', 't/seven', { role: 'unless', status: 'pending' }),
  ]
  const flow = { correlationId: 'c', events: [record({ id: 'a', type: 'a', source: 'x' })], deliveries, notes: [] }
  assert.deepEqual(body(flowDiagram(flow)), [
    '  p0->>p1: a',
    '  p0->>p1: a (undo)',
    '  p0-->>p1: a (waiting)',
    '  p0--xp1: a (dead)',
    '  p0-->>p2: a (settles deadline, pending)',
  ])
})

test('a long conversation is cut, and the drawing says so', () => {
  const events = Array.from({ length: flowEventsDrawnMax + 3 }, (_, i) =>
    record({ id: `e${i}`, type: `t${i}`, time: i }),
  )
  const drawing = flowDiagram({ correlationId: 'c', events, deliveries: [], notes: [] })
  assertMermaid(drawing)
  assert.match(drawing, /Note over p0: and 3 more events\n$/)
  assert.ok(!drawing.includes(`t${flowEventsDrawnMax}`))
})

test('the text tells of events without a known cause, of circles and of notes about forgotten events', () => {
  const events = [
    record({ id: 'a', type: 'a', causationId: 'gone' }),
    record({ id: 'b', type: 'b', causationId: 'c', source: 'x', time: -5 }),
    record({ id: 'c', type: 'c', causationId: 'b', source: 'x' }),
  ]
  const notes = [note({ at: 7, kind: 'late', service: 's', reaction: 'join', eventId: 'forgotten' })]
  assert.equal(
    flowText({ correlationId: 'c-1', events, deliveries: [delivery('a', 's/r', { status: 'dead' })], notes }),
    [
      'conversation c-1: 3 events in 0ms, 1 dead',
      'a [o-1] +0ms from outside orders',
      '  -> s/r dead',
      'b [o-1] -5ms from outside x',
      '  c [o-1] +0ms from outside x',
      '! s/join not completed in time +7ms',
      '',
    ].join('\n'),
  )
})

test('any flow is drawn as lines that Mermaid reads, and its text can not change a terminal', () => {
  const text = fc.oneof(
    fc.constantFrom('end', 'a;b', '%%', 'a->>b: c', '#', '\u001b[2J', 'x\ny'),
    fc.string({ unit: 'binary' }),
  )
  const id = fc.constantFrom('1', '2', '3', '4')
  const flows = fc.record({
    correlationId: text,
    events: fc.uniqueArray(
      fc.record({
        id,
        type: text,
        source: text,
        key: text,
        causationId: fc.option(id),
        reaction: fc.option(text),
        time: fc.integer({ min: -1_000, max: 1e7 }),
      }),
      { selector: (event) => event.id },
    ),
    deliveries: fc.array(
      fc.record({
        service: text,
        reaction: text,
        eventId: id,
        role: fc.constantFrom('run', 'undo', 'part', 'start', 'unless'),
        status: fc.constantFrom('pending', 'handled', 'waiting', 'dead'),
      }),
    ),
    notes: fc.array(
      fc.record({
        at: fc.integer({ min: 0, max: 1e7 }).map((ms) => new Date(startMs + ms)),
        kind: fc.constantFrom(
          'retry',
          'dead',
          'redriven',
          'discarded',
          'undone',
          'prevented',
          'late',
          'deadline',
          'unknown-call',
        ),
        service: text,
        reaction: text,
        eventId: id,
        text,
      }),
    ),
  })
  fc.assert(
    fc.property(flows, ({ events, ...rest }) => {
      const flow: Flow = { ...rest, events: events.map((event) => record(event)) }
      assertMermaid(flowDiagram(flow))
      const told = flowText(flow)
      // eslint-disable-next-line no-control-regex -- control characters are what is looked for
      assert.doesNotMatch(told, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
      assert.ok(
        told.split('\n').length >
          events.length + rest.deliveries.filter((each) => events.some((event) => event.id === each.eventId)).length,
      )
    }),
  )
})
