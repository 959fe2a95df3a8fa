/** Values that a JSON Schema allows, or nearly: each edge once. Used to find one that is sent and can not be read. */
import { isSchema, listOf, referred, type Schema } from '../../contracts/json-schema.ts'

const samplesMax = 300
const depthMax = 6

/** A few values: the first is the plainest. Not all of them are certain to be allowed; ask the schema itself. */
export function samplesOf(schema: Schema): unknown[] {
  return new Sampler(schema).of(schema, 0).slice(0, samplesMax)
}

const textsByFormat: Readonly<Record<string, readonly string[]>> = {
  'date-time': ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00.123Z', '2026-01-31T12:00:00+01:00'],
  date: ['2026-01-31'],
  time: ['12:00:00', '12:00:00Z'],
  uuid: ['0190f5ae-7c3b-7b9e-8f3a-0123456789ab', '3f2504e0-4f89-41d3-9a0c-0305e82c3301'],
  email: ['ada@example.com'],
  uri: ['https://example.com/a'],
  ipv4: ['127.0.0.1'],
  ipv6: ['::1'],
  duration: ['PT1H'],
  hostname: ['example.com'],
}

const anyTexts: readonly string[] = ['a', '', 'A', '0', '12', 'abc-1', 'EUR', 'a b', 'ä', '2026-01-31T12:00:00Z']

class Sampler {
  readonly #root: Schema

  constructor(root: Schema) {
    this.#root = root
  }

  of(given: unknown, depth: number): unknown[] {
    if (depth > depthMax || given === false) return []
    if (!isSchema(given)) return ['anything', 1, null]
    const schema = this.#resolved(given)
    if ('const' in schema) return [schema['const']]
    if (Array.isArray(schema['enum'])) return schema['enum'].slice(0, 20)
    for (const word of ['anyOf', 'oneOf']) {
      const open = listOf(schema[word])
      if (open.length > 0)
        return interleaved(
          open.map((each) => this.of({ ...schema, [word]: undefined, ...(each as Schema) }, depth + 1)),
        )
    }
    const parts = listOf(schema['allOf']).filter(isSchema)
    if (parts.length > 0) return this.of(this.#together([{ ...schema, allOf: undefined }, ...parts]), depth + 1)
    const types = schema['type'] === undefined ? ['string', 'number', 'null'] : ([schema['type']].flat() as string[])
    return interleaved(types.map((type) => this.#ofType(type, schema, depth)))
  }

  #together(parts: readonly Schema[]): Schema {
    const all = parts.map((part) => this.#resolved(part))
    const properties = Object.assign({}, ...all.map((part) => part['properties'] ?? {})) as Schema
    return {
      ...Object.assign({}, ...all),
      properties,
      required: all.flatMap((part) => listOf(part['required'])),
    } as Schema
  }

  #resolved(schema: Schema): Schema {
    const { $ref, ...rest } = schema
    if (typeof $ref !== 'string') return schema
    return { ...referred(this.#root, $ref), ...rest }
  }

  #ofType(type: string, schema: Schema, depth: number): unknown[] {
    if (type === 'null') return [null]
    if (type === 'boolean') return [true, false]
    if (type === 'string') return texts(schema)
    if (type === 'number' || type === 'integer') return numbers(schema, type === 'integer')
    return type === 'array' ? this.#arrays(schema, depth) : this.#objects(schema, depth)
  }

  #arrays(schema: Schema, depth: number): unknown[] {
    const first = listOf(schema['prefixItems']).map((each) => this.of(each, depth + 1))
    const items = this.of(schema['items'] ?? true, depth + 1)
    const least = Math.max(Number(schema['minItems'] ?? 0), first.length)
    const most = Math.min(Number(schema['maxItems'] ?? Infinity), 20)
    const of = (length: number, at: (index: number) => unknown) => Array.from({ length }, (_, index) => at(index))
    const at = (index: number): unknown => first[index]?.[0] ?? items[index % Math.max(1, items.length)]
    return [
      of(least, at),
      ...[0, 1, least + 1, most].filter((length) => length >= least && length <= most).map((length) => of(length, at)),
      ...first.flatMap((each, place) =>
        each.slice(1).map((value) => of(least, (index) => (index === place ? value : at(index)))),
      ),
      ...items.map((value) => of(Math.max(1, least), (index) => (index < first.length ? at(index) : value))),
    ]
  }

  #objects(schema: Schema, depth: number): unknown[] {
    const fields = Object.entries((schema['properties'] ?? {}) as Schema).map(
      ([field, each]) => [field, this.of(each, depth + 1)] as const,
    )
    const required = listOf(schema['required'])
    const all = Object.fromEntries(
      fields.filter(([, values]) => values.length > 0).map(([field, values]) => [field, values[0]]),
    )
    const least = Object.fromEntries(Object.entries(all).filter(([field]) => required.includes(field)))
    const more = schema['additionalProperties']
    const others = isSchema(more) ? this.of(more, depth + 1) : []
    return [
      all,
      least,
      ...fields.filter(([field]) => !required.includes(field)).map(([field]) => without(all, field)),
      ...others.map((value) => ({ ...all, other: value })),
      ...fields.flatMap(([field, values]) => values.slice(1).map((value) => ({ ...all, [field]: value }))),
    ]
  }
}

const without = (value: object, field: string): object =>
  Object.fromEntries(Object.entries(value).filter(([name]) => name !== field))

/** One of each in turn, so that a limit cuts none of them off. */
function interleaved(lists: readonly unknown[][]): unknown[] {
  const longest = Math.max(0, ...lists.map((list) => list.length))
  return Array.from({ length: longest }, (_, index) => lists.flatMap((list) => list.slice(index, index + 1))).flat()
}

function texts(schema: Schema): string[] {
  const { format, pattern, minLength = 0, maxLength = Infinity } = schema as Record<string, never>
  const known = (typeof format === 'string' ? textsByFormat[format] : undefined) ?? anyTexts
  const least = 'x'.repeat(Math.min(Number(minLength), 1_000))
  const most =
    Number(maxLength) <= 2_000 ? ['x'.repeat(Number(maxLength))] : ['x'.repeat(Math.max(200, Number(minLength)))]
  const all = [...known, least, ...(format === undefined ? most : [])]
  return all.filter((text) => {
    const length = Array.from(text).length
    if (length < Number(minLength) || length > Number(maxLength)) return false
    try {
      return typeof pattern !== 'string' || new RegExp(pattern, 'u').test(text)
    } catch {
      return true
    }
  })
}

function numbers(schema: Schema, whole: boolean): number[] {
  const { minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf } = schema as Record<
    string,
    number | undefined
  >
  const step = multipleOf ?? (whole ? 1 : 0.5)
  const low = Math.max(minimum ?? -Infinity, exclusiveMinimum === undefined ? -Infinity : exclusiveMinimum + step)
  const high = Math.min(maximum ?? Infinity, exclusiveMaximum === undefined ? Infinity : exclusiveMaximum - step)
  const middle = [1, 0, -1, 2, 100, 1_000_000, ...(whole ? [] : [0.5, 0.1, -0.5])].map((value) =>
    multipleOf === undefined ? value : Math.round(value / multipleOf) * multipleOf,
  )
  const inside = middle.filter((value) => value >= low && value <= high)
  return [...inside, ...[low, high].filter((value) => Number.isFinite(value))]
}
