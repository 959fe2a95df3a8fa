/**
 * Whether every value that one JSON Schema allows is allowed by another one: what a producer sends, and what a consumer
 * reads. Objects of the producer hold the fields that its schema names and no others; fields that a reader does not know
 * are no fault unless it forbids them. What is not understood is never taken for proven.
 */
import { isSchema, listOf, referred, type Schema } from '../../contracts/json-schema.ts'

/** Why a value that is sent may not be read, or why nobody can tell. */
export interface Doubt {
  /** `lines.0.amount`; empty for the whole. */
  readonly path: string
  readonly why: string
}

const depthMax = 40
/** Splitting by the values of fields ends here. */
const splitsMax = 64

/** JSON Schema libraries write the limits of safe integers as bounds. */
const isReal = (bound: unknown): bound is number =>
  typeof bound === 'number' && Math.abs(bound) < Number.MAX_SAFE_INTEGER

/** Words that say nothing about values, or that are handled where they stand. */
const understood: ReadonlySet<string> = new Set(
  [
    '$schema $id $defs $comment definitions title description default examples deprecated readOnly writeOnly',
    'type const enum anyOf oneOf allOf $ref properties required additionalProperties propertyNames',
    'items prefixItems minItems maxItems uniqueItems minLength maxLength pattern format',
    'minimum maximum exclusiveMinimum exclusiveMaximum multipleOf',
  ].flatMap((words) => words.split(' ')),
)

/** Doubts whether all that `sent` allows is allowed by `read`; none when it is proven. */
export function doubtsOf(sent: Schema, read: Schema): Doubt[] {
  return new Comparison(sent, read).compare(sent, read, { path: '', depth: 0 })
}

interface At {
  readonly path: string
  readonly depth: number
}

class Comparison {
  readonly #sent: Schema
  readonly #read: Schema
  /** Pairs under comparison: what is recursive holds as long as nothing speaks against it. */
  readonly #open = new Map<unknown, Set<unknown>>()
  #splits = 0

  constructor(sent: Schema, read: Schema) {
    this.#sent = sent
    this.#read = read
  }

  compare(sent: unknown, read: unknown, at: At): Doubt[] {
    const doubt = (why: string): Doubt[] => [{ path: at.path, why }]
    if (read === true || read === undefined || sent === false) return []
    if (read === false) return doubt('it is not allowed at all')
    if (!isSchema(read)) return doubt('its schema is not understood')
    if (sent === true || sent === undefined) return Object.keys(read).length === 0 ? [] : doubt('anything may be sent')
    if (!isSchema(sent) || at.depth > depthMax) return doubt('its schema is not understood')
    const [own, other] = [this.#resolved(this.#sent, sent), this.#resolved(this.#read, read)]
    if (!own || !other) return doubt('a reference in its schema is not understood')
    const open = this.#open.get(own)
    if (open?.has(other)) return []
    this.#open.set(own, (open ?? new Set()).add(other))
    const doubts = this.#resolvedPair(own, other, { ...at, depth: at.depth + 1 })
    this.#open.get(own)!.delete(other)
    return doubts
  }

  #resolved(root: Schema, schema: Schema): Schema | undefined {
    const { $ref, ...rest } = schema
    if ($ref === undefined) return schema
    if (typeof $ref !== 'string' || !$ref.startsWith('#')) return undefined
    const found = referred(root, $ref)
    if (found === undefined) return undefined
    const beside = Object.keys(rest).some((word) => !['description', 'title', 'default'].includes(word))
    return beside ? { allOf: [found, rest] } : this.#resolved(root, found)
  }

  #resolvedPair(sent: Schema, read: Schema, at: At): Doubt[] {
    const branches = alternativesOf(sent)
    if (branches) return firstOf(branches.map((branch) => this.compare(branch, read, at)))
    const parts = listOf(sent['allOf'])
    if (parts.length > 0) {
      const whole = this.#merged(sent, parts)
      return whole ? this.compare(whole, read, at) : [{ path: at.path, why: 'its schema is put together of parts' }]
    }
    const strange = Object.keys(read).find((word) => !understood.has(word))
    if (strange !== undefined) return [{ path: at.path, why: `\`${strange}\` is not understood` }]
    const all = listOf(read['allOf']).map((part) => this.compare(sent, part, at))
    const doubts = firstOf([...all, this.#values(sent, read, at)])
    if (doubts.length > 0) return doubts
    for (const word of ['anyOf', 'oneOf']) {
      const open = listOf(read[word])
      if (open.length === 0) continue
      if (word === 'oneOf' && !this.#areDistinct(open)) return [{ path: at.path, why: '`oneOf` may allow it twice' }]
      const without = this.#oneOf(sent, open, at)
      if (without.length > 0) return without
    }
    return []
  }

  /** Whether one of these allows it all; if not, whether they do so value by value. */
  #oneOf(sent: Schema, open: readonly unknown[], at: At): Doubt[] {
    const each = open.map((branch) => this.compare(sent, branch, at))
    const best = each.sort((one, two) => one.length - two.length)[0]!
    if (best.length === 0) return []
    const split = this.#splits < splitsMax ? this.#split(sent) : undefined
    if (!split)
      return open.length === 1 ? best : [{ path: at.path, why: `none of ${open.length} alternatives allows it` }]
    this.#splits += split.length
    return firstOf(split.map((part) => this.#oneOf(part, open, at)))
  }

  /** The same schema, divided by the values of one of its fields, or by its own. */
  #split(sent: Schema): Schema[] | undefined {
    const types = listOf(sent['type'])
    if (types.length > 1) return types.map((type) => ({ ...sent, type }))
    const own = valuesOf(sent)
    if (own && own.length > 1) return own.map((value) => ({ ...sent, const: value, enum: undefined }))
    const properties = isSchema(sent['properties']) ? sent['properties'] : {}
    const required = listOf(sent['required'])
    for (const [field, given] of Object.entries(properties)) {
      const schema = isSchema(given) ? this.#resolved(this.#sent, given) : undefined
      const values = schema && required.includes(field) ? (valuesOf(schema) ?? alternativesOf(schema)) : undefined
      if (!values || values.length < 2) continue
      const asSchema = (value: unknown): unknown => (valuesOf(schema!) ? { const: value } : value)
      return values.map((value) => ({ ...sent, properties: { ...properties, [field]: asSchema(value) } }))
    }
    return undefined
  }

  #merged(sent: Schema, parts: readonly unknown[]): Schema | undefined {
    const { allOf: _, ...own } = sent
    let whole: Record<string, unknown> = own
    for (const part of parts) {
      const schema = isSchema(part) ? this.#resolved(this.#sent, part) : undefined
      if (!schema) return undefined
      for (const [word, value] of Object.entries(schema)) {
        if (word === 'required') whole[word] = [...listOf(whole[word]), ...listOf(value)]
        else if (word === 'properties') {
          const known = (whole[word] ?? {}) as Schema
          if (Object.keys(value as Schema).some((field) => field in known)) return undefined
          whole = { ...whole, properties: { ...known, ...(value as Schema) } }
        } else if (word in whole && JSON.stringify(whole[word]) !== JSON.stringify(value)) return undefined
        else whole[word] = value
      }
    }
    return whole
  }

  /** Alternatives that differ in the constant of a field that all of them require exclude each other. */
  #areDistinct(open: readonly unknown[]): boolean {
    const schemas = open.map((each) => (isSchema(each) ? this.#resolved(this.#read, each) : undefined))
    const fields = Object.keys((schemas[0]?.['properties'] ?? {}) as Schema)
    const types = schemas.map((schema) => schema?.['type'])
    if (types.every((type) => typeof type === 'string') && new Set(types).size === types.length)
      return !types.includes('integer') || !types.includes('number')
    return fields.some((field) => {
      const values = schemas.flatMap((schema) => {
        const property = ((schema?.['properties'] ?? {}) as Schema)[field]
        const known =
          isSchema(property) && listOf(schema?.['required']).includes(field) ? valuesOf(property) : undefined
        return known ?? [undefined]
      })
      return !values.includes(undefined) && new Set(values.map((value) => JSON.stringify(value))).size === values.length
    })
  }

  #values(sent: Schema, read: Schema, at: At): Doubt[] {
    const doubt = (why: string): Doubt[] => [{ path: at.path, why }]
    const values = valuesOf(sent)
    const wanted = valuesOf(read)
    if (values && values.every((value) => typeof value !== 'object' || value === null)) {
      const refused = values.find((value) => !allows(read, value, wanted))
      return refused === undefined ? [] : doubt(`${JSON.stringify(refused)} is not allowed`)
    }
    if (wanted) {
      const known = values?.map((value) => JSON.stringify(value))
      const all = known?.every((value) => wanted.some((each) => JSON.stringify(each) === value))
      return all ? [] : doubt(`only ${wanted.map((value) => JSON.stringify(value)).join(', ')} is allowed`)
    }
    const types = typesOf(sent)
    const allowed = typesOf(read)
    const refused = types.find((type) => !allowed.includes(type) && !(type === 'integer' && allowed.includes('number')))
    if (refused !== undefined) return doubt(`it may be of type ${refused}, and must be ${allowed.join(' or ')}`)
    return firstOf([
      types.includes('number') || types.includes('integer') ? numbers(sent, read, at) : [],
      types.includes('string') ? strings(sent, read, at) : [],
      types.includes('array') ? this.#arrays(sent, read, at) : [],
      types.includes('object') ? this.#objects(sent, read, at) : [],
    ])
  }

  #arrays(sent: Schema, read: Schema, at: At): Doubt[] {
    const doubt = (why: string): Doubt[] => [{ path: at.path, why }]
    const least = (sent['minItems'] as number | undefined) ?? 0
    const most =
      (sent['maxItems'] as number | undefined) ??
      (sent['items'] === false ? listOf(sent['prefixItems']).length : Infinity)
    if (least < ((read['minItems'] as number | undefined) ?? 0))
      return doubt(`it may have fewer than ${String(read['minItems'])} items`)
    if (most > ((read['maxItems'] as number | undefined) ?? Infinity))
      return doubt(`it may have more than ${String(read['maxItems'])} items`)
    if (read['uniqueItems'] === true && sent['uniqueItems'] !== true && most > 1) return doubt('its items may be equal')
    const [own, other] = [listOf(sent['prefixItems']), listOf(read['prefixItems'])]
    const first = Math.min(Math.max(own.length, other.length), most)
    const itemOf = (schema: Schema, index: number): unknown => listOf(schema['prefixItems'])[index] ?? schema['items']
    const places = Array.from({ length: first }, (_, index) => index)
    const each = places.map((index) =>
      this.compare(itemOf(sent, index) ?? true, itemOf(read, index), inner(at, String(index))),
    )
    if (most > first) each.push(this.compare(sent['items'] ?? true, read['items'], inner(at, '*')))
    return firstOf(each)
  }

  #objects(sent: Schema, read: Schema, at: At): Doubt[] {
    const fields = (sent['properties'] ?? {}) as Schema
    const known = (read['properties'] ?? {}) as Schema
    const required = listOf(sent['required'])
    for (const field of listOf(read['required']) as readonly string[]) {
      if (!required.includes(field)) return [{ path: inner(at, field).path, why: 'it may be missing, and is required' }]
    }
    const names = read['propertyNames']
    if (
      isSchema(names) &&
      JSON.stringify(names) !== JSON.stringify(sent['propertyNames']) &&
      Object.keys(names).some((word) => word !== 'type')
    )
      return [{ path: at.path, why: '`propertyNames` is not understood' }]
    const each = Object.entries(fields).map(([field, schema]) =>
      this.compare(schema, field in known ? known[field] : read['additionalProperties'], inner(at, field)),
    )
    const more = sent['additionalProperties']
    if (isSchema(more) || (more === true && Object.keys(fields).length === 0)) {
      each.push(this.compare(more, read['additionalProperties'], inner(at, '*')))
      for (const [field, schema] of Object.entries(known)) {
        if (!(field in fields)) each.push(this.compare(more, schema, inner(at, field)))
      }
    }
    return firstOf(each)
  }
}

const inner = ({ path, depth }: At, field: string): At => ({ path: path === '' ? field : `${path}.${field}`, depth })

const firstOf = (all: readonly Doubt[][]): Doubt[] => all.find((doubts) => doubts.length > 0) ?? []

function alternativesOf(schema: Schema): Schema[] | undefined {
  for (const word of ['anyOf', 'oneOf']) {
    const open = listOf(schema[word])
    if (open.length === 0) continue
    const { [word]: _, ...rest } = schema
    const own = Object.keys(rest).filter(
      (key) => !['$defs', 'definitions', '$schema', 'description', 'default'].includes(key),
    )
    return open.map((branch) => (own.length === 0 ? (branch as Schema) : { allOf: [branch, rest] }))
  }
  return undefined
}

function valuesOf(schema: Schema): readonly unknown[] | undefined {
  if (schema['const'] !== undefined || ('const' in schema && schema['const'] === null)) return [schema['const']]
  if (Array.isArray(schema['enum'])) return schema['enum'] as unknown[]
  if (schema['type'] === 'boolean') return [true, false]
  if (schema['type'] === 'null') return [null]
  return undefined
}

const allTypes: readonly string[] = ['string', 'number', 'boolean', 'null', 'array', 'object']

function typesOf(schema: Schema): readonly string[] {
  const { type } = schema
  return type === undefined ? allTypes : ((Array.isArray(type) ? type : [type]) as string[])
}

const typeOf = (value: unknown): string => (value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value)

/** Whether a schema without alternatives allows a value that is no object. */
function allows(read: Schema, value: unknown, wanted: readonly unknown[] | undefined): boolean {
  if (wanted && !wanted.includes(value)) return false
  const types = typesOf(read)
  const type = typeOf(value)
  if (!types.includes(type) && !(type === 'number' && types.includes('integer') && Number.isInteger(value)))
    return false
  const asSchema: Schema =
    typeof value === 'number'
      ? { minimum: value, maximum: value, exact: value }
      : typeof value === 'string'
        ? { minLength: Array.from(value).length, maxLength: Array.from(value).length, text: value }
        : {}
  if (typeof value === 'number') return numbers(asSchema, read, { path: '', depth: 0 }).length === 0
  return typeof value !== 'string' || strings(asSchema, read, { path: '', depth: 0 }).length === 0
}

function numbers(sent: Schema, read: Schema, { path }: At): Doubt[] {
  const doubt = (why: string): Doubt[] => [{ path, why }]
  const { minimum, exclusiveMinimum, maximum, exclusiveMaximum, multipleOf } = read
  const low = (schema: Schema) =>
    Math.max(bound(schema['minimum'], -Infinity), bound(schema['exclusiveMinimum'], -Infinity))
  const high = (schema: Schema) =>
    Math.min(bound(schema['maximum'], Infinity), bound(schema['exclusiveMaximum'], Infinity))
  const opensLow = isReal(sent['exclusiveMinimum']) && low(sent) === sent['exclusiveMinimum']
  const opensHigh = isReal(sent['exclusiveMaximum']) && high(sent) === sent['exclusiveMaximum']
  if (isReal(minimum) && low(sent) < minimum) return doubt(`it may be less than ${minimum}`)
  if (isReal(exclusiveMinimum) && (low(sent) < exclusiveMinimum || (low(sent) === exclusiveMinimum && !opensLow)))
    return doubt(`it may be ${exclusiveMinimum} or less`)
  if (isReal(maximum) && high(sent) > maximum) return doubt(`it may be more than ${maximum}`)
  if (isReal(exclusiveMaximum) && (high(sent) > exclusiveMaximum || (high(sent) === exclusiveMaximum && !opensHigh)))
    return doubt(`it may be ${exclusiveMaximum} or more`)
  const steps = sent['multipleOf'] ?? sent['exact'] ?? (sent['type'] === 'integer' ? 1 : undefined)
  if (typeof multipleOf === 'number' && (typeof steps !== 'number' || !isMultiple(steps, multipleOf)))
    return doubt(`it may be no multiple of ${multipleOf}`)
  return []
}

const bound = (value: unknown, none: number): number => (isReal(value) ? value : none)

const isMultiple = (value: number, of: number): boolean => Math.abs(value / of - Math.round(value / of)) < 1e-9

function strings(sent: Schema, read: Schema, { path }: At): Doubt[] {
  const doubt = (why: string): Doubt[] => [{ path, why }]
  const { minLength, maxLength, pattern, format } = read
  if (typeof minLength === 'number' && ((sent['minLength'] as number | undefined) ?? 0) < minLength)
    return doubt(`it may have fewer than ${minLength} characters`)
  if (typeof maxLength === 'number' && ((sent['maxLength'] as number | undefined) ?? Infinity) > maxLength)
    return doubt(`it may have more than ${maxLength} characters`)
  const text = sent['text']
  if (typeof pattern === 'string' && pattern !== sent['pattern'] && !(typeof text === 'string' && fits(pattern, text)))
    return doubt(`it may not match ${pattern.length > 60 ? `${pattern.slice(0, 60)}…` : pattern}`)
  if (typeof format === 'string' && format !== sent['format'] && !(typeof text === 'string' && pattern !== undefined))
    return doubt(`it may be no ${format}`)
  return []
}

function fits(pattern: string, text: string): boolean {
  try {
    return new RegExp(pattern, 'u').test(text)
  } catch {
    return false
  }
}
