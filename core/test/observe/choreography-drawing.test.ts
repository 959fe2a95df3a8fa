/** Drawings of declared choreographies: golden ones, every kind of reaction, cycles, and any text in any place. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import * as z from 'zod'
import { choreography, event, service } from 'quadrille'
import { choreographyFlowchart, choreographySequence, mermaidText } from 'quadrille/observe'
import { assertGolden, assertMermaid, shown } from './golden.ts'
import { checkout } from './order-fixture.ts'

const plain = <Type extends string>(type: Type) => event(type, { key: 'id', schema: z.object({ id: z.string() }) })

function drawn(name: string, declared: typeof checkout): { flowchart: string; sequence: string } {
  const flowchart = choreographyFlowchart(declared)
  const sequence = choreographySequence(declared)
  assertMermaid(flowchart)
  assertMermaid(sequence)
  assertGolden(`${name}-flowchart.mmd`, flowchart)
  assertGolden(`${name}-sequence.mmd`, sequence)
  return { flowchart, sequence }
}

test('the order choreography as a flowchart and as a sequence', () => {
  const { flowchart, sequence } = drawn('order', checkout)
  assert.match(flowchart, /\[\/"deadline of order\.created<br\/>after 15m"\/\]/)
  assert.match(sequence, /alt as it should go within 15m\n(.*\n)+? {4}Note over p1: end, success/)
  assert.match(sequence, /else payment\.processed\{status=failed\} from payments\n/)
  assert.match(sequence, /opt deadline of order\.created passed after 15m\n/)
})

test('a choreography that always goes well is drawn without alternatives', () => {
  const [Asked, Answered] = [plain('asked'), plain('answered')]
  const desk = service('desk').on(Asked, { emits: [Answered] }, (data) => Answered(data))
  const talk = choreography('talk', { services: [desk], starts: [Asked], ends: { success: [Answered] } })
  const { sequence } = drawn('talk', talk)
  assert.deepEqual(sequence.trim().split('\n').slice(2), [
    '  actor p0 as outside',
    '  participant p1 as desk',
    '  p0->>p1: asked',
    '  p1-)p0: answered',
    '  Note over p1: end, success',
  ])
})

test('a cycle is drawn once and says where it goes on', () => {
  const [Ping, Pong, Over] = [plain('ping'), plain('pong'), plain('over')]
  const left = service('left').on(Pong, { emits: [Ping] }, (data) => Ping(data))
  const right = service('right')
    .on(Ping, { emits: [Pong] }, (data) => Pong(data))
    .on(Pong, { name: 'stop', emits: [Over] }, (data) => Over(data))
  const game = choreography('game', { services: [left, right], starts: [Ping], ends: { success: [Over] } })
  const { sequence } = drawn('cycle', game)
  assert.match(sequence, /Note over p2: ping again, from here as above/)
  assert.equal(sequence.split('\n').filter((line) => line.endsWith(': pong')).length, 2)
})

test('what goes round once more is an alternative, not the way to the end', () => {
  const [Ordered, Missing, Reserved, Sent] = [plain('ordered'), plain('missing'), plain('reserved'), plain('sent')]
  const stock = service('stock')
    .on(Ordered, { emits: [Missing, Reserved] }, (data) => Reserved(data))
    .on(Reserved, { emits: [Sent] }, (data) => Sent(data))
  const buying = service('buying').on(Missing, { emits: [Ordered] }, (data) => Ordered(data))
  const shop = choreography('shop', { services: [stock, buying], starts: [Ordered], ends: { success: [Sent] } })
  const { sequence } = drawn('again', shop)
  assert.match(
    sequence,
    /else missing from stock\n {4}p1->>p2: missing\n {4}Note over p2: ordered again, from here as above\n {2}end\n$/,
  )
})

test('a choreography that can not end well is drawn as far as it goes', () => {
  const [Asked, Refused, Never] = [plain('asked'), plain('refused'), plain('never')]
  const desk = service('desk').on(Asked, { emits: [Refused] }, (data) => Refused(data))
  const ends = { success: [Never], failure: [Refused] }
  const { sequence } = drawn('hopeless', choreography('hopeless', { services: [desk], starts: [Asked], ends }))
  assert.match(sequence, /alt refused from desk\n(.*\n)*? {4}Note over p1: end, failure/)
})

test('a join that may be late, batches, filters and a retry over another way are drawn', () => {
  const [Asked, Quote, Price, Offer, Sorry] = [
    plain('asked'),
    plain('quote'),
    plain('price'),
    plain('offer'),
    plain('sorry'),
  ]
  const sales = service('sales')
    .on(Asked, { emits: [Quote], filter: () => true }, (data) => Quote(data))
    .all(
      [Quote, Price],
      { name: 'offer', within: '90s', emits: [Offer, Sorry], late: ([quote]) => Sorry(quote!) },
      ([quote]) => Offer(quote),
    )
  const pricing = service('pricing').on(Asked, { emits: [Price], batch: { size: 50 } }, (data) =>
    data.map((each) => Price(each)),
  )
  const news = service('news').on(Offer, { coalesce: { within: '5s' } }, () => {})
  const ends = { success: [Offer], failure: [Sorry] }
  const sell = choreography('sell', { services: [sales, pricing, news], starts: [Asked], ends })
  const { sequence, flowchart } = drawn('sell', sell)
  assert.match(sequence, /opt offer late after 90s\n {4}Note over p1: 90s are over without all of quote and price\n/)
  assert.doesNotMatch(sequence, /\balt\b/)
  assert.match(flowchart, /\{\{"offer<br\/>join, late after 90s"\}\}/)
  assert.match(flowchart, /batches of 50/)
})

test('the rest of a type is an occurrence of its own when somebody reacts to all of it', () => {
  const Moved = event('moved', { key: 'id', schema: z.object({ id: z.string(), to: z.enum(['a', 'b', 'c']) }) })
  const [Go, Done, Lost] = [plain('go'), plain('done'), plain('lost')]
  const robot = service('robot').on(Go, { emits: [Moved] }, ({ id }) => Moved({ id, to: 'a' }))
  const judge = service('judge')
    .on(Moved.where({ to: 'a' }), { emits: [Done] }, ({ id }) => Done({ id }))
    .on(Moved.where({ to: 'b' }), { emits: [Lost] }, ({ id }) => Lost({ id }))
  const log = service('log').on(Moved, () => {})
  const ends = { success: [Done], failure: [Lost] }
  const { sequence } = drawn('moves', choreography('moves', { services: [robot, judge, log], starts: [Go], ends }))
  assert.match(sequence, /else moved\{to=b\} from robot\n/)
  assert.match(sequence, /else moved from robot\n {4}p1->>p3: moved\n/)
})

test('any reaction and choreography names are drawn so that Mermaid reads them as text', () => {
  const Asked = plain('end')
  const name = fc.oneof(
    fc.constantFrom(
      'end',
      'a;b',
      '#quot;',
      '%% x',
      '"q"',
      '<b>',
      'loop',
      'p0->>p1: x',
      'style:#x;',
      '`md`',
      '😀;',
      '𝔘',
    ),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 30 }),
  )
  fc.assert(
    fc.property(name, name, (reaction, title) => {
      const usable = (text: string) => /^[^\u0000-\u001f\u007f|]{1,200}$/.test(text)
      fc.pre(usable(reaction) && usable(title))
      const options = { name: reaction, unless: [plain('class')], within: 5, emits: [plain('call')] }
      const subgraph = service('subgraph')
        .on(Asked, { name: `${reaction}!`, emits: [plain('class')] }, () => {})
        .deadline(Asked, options, () => {})
      const ends = { success: [plain('class')], failure: [plain('call')] }
      const declared = choreography(title, { services: [subgraph], starts: [Asked], ends })
      assertMermaid(choreographyFlowchart(declared))
      assertMermaid(choreographySequence(declared))
    }),
  )
})

test('escaped text is shown as it was, on one line and cut between characters', () => {
  assert.equal(
    mermaidText(' a;\n\tb: "c" #1 <d> %% 100% `e` \\ '),
    'a#59; b#58; #34;c#34; #35;1 #60;d#62; #37;#37; 100#37; #96;e#96; #92;',
  )
  assert.equal(mermaidText(''), '(none)')
  assert.equal(mermaidText(`abc😀def`, 5), 'abc…')
  assert.equal(mermaidText('\u001b[31mred\u0000'), '#91;31mred')
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (text) => {
      const drawnText = mermaidText(text)
      assert.match(drawnText, /^(?:[^;#"<>%`:\n]|#\d+;)+$/)
      const plainText = text
        .toWellFormed()
        .replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ')
        .trim()
      assert.equal(shown(drawnText), plainText === '' ? '(none)' : plainText)
    }),
  )
})
