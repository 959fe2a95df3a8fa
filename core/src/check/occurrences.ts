/**
 * The occurrences of an event type: its events, told apart as far as any pattern of the choreography tells them apart
 * and its schema allows. A type that nobody narrows has one.
 */
import type { Pattern, PatternValue } from '../contracts/index.ts'
import { isSchema, listOf, referred, type Schema } from '../contracts/json-schema.ts'

/** What a field can be when a pattern wants something else, or when it is missing. */
export const other: unique symbol = Symbol('other')

type Scalar = Exclude<PatternValue, Pattern>
type Wanted = Scalar | typeof other

/** One occurrence: for each field that a pattern speaks of, its value. */
export type Values = ReadonlyMap<string, Wanted>

/** More occurrences of one type are not told apart. */
const occurrencesMax = 64
const branchesMax = 64
const depthMax = 8

/** The pattern as a list of paths and values. */
export function fieldsOf(pattern: Pattern, path: readonly string[] = []): { path: string; value: Scalar }[] {
  return Object.entries(pattern).flatMap(([field, value]) =>
    typeof value === 'object' && value !== null
      ? fieldsOf(value, [...path, field])
      : [{ path: [...path, field].join('\u0000'), value }],
  )
}

/** Whether an occurrence with these values satisfies the pattern. */
export const satisfies = (values: Values, pattern: Pattern | null): boolean =>
  pattern === null || fieldsOf(pattern).every(({ path, value }) => values.get(path) === value)

/** The values as text: `status=failed`. */
export function valuesText(values: Values): string {
  return [...values]
    .map(([path, value]) => `${path.replaceAll('\u0000', '.')}=${value === other ? 'other' : String(value)}`)
    .join(',')
}

/** What a field can be in one branch of a schema: these values, and perhaps others. */
interface Domain {
  readonly values: ReadonlySet<Scalar> | null
  /** It may be missing, or something that no pattern wants. */
  readonly open: boolean
}

/**
 * All occurrences of a type.
 *
 * @param patterns - All patterns over the type in the choreography.
 * @param schema - Its JSON Schema; undefined when there is none.
 */
export function occurrencesOf(patterns: readonly Pattern[], schema: object | undefined): Values[] {
  const wanted = new Map<string, Set<Scalar>>()
  for (const { path, value } of patterns.flatMap((pattern) => fieldsOf(pattern))) {
    wanted.set(path, (wanted.get(path) ?? new Set()).add(value))
  }
  if (wanted.size === 0) return [new Map()]
  const found = new Map<string, Values>()
  for (const branch of branchesOf(schema)) {
    const choices = [...wanted].map(([path, values]) => ({ path, options: optionsOf(branch, path, values) }))
    for (const values of product(choices)) {
      const text = valuesText(values)
      if (!found.has(text)) found.set(text, values)
      if (found.size > occurrencesMax) return [new Map()]
    }
  }
  return found.size === 0 ? [new Map()] : [...found.values()]
}

interface Choice {
  readonly path: string
  readonly options: readonly Wanted[]
}

function product(choices: readonly Choice[]): Values[] {
  let all: Values[] = [new Map()]
  for (const { path, options } of choices) {
    all = all.flatMap((values) => options.map((option) => new Map([...values, [path, option]])))
    if (all.length > occurrencesMax * branchesMax) return []
  }
  return all
}

function optionsOf(branch: Branch, path: string, wanted: ReadonlySet<Scalar>): Wanted[] {
  const domain = domainOf(branch, path.split('\u0000'))
  const named = [...wanted].filter((value) => domain.values === null || domain.values.has(value))
  // Without a list of values in the schema, several patterns are taken to be all there is; a single one is not.
  const others =
    domain.values === null ? wanted.size === 1 : domain.open || [...domain.values].some((value) => !wanted.has(value))
  return others ? [...named, other] : named
}

interface Branch {
  readonly root: Schema
  /** All of these hold. */
  readonly parts: readonly Schema[]
}

const schemasOf = (value: unknown): readonly Schema[] => listOf(value).filter(isSchema)

/** The schema with its local references followed. */
function resolved(root: Schema, schema: Schema, depth = 0): Schema {
  const { $ref } = schema
  if (typeof $ref !== 'string' || !$ref.startsWith('#') || depth > depthMax) return schema
  const found = referred(root, $ref)
  return found ? resolved(root, found, depth + 1) : schema
}

/** The alternatives of a schema, each as parts that hold together. */
function branchesOf(schema: object | undefined): Branch[] {
  if (!isSchema(schema)) return [{ root: {}, parts: [] }]
  const expand = (part: Schema, depth: number): Schema[][] => {
    const own = resolved(schema, part)
    let branches: Schema[][] = [[own]]
    if (depth > depthMax) return branches
    for (const each of schemasOf(own['allOf'])) branches = crossed(branches, expand(each, depth + 1))
    for (const keyword of ['anyOf', 'oneOf']) {
      const alternatives = schemasOf(own[keyword]).flatMap((each) => expand(each, depth + 1))
      if (alternatives.length > 0) branches = crossed(branches, alternatives)
    }
    return branches
  }
  return expand(schema, 0).map((parts) => ({ root: schema, parts }))
}

function crossed(left: Schema[][], right: Schema[][]): Schema[][] {
  if (left.length * right.length > branchesMax) return left
  return left.flatMap((one) => right.map((two) => [...one, ...two]))
}

/** What the branch says about the field at the path. */
function domainOf({ root, parts }: Branch, path: readonly string[]): Domain {
  const [field, ...rest] = path
  let values: ReadonlySet<Scalar> | null = null
  let known = false
  let required = false
  for (const part of parts) {
    const properties = part['properties']
    if (Array.isArray(part['required']) && part['required'].includes(field)) required = true
    const inner = isSchema(properties) ? properties[field!] : undefined
    if (!isSchema(inner)) continue
    known = true
    const domain = rest.length > 0 ? nested(root, inner, rest) : { values: listed(root, inner, 0), open: false }
    if (domain.open) required = false
    if (domain.values !== null) values = values === null ? domain.values : intersection(values, domain.values)
  }
  if (parts.length > 0 && !known) return { values: new Set(), open: true }
  return { values, open: !required }
}

function nested(root: Schema, inner: Schema, rest: readonly string[]): Domain {
  const domains = branchesOf({ ...inner, $defs: root['$defs'], definitions: root['definitions'] }).map((branch) =>
    domainOf({ root, parts: branch.parts.map((part) => resolved(root, part)) }, rest),
  )
  const all = domains.map(({ values }) => values)
  return {
    values: all.includes(null) ? null : new Set(all.flatMap((values) => [...values!])),
    open: domains.some(({ open }) => open),
  }
}

const intersection = (one: ReadonlySet<Scalar>, two: ReadonlySet<Scalar>): ReadonlySet<Scalar> =>
  new Set([...one].filter((value) => two.has(value)))

/** The finite list of values that a schema allows; null when there is none. */
function listed(root: Schema, given: Schema, depth: number): ReadonlySet<Scalar> | null {
  const schema = resolved(root, given)
  if (depth > depthMax) return null
  if ('const' in schema) return new Set([schema['const'] as Scalar])
  if (Array.isArray(schema['enum'])) return new Set(schema['enum'] as Scalar[])
  if (schema['type'] === 'boolean') return new Set([true, false])
  if (schema['type'] === 'null') return new Set([null])
  for (const keyword of ['anyOf', 'oneOf']) {
    const alternatives = schemasOf(schema[keyword]).map((each) => listed(root, each, depth + 1))
    if (alternatives.length === 0 || alternatives.includes(null)) continue
    return new Set(alternatives.flatMap((values) => [...values!]))
  }
  return null
}
