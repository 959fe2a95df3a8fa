/** CloudEvents 1.0: what goes out is legal and comes back unchanged; what is not legal is refused with the reason. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as fc from 'fast-check'
import {
  cloudEventText,
  fromCloudEvent,
  fromCloudEventJson,
  readCloudEventText,
  toCloudEvent,
  type NewEvent,
} from '../../src/contracts/index.ts'

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value))
const minimal = { specversion: '1.0', id: '1', source: 'shop', type: 'order.created', data: { orderId: 'o' } }
const own = new Set(Object.keys(minimal))

const name = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' })
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: null })
const extension = fc.string({
  minLength: 1,
  maxLength: 12,
  unit: fc.constantFrom('a', 'b', 'm', 'z', '0', '9'),
})
const extensions = fc.dictionary(
  extension.map((key) => `x${key}`),
  fc.oneof(fc.string(), fc.integer(), fc.boolean()),
  { minKeys: 1, maxKeys: 4 },
)
const wholeNumber = fc.nat({ max: 2 ** 31 - 1 })
const newEvent: fc.Arbitrary<NewEvent> = fc.record(
  {
    id: name,
    type: name,
    version: wholeNumber,
    source: name,
    key: name,
    correlationId: name,
    causationId: maybe(name),
    reaction: maybe(name),
    hops: wholeNumber,
    time: fc.integer({ min: 0, max: Date.UTC(9999, 11, 31) }),
    traceparent: maybe(name),
    tracestate: maybe(name),
    data: fc.jsonValue().map((value) => JSON.stringify(value)),
    extensions: maybe(extensions.map((value) => JSON.stringify(value))),
  },
  { noNullPrototype: true },
)

test('an event comes back from the wire with everything it had', () => {
  fc.assert(
    fc.property(newEvent, maybe(wholeNumber), (event, position) => {
      const sent = toCloudEvent(position === null ? event : { ...event, position })
      assert.deepEqual(fromCloudEvent(bytes(sent)), event)
      assert.deepEqual(fromCloudEventJson({ json: JSON.parse(JSON.stringify(sent)) }), event)
    }),
  )
})

test('the text of an event means what its JSON means, and its data come as they were sent', () => {
  const awkward = fc.constantFrom(
    '12345678901234567890',
    '1.0',
    '{ "2": 1, "1": 2 }',
    '{"data":{"data":1},"data":[{"a":1},{"specversion":"1.0","data":{}}]}',
    String.raw`"},{\"specversion\":\"1.0\",\"data\":1}"`,
    'null',
  )
  const data = fc.oneof(
    awkward,
    fc.json(),
    fc.jsonValue().map((value) => JSON.stringify(value, null, 2)),
  )
  fc.assert(
    fc.property(newEvent, data, (event, text) => {
      const whole = cloudEventText({ ...event, data: text })
      const { json, dataText } = readCloudEventText(whole)
      assert.deepEqual(json, JSON.parse(whole))
      assert.equal(dataText, text.trim())
      assert.deepEqual(fromCloudEvent(new TextEncoder().encode(whole)), { ...event, data: text.trim() })
    }),
  )
})

test('an event that somebody else has written means the same, wherever its data stand', () => {
  const head = '{"specversion":"1.0","id":"1","source":"s","type":"t"'
  const texts = [
    `{"data":{"n":1},${head.slice(1)}}`,
    `${head},"data":{"n":1},"hops":3}`,
    `${head},"data":{"n":1},"data":{"n":2}}`,
    String.raw`${head},"x":"\",\"data\":{","data":{"n":1}}`,
    `${head},"x":{"y":1,"data":{"n":1}}}`,
    ` ${head} , "data" : { "n" : 1 } } `,
    `${head},"data":{"n":1} } `,
    '[]',
    String.raw`"},\"data\":1"`,
    '7',
  ]
  for (const text of texts) {
    let json: unknown
    try {
      json = JSON.parse(text)
    } catch {
      assert.throws(() => readCloudEventText(text), SyntaxError, text)
      continue
    }
    const read = readCloudEventText(text)
    assert.deepEqual(read.json, json, text)
    if (read.dataText !== undefined) assert.deepEqual(JSON.parse(read.dataText), (json as { data: unknown }).data, text)
  }
  fc.assert(
    fc.property(
      fc.string({ unit: fc.constantFrom('{', '}', '"', ',', ':', 'data', '\\', '[', ']', '1', ' ') }),
      (noise) => {
        const text = `{"a":1${noise},"data":1}`
        let json: unknown
        try {
          json = JSON.parse(text)
        } catch {
          return assert.throws(() => readCloudEventText(text), SyntaxError)
        }
        return assert.deepEqual(readCloudEventText(text).json, json)
      },
    ),
    { numRuns: 2_000 },
  )
})

test('the attributes are those of CloudEvents 1.0: names of a-z and 0-9, values that are no objects', () => {
  fc.assert(
    fc.property(newEvent, wholeNumber, (event, position) => {
      const { data: _, ...attributes } = toCloudEvent({ ...event, position })
      for (const [attribute, value] of Object.entries(attributes)) {
        assert.match(attribute, /^[a-z0-9]{1,20}$/)
        assert.ok(['string', 'number', 'boolean'].includes(typeof value), `${attribute} is ${typeof value}`)
      }
      assert.equal(attributes.specversion, '1.0')
      assert.match(attributes.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
      assert.match(attributes.sequence!, /^\d{20}$/)
    }),
  )
})

test('extensions of others are kept and handed on, but never in place of an attribute', () => {
  const foreign = {
    ...minimal,
    subject: 'o-7',
    dataschema: 'https://x.test/s',
    comexampleflag: true,
    partitionkey: 'k',
  }
  const event = fromCloudEvent(bytes(foreign))
  assert.deepEqual(JSON.parse(event.extensions!), {
    subject: 'o-7',
    dataschema: 'https://x.test/s',
    comexampleflag: true,
  })
  const again = toCloudEvent(event)
  for (const [attribute, value] of Object.entries(foreign)) assert.deepEqual(again[attribute], value)
  const hostile = { ...event, extensions: JSON.stringify({ id: 'other', type: 'other', data: 1 }) }
  assert.equal(toCloudEvent(hostile).id, '1')
  assert.deepEqual(toCloudEvent(hostile).data, minimal.data)
  const polluting = fromCloudEvent(
    new TextEncoder().encode(JSON.stringify(minimal).replace('{', '{"__proto__":{"x":1},')),
  )
  assert.equal((toCloudEvent(polluting) as { x?: number }).x, undefined)
  assert.equal(({} as { x?: number }).x, undefined)
})

test('what a foreign event does not say is as for the first event of a conversation', () => {
  assert.deepEqual(fromCloudEvent(bytes(minimal), 5_000), {
    id: '1',
    type: 'order.created',
    source: 'shop',
    time: 5_000,
    version: 1,
    key: '1',
    correlationId: '1',
    causationId: null,
    hops: 0,
    reaction: null,
    traceparent: null,
    tracestate: null,
    data: '{"orderId":"o"}',
    extensions: null,
  })
  assert.equal(fromCloudEvent(bytes({ ...minimal, subject: 's' })).key, 's')
  assert.equal(fromCloudEvent(bytes({ ...minimal, subject: 's', partitionkey: 'p' })).key, 'p')
  const texts = fromCloudEvent(bytes({ ...minimal, dataversion: '3', hops: '12', sequence: '7', causationid: null }))
  assert.deepEqual([texts.version, texts.hops, texts.causationId, texts.extensions], [3, 12, null, null])
  assert.equal(
    fromCloudEvent(bytes({ ...minimal, time: '2020-01-02T03:04:05.678901+01:00' })).time,
    Date.UTC(2020, 0, 2, 2, 4, 5, 678),
  )
  for (const datacontenttype of [
    'application/json',
    'application/json; charset=utf-8',
    'application/vnd.x+json',
    'TEXT/JSON',
  ]) {
    assert.equal(fromCloudEvent(bytes({ ...minimal, datacontenttype })).data, '{"orderId":"o"}')
  }
})

test('bytes that are no CloudEvents 1.0 JSON event are refused, each with its reason', () => {
  const raw = (text: string) => new TextEncoder().encode(text)
  const wrong: [Uint8Array, RegExp][] = [
    [raw(''), /Unexpected end/],
    [raw('{'), /JSON/],
    [new Uint8Array([0x22, 0xff, 0x22]), /not valid/],
    [raw('[]'), /not a JSON object/],
    [raw('null'), /not a JSON object/],
    [raw('"text"'), /not a JSON object/],
    ...[...own].map((attribute): [Uint8Array, RegExp] => {
      const without: Record<string, unknown> = { ...minimal }
      delete without[attribute]
      return [bytes(without), new RegExp(attribute)]
    }),
    ...[
      'id',
      'type',
      'source',
      'time',
      'partitionkey',
      'correlationid',
      'causationid',
      'reaction',
      'traceparent',
    ].flatMap((attribute) =>
      [5, '', {}, true].map((value): [Uint8Array, RegExp] => [
        bytes({ ...minimal, [attribute]: value }),
        new RegExp(attribute),
      ]),
    ),
    ...['dataversion', 'hops'].flatMap((attribute) =>
      [-1, 1.5, '', 'one', '1e3', ' 1', true, 2 ** 60, '9'.repeat(30)].map((value): [Uint8Array, RegExp] => [
        bytes({ ...minimal, [attribute]: value }),
        new RegExp(`${attribute} is not a whole number`),
      ]),
    ),
    ...['yesterday', '2020', '2020-01-01', '2020-01-01T00:00:00', '2020-13-01T00:00:00Z', 'Tue Mar 01 2022'].map(
      (time): [Uint8Array, RegExp] => [bytes({ ...minimal, time }), /time is not an RFC 3339 timestamp/],
    ),
    [bytes({ ...minimal, specversion: '0.3' }), /specversion is "0.3"/],
    [bytes({ ...minimal, data: undefined, data_base64: 'AA==' }), /data_base64 is not supported/],
    [bytes({ ...minimal, datacontenttype: 'text/plain' }), /datacontenttype is text\/plain/],
    [bytes({ ...minimal, id: 'x'.repeat(201) }), /id is longer than 200/],
    ...['partitionkey', 'subject', 'correlationid', 'causationid', 'source', 'type', 'reaction'].map(
      (name): [Uint8Array, RegExp] => [
        bytes({ ...minimal, [name]: 'x'.repeat(501) }),
        new RegExp(`${name} is longer than 500 characters`),
      ],
    ),
    [bytes({ ...minimal, partitionkey: 'half \ud83d' }), /partitionkey is not well-formed Unicode/],
    [bytes({ ...minimal, hops: 2 ** 31 }), /hops is not a whole number up to 2147483647/],
    [bytes({ ...minimal, dataversion: 2 ** 31 }), /dataversion is not a whole number up to 2147483647/],
  ]
  for (const [message, reason] of wrong) {
    assert.throws(() => fromCloudEvent(message), { code: 'EVENT_UNDECODABLE', message: reason }, String(reason))
  }
})

test('no bytes at all bring anything but an event or EVENT_UNDECODABLE', () => {
  const structured = fc.dictionary(fc.constantFrom(...own, 'time', 'hops', 'partitionkey', 'x'), fc.jsonValue())
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map((text) => new TextEncoder().encode(text)),
        structured.map(bytes),
      ),
      (message) => {
        try {
          assert.equal(typeof fromCloudEvent(message).id, 'string')
        } catch (error) {
          assert.equal((error as { code: string }).code, 'EVENT_UNDECODABLE')
        }
      },
    ),
    { numRuns: 500 },
  )
})

test('in the text of an event the data stand as they were sent, and nothing else differs', () => {
  const data = '{ "n": 1.0, "big": 12345678901234567890 }'
  fc.assert(
    fc.property(newEvent, (event) => {
      assert.deepEqual(JSON.parse(cloudEventText(event)), toCloudEvent(event))
      assert.equal(cloudEventText({ ...event, data }).endsWith(`,"data":${data}}`), true)
    }),
  )
})
