/** The registry: what it counts, how it is written as Prometheus text and JSON, and that labels can not grow for ever. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { histogramQuantile, labelCharsMax, metricsRegistry, type HistogramSeries } from 'quadrille/observe'
import { parsePrometheus } from './prometheus-parser.ts'

test('the text has HELP and TYPE of each metric and one line a series, sorted by labels', () => {
  const registry = metricsRegistry()
  const mails = registry.counter({ name: 'mails_total', help: 'Mails sent.', labels: ['kind', 'to'] })
  mails.with('welcome', 'b').add()
  mails.with('bill', 'z').add(2.5)
  mails.with('welcome', 'a').add(3)
  registry.gauge({ name: 'queue_length', help: 'Waiting: a \\ and\na line.' }).with().set(-4)
  const waits = registry.histogram({ name: 'wait_seconds', help: 'Waits.', labels: ['who'], buckets: [0.1, 1, 10] })
  for (const seconds of [0.05, 0.1, 0.5, 11]) waits.with('x').observe(seconds)
  registry.counter({ name: 'never_total', help: 'Nothing yet.', labels: ['a'] })
  assert.deepEqual(registry.text().split('\n'), [
    '# HELP mails_total Mails sent.',
    '# TYPE mails_total counter',
    'mails_total{kind="bill",to="z"} 2.5',
    'mails_total{kind="welcome",to="a"} 3',
    'mails_total{kind="welcome",to="b"} 1',
    '# HELP queue_length Waiting: a \\\\ and\\na line.',
    '# TYPE queue_length gauge',
    'queue_length -4',
    '# HELP wait_seconds Waits.',
    '# TYPE wait_seconds histogram',
    'wait_seconds_bucket{who="x",le="0.1"} 2',
    'wait_seconds_bucket{who="x",le="1"} 3',
    'wait_seconds_bucket{who="x",le="10"} 3',
    'wait_seconds_bucket{who="x",le="+Inf"} 4',
    'wait_seconds_sum{who="x"} 11.65',
    'wait_seconds_count{who="x"} 4',
    '# HELP never_total Nothing yet.',
    '# TYPE never_total counter',
    '',
  ])
  assert.equal(metricsRegistry().text(), '')
})

test('any label values and numbers survive the text', () => {
  const label = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 20 }), fc.stringMatching(/^[\\"\n{},= ]{0,8}$/))
  const values = fc.uniqueArray(fc.tuple(label, label), { selector: JSON.stringify, maxLength: 20 })
  fc.assert(
    fc.property(values, fc.double({ noNaN: true }), (pairs, value) => {
      const registry = metricsRegistry()
      const gauge = registry.gauge({ name: 'g', help: 'G.', labels: ['a', 'b'] })
      for (const pair of pairs) gauge.with(...pair).set(value)
      const { samples } = parsePrometheus(registry.text())
      const found = samples.map((sample) => [sample.labels['a'], sample.labels['b']])
      assert.deepEqual(new Set(found.map(String)), new Set(pairs.map(String)))
      for (const sample of samples) assert.equal(sample.value + 0, value + 0)
    }),
  )
})

test('a histogram read back is cumulative, ends in its count, and leaves out what is no number', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: -5, max: 50 }), { maxLength: 50 }), (seconds) => {
      const registry = metricsRegistry()
      const histogram = registry.histogram({ name: 'h', help: 'H.', buckets: [0, 1, 10] }).with()
      for (const each of seconds) histogram.observe(each)
      const { samples } = parsePrometheus(registry.text())
      const numbers = seconds.filter((each) => !Number.isNaN(each))
      for (const bucket of samples.filter((sample) => sample.name === 'h_bucket')) {
        const bound = bucket.labels['le'] === '+Inf' ? Infinity : Number(bucket.labels['le'])
        assert.equal(bucket.value, numbers.filter((each) => each <= bound).length)
      }
      assert.equal(samples.find((sample) => sample.name === 'h_count')?.value, numbers.length)
    }),
  )
})

test('values of a label beyond the limit are counted under other, the labels beside it are kept', () => {
  const registry = metricsRegistry({ labelValuesMax: 3 })
  const failed = registry.counter({ name: 'failed_total', help: 'F.', labels: ['service', 'error'] })
  for (let i = 0; i < 10; i++) failed.with('orders', `E${i}`).add()
  failed.with('payments', 'E1').add()
  failed.with('payments', 'E9').add()
  assert.deepEqual(
    registry
      .text()
      .split('\n')
      .filter((line) => line.startsWith('failed')),
    [
      'failed_total{service="orders",error="E0"} 1',
      'failed_total{service="orders",error="E1"} 1',
      'failed_total{service="orders",error="E2"} 1',
      'failed_total{service="orders",error="other"} 7',
      'failed_total{service="payments",error="E1"} 1',
      'failed_total{service="payments",error="other"} 1',
    ],
  )
})

test('series beyond the limit of the metric are one, and nothing is lost', () => {
  const registry = metricsRegistry({ seriesMax: 5 })
  const counter = registry.counter({ name: 'c_total', help: 'C.', labels: ['a', 'b'] })
  for (let i = 0; i < 100; i++) counter.with(`a${i % 10}`, `b${i}`).add()
  const { samples } = parsePrometheus(registry.text())
  assert.equal(samples.length, 6)
  assert.equal(samples.find((sample) => sample.labels['a'] === 'other')?.labels['b'], 'other')
  assert.equal(
    samples.reduce((sum, sample) => sum + sample.value, 0),
    100,
  )
})

test('a long label value is cut', () => {
  const registry = metricsRegistry()
  const counter = registry.counter({ name: 'c_total', help: 'C.', labels: ['a'] })
  for (const end of ['x', 'y']) counter.with('m'.repeat(labelCharsMax) + end).add()
  const { samples } = parsePrometheus(registry.text())
  assert.equal(samples.length, 1)
  assert.equal(samples[0]!.labels['a']!.length, labelCharsMax)
  assert.equal(samples[0]!.value, 2)
})

test('the same definition gives the same metric, another one is refused', () => {
  const registry = metricsRegistry()
  const options = { name: 'c_total', help: 'C.', labels: ['a'] } as const
  registry.counter(options).with('x').add()
  registry.counter(options).with('x').add()
  assert.equal(registry.counter(options).with('x').value, 2)
  const refused = { code: 'OPTION_INVALID' }
  assert.throws(() => registry.counter({ ...options, labels: ['b'] }), refused)
  assert.throws(() => registry.counter({ ...options, name: 'c' }), refused)
  assert.throws(() => registry.gauge({ ...options, name: 'g_total' }), refused)
  assert.throws(() => registry.gauge({ name: '1g', help: '' }), refused)
  for (const label of ['le', '__name', 'a-b', '1']) {
    assert.throws(() => registry.gauge({ name: 'g', help: '', labels: [label] }), refused)
  }
  for (const buckets of [[], [2, 1], [1, Infinity]]) {
    assert.throws(() => registry.histogram({ name: 'h', help: '', buckets }), refused)
  }
  assert.throws(() => registry.counter(options).with('x').add(-1), refused)
  // @ts-expect-error two labels for one name
  assert.throws(() => registry.counter(options).with('x', 'y'), refused)
})

test('the snapshot is JSON data, and quantiles are estimated from it', () => {
  const registry = metricsRegistry()
  registry
    .gauge({ name: 'g', help: 'G.', labels: ['a'] })
    .with('x')
    .set(3)
  const histogram = registry.histogram({ name: 'h', help: 'H.', buckets: [1, 2] }).with()
  for (const seconds of [0.5, 1.5, 1.5, 9]) histogram.observe(seconds)
  const snapshot = registry.snapshot()
  assert.deepEqual(JSON.parse(JSON.stringify(snapshot)), snapshot)
  const buckets = [
    { le: 1, count: 1 },
    { le: 2, count: 3 },
    { le: '+Inf', count: 4 },
  ]
  assert.deepEqual(snapshot, [
    { name: 'g', help: 'G.', kind: 'gauge', series: [{ labels: { a: 'x' }, value: 3 }] },
    { name: 'h', help: 'H.', kind: 'histogram', series: [{ labels: {}, count: 4, sum: 12.5, buckets }] },
  ])
  const series = snapshot[1]!.series[0] as HistogramSeries
  assert.equal(histogramQuantile(series, 0.5), 1.5)
  assert.equal(histogramQuantile(series, 0), 0)
  assert.equal(histogramQuantile(series, 0.25), 1)
  assert.equal(histogramQuantile(series, 1), 2)
  assert.equal(histogramQuantile({ buckets: [{ le: '+Inf', count: 0 }] }, 0.5), undefined)
})

test('clearing a metric drops its series', () => {
  const registry = metricsRegistry({ seriesMax: 1 })
  const gauge = registry.gauge({ name: 'g', help: 'G.', labels: ['a'] })
  gauge.with('x').set(1)
  gauge.clear()
  gauge.with('y').set(2)
  assert.deepEqual(
    parsePrometheus(registry.text()).samples.map((sample) => sample.labels),
    [{ a: 'y' }],
  )
})
