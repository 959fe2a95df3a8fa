/** A value for a JSON Schema: the plainest one, or some other that fits. */
import type { Randomness } from '../base/randomness.ts'
import { referred, type Schema } from '../contracts/json-schema.ts'

/** How a sample is made. */
export interface SampleOptions {
  readonly random: Randomness
  /** The plainest value: optional fields left out, one item, the smallest number that is not nothing. */
  readonly plain: boolean
  /** Values known for a field of this name. */
  readonly hints: (field: string) => readonly unknown[]
}

const depthMax = 12

/** A value that fits the schema, as far as its common keywords say. */
export function sampleOf(schema: Schema, options: SampleOptions): unknown {
  return new Sampler(schema, options).value(schema, '', 0)
}

class Sampler {
  readonly #root: Schema
  readonly #options: SampleOptions

  constructor(root: Schema, options: SampleOptions) {
    this.#root = root
    this.#options = options
  }

  value(given: Schema, field: string, depth: number): unknown {
    const schema = this.#resolved(given)
    const { plain, random } = this.#options
    if ('const' in schema) return schema['const']
    const choices = (schema['enum'] ?? undefined) as readonly unknown[] | undefined
    if (choices) return plain ? choices[0] : random.pick(choices)
    const examples = schema['examples'] as readonly unknown[] | undefined
    if (examples && examples.length > 0) return plain ? examples[0] : random.pick(examples)
    const branches = (schema['oneOf'] ?? schema['anyOf']) as readonly Schema[] | undefined
    if (branches) return this.value(plain ? branches[0]! : random.pick(branches), field, depth + 1)
    if (Array.isArray(schema['allOf']))
      return Object.assign(
        {},
        ...(schema['allOf'] as Schema[]).map((each) => this.value(each, field, depth + 1)),
      ) as unknown
    const type = Array.isArray(schema['type']) ? (schema['type'] as string[])[0] : schema['type']
    if (type === 'object' || 'properties' in schema) return this.#object(schema, depth)
    if (type === 'array') return this.#array(schema, field, depth)
    if (type === 'number' || type === 'integer') return this.#number(schema, type)
    if (type === 'boolean') return plain ? true : random.below(2) === 1
    if (type === 'null') return null
    return this.#string(schema, field)
  }

  #resolved(schema: Schema): Schema {
    const ref = schema['$ref']
    if (typeof ref !== 'string' || !ref.startsWith('#/')) return schema
    return referred(this.#root, ref) ?? {}
  }

  #object(schema: Schema, depth: number): unknown {
    const required = new Set((schema['required'] as readonly string[] | undefined) ?? [])
    const properties = Object.entries((schema['properties'] ?? {}) as Record<string, Schema>)
    const wanted = properties.filter(([name]) => required.has(name) || (!this.#options.plain && depth < depthMax))
    return Object.fromEntries(wanted.map(([name, each]) => [name, this.value(each, name, depth + 1)]))
  }

  #array(schema: Schema, field: string, depth: number): unknown {
    const { plain, random } = this.#options
    const min = Number(schema['minItems'] ?? 0)
    const max = Math.min(Number(schema['maxItems'] ?? 3), Math.max(min, 3))
    const length = plain ? Math.max(1, min) : min + random.below(max - min + 1)
    if (depth > depthMax) return []
    const singular = field.replace(/s$/, '')
    return Array.from({ length }, () => this.value((schema['items'] ?? {}) as Schema, singular, depth + 1))
  }

  #number(schema: Schema, type: string): number {
    const { plain, random } = this.#options
    const step = Number(schema['multipleOf'] ?? (type === 'integer' ? 1 : 0.01))
    const low = Number(schema['minimum'] ?? Number(schema['exclusiveMinimum'] ?? 0) + step)
    const high = Math.min(Number(schema['maximum'] ?? Infinity), Number(schema['exclusiveMaximum'] ?? Infinity) - step)
    const wanted = plain ? Math.max(1, low) : Math.max(1, low) + random.below(10)
    const value = Math.max(low, Math.min(wanted, high))
    return Number((Math.round(value / step) * step).toFixed(6))
  }

  #string(schema: Schema, field: string): string {
    const { plain, random, hints } = this.#options
    const known = hints(field).filter((value) => typeof value === 'string')
    if (known.length > 0) return plain ? known[0]! : random.pick(known)
    const { format } = schema
    if (format === 'date-time') return '2026-01-01T00:00:00.000Z'
    if (format === 'date') return '2026-01-01'
    if (format === 'email') return 'ada@example.com'
    if (format === 'uri' || format === 'url') return 'https://example.com/'
    if (format === 'uuid') return '019b76da-a800-7000-8000-000000000001'
    const base = `${field === '' ? 'text' : field}-${plain ? 1 : 1 + random.below(3)}`
    const min = Number(schema['minLength'] ?? 0)
    const max = Number(schema['maxLength'] ?? Infinity)
    return base.padEnd(min, 'x').slice(0, max)
  }
}
