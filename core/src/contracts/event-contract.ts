/** Event types: a name, a key, and a schema for each version. The contract is also the factory of its events. */
import { QuadrilleError } from '../base/errors.ts'
import { idCharsMax, nameCharsMax, textProblem } from '../base/kept-text.ts'
import { jsonForm } from './json-form.ts'
import { checkValue, invalid, jsonSchemaOf, preview } from './schema-check.ts'
import { checkedPattern, matchesPattern, patternText, type Pattern } from './pattern.ts'
import type { InputOf, OutputOf, StandardSchema } from './standard-schema.ts'

const emittedBrand: unique symbol = Symbol.for('quadrille.emitted') as never

/** An event that a contract has made and validated, and nobody has appended yet. */
export interface Emitted<Type extends string = string, Data = unknown> {
  readonly [emittedBrand]: true
  readonly type: Type
  readonly version: number
  /** The value of the key field: what orders and correlates the event. */
  readonly key: string
  /** What a reader of the event will get: the data after the schema's defaults and transformations. */
  readonly data: Data
  /** What goes over the wire: the data as it was handed in, in the form that JSON gives it (a Date is a string). */
  readonly payload: unknown
  /** An id chosen by the caller, for idempotent publishing. */
  readonly id?: string
  readonly contract: AnyContract
}

/** Options of one event. */
export interface EmitOptions {
  /** A unique id of your own, 1 to 200 characters. A second event with the same id is dropped as a duplicate. */
  readonly id?: string
}

/** One version of an event type. */
export interface ContractVersion {
  readonly version: number
  readonly schema: StandardSchema
  readonly upcast?: (previous: never) => unknown
  readonly jsonSchema?: Record<string, unknown>
}

/** What a reaction can be triggered by: a contract, or a contract narrowed by `.where()`. */
export interface EventPattern<Type extends string = string, Data = unknown> {
  readonly type: Type
  readonly contract: AnyContract
  /** Undefined for every event of the type. */
  readonly pattern?: Pattern
  /** Carries the type of the data; never set. */
  readonly $data?: Data
}

/** True when data of this type can be equal to the wanted value, nested objects field by field. */
type CanBe<Value, Wanted> = Wanted extends object
  ? [Narrow<Extract<Value, object>, Wanted>] extends [never]
    ? false
    : true
  : Wanted extends Value
    ? true
    : false

/** Keeps the members of a union that can satisfy the pattern, with the pattern's own types put in. */
export type Narrow<Data, P> = unknown extends P
  ? Data // An unknown pattern narrows nothing; the compiler compares contracts in this way.
  : Data extends unknown
    ? { [K in keyof P]: K extends keyof Data ? CanBe<Data[K], P[K]> : false }[keyof P] extends true
      ? Data & P
      : never
    : never

/** What `.where()` accepts for data of this type: fields of any member of the union, with values they can have. */
export type PatternOf<Data> = Data extends object ? { readonly [K in keyof Data]?: FieldPattern<Data[K]> } : never
type FieldPattern<Value> =
  | Extract<Value, string | number | boolean | null>
  | (Extract<Value, object> extends infer Nested extends object ? PatternOf<Nested> : never)
/** Refuses a pattern that no event can satisfy, by a field that says so. */
type Satisfiable<Data, P> = [Narrow<Data, P>] extends [never]
  ? { readonly 'no event can match this pattern': never }
  : unknown

/** The fields of a type by name, index signatures left out. */
type Named<T> = { [K in keyof T as string extends K ? never : K]: T[K] }
/** The string fields that every member of a union has: what may be a key. */
export type KeyOf<T> = keyof Named<T> extends infer K
  ? K extends keyof T & string
    ? T[K] extends string
      ? K
      : never
    : never
  : never
type CommonKey<T> = [T] extends [never] ? string : KeyOf<T>

/** What `event()` and `.version()` take to describe a version. */
export interface VersionOptions<S extends StandardSchema> {
  readonly schema: S
  /** The JSON Schema of this version, when the schema library can not give it. */
  readonly jsonSchema?: Record<string, unknown>
}

/** What a contract is whatever the types of its data, so that any contract can stand where one is wanted. */
export interface AnyContract extends EventPattern {
  /** The field that orders and correlates the events. */
  readonly key: string
  /** All versions, oldest first; their numbers are 1, 2, 3, ... */
  readonly versions: readonly ContractVersion[]
  /** The number of the latest version. */
  readonly latest: number
  /**
   * The JSON Schema (2020-12) of what is sent in the given version, by default the latest.
   *
   * @throws QuadrilleError `JSON_SCHEMA_UNAVAILABLE` when neither the schema library nor the contract has one;
   *   `CONTRACT_INVALID` when there is no such version.
   */
  jsonSchema(version?: number): Record<string, unknown>
}

/** An event type: factory, type, trigger and pattern in one. Made by {@link event}. */
export interface EventContract<Type extends string = string, Data = unknown, Input = never> extends AnyContract {
  readonly type: Type
  readonly $data?: Data
  /**
   * Makes an event of the latest version.
   *
   * What is validated is what a reader will see: the data as JSON carries it.
   *
   * @throws QuadrilleError `EVENT_INVALID` with path and value, when the data does not match the schema or is not JSON;
   *   `CONTRACT_INVALID` when the schema is asynchronous; `OPTION_INVALID` for an id that can not be used.
   */
  (data: Input, options?: EmitOptions): Emitted<Type, Data>
  /**
   * The next version. Events of older versions are brought up to it when they are read: each version's schema
   * validates, then `upcast` turns its data into what the next schema accepts.
   *
   * @param n - One more than the version before.
   * @throws QuadrilleError `CONTRACT_INVALID` when `n` does not follow.
   */
  version<S extends StandardSchema>(
    n: number,
    options: VersionOptions<S> & { readonly upcast: (previous: Data) => InputOf<S> },
  ): EventContract<Type, OutputOf<S>, InputOf<S>>
  /**
   * The events whose data has these values (compared with `===`, nested objects field by field). Plain data, so that
   * it can be checked, drawn and handed to a broker.
   *
   * @throws QuadrilleError `CONTRACT_INVALID` for a value that is not a string, number, boolean, null or object of these.
   */
  where<const P extends PatternOf<Data>>(pattern: P & Satisfiable<Data, P>): EventPattern<Type, Narrow<Data, P>>
}

/** Any trigger, whatever its data. */
export type AnyPattern = EventPattern<string, unknown>
/** The data of a contract or pattern. */
export type DataOf<E> = E extends EventPattern<string, infer Data> ? Data : never

const typePattern = /^[a-z0-9][a-z0-9._-]{0,199}$/i

/**
 * Declares an event type, version 1.
 *
 * @param type - The name on every wire: 1 to 200 characters of `a-z A-Z 0-9 . _ -`, for example `order.created`.
 * @param options - `key` names the string field that orders and correlates the events (a service handles events of
 *   one key in order); `schema` is any Standard Schema whose validation is synchronous.
 * @throws QuadrilleError `CONTRACT_INVALID` for a name or key that can not be used.
 *
 * @example
 * ```ts run
 * import { event } from 'quadrille'
 * import * as z from 'zod'
 *
 * const OrderCreated = event('order.created', {
 *   key: 'orderId',
 *   schema: z.object({ orderId: z.string(), total: z.number() }),
 * })
 * OrderCreated({ orderId: 'o-1', total: 20 }).key // => 'o-1'
 * ```
 */
export function event<Type extends string, S extends StandardSchema>(
  type: Type,
  options: VersionOptions<S> & { readonly key: CommonKey<OutputOf<S>> },
): EventContract<Type, OutputOf<S>, InputOf<S>> {
  const { key, ...first } = options
  if (!typePattern.test(type)) problem(type, 'its name must be 1 to 200 characters of a-z A-Z 0-9 . _ -')
  if (typeof key !== 'string' || key === '') problem(type, '`key` must name a field')
  return makeContract(type, key, Object.freeze([versionOf(type, 1, first)])) as EventContract<
    Type,
    OutputOf<S>,
    InputOf<S>
  >
}

function versionOf(type: string, version: number, options: Omit<ContractVersion, 'version'>): ContractVersion {
  if (typeof options.schema?.['~standard']?.validate !== 'function')
    problem(type, `the schema of v${version} is not a Standard Schema (zod, valibot, arktype, ...)`)
  const { schema, upcast, jsonSchema } = options
  return Object.freeze({ version, schema, upcast, jsonSchema })
}

function problem(type: string, text: string): never {
  throw new QuadrilleError('CONTRACT_INVALID', { type, problem: text })
}

function makeContract(type: string, key: string, versions: readonly ContractVersion[]): AnyContract {
  const last = versions[versions.length - 1]!
  const place = { type, version: last.version, schema: last.schema }
  const factory = (input: unknown, options?: EmitOptions): Emitted => {
    const payload = jsonForm(place, input)
    const data = checkValue(place, payload, input)
    const keyValue = (data as Record<string, unknown> | null | undefined)?.[key]
    const keyProblem = textProblem(keyValue, nameCharsMax)
    if (keyProblem !== undefined)
      throw invalid(place, { issues: [{ path: key, message: `the key ${keyProblem}` }], value: keyValue })
    const made = {
      [emittedBrand]: true as const,
      type,
      version: last.version,
      key: keyValue as string,
      data,
      payload,
      contract,
    }
    return options?.id === undefined ? made : { ...made, id: checkedId(options.id) }
  }
  const contract: AnyContract = Object.assign(factory, {
    type,
    key,
    versions,
    latest: last.version,
    version(n: number, options: Omit<ContractVersion, 'version'>) {
      if (n !== last.version + 1) problem(type, `version ${n} does not follow version ${last.version}`)
      if (typeof options.upcast !== 'function')
        problem(type, `version ${n} needs an \`upcast\` from version ${last.version}`)
      return makeContract(type, key, Object.freeze([...versions, versionOf(type, n, options)]))
    },
    where: (pattern: Pattern) => Object.freeze({ type, contract, pattern: checkedPattern(type, pattern) }),
    jsonSchema(version: number = last.version) {
      const found = versions.find((candidate) => candidate.version === version)
      if (!found) problem(type, `there is no version ${version}`)
      return found.jsonSchema ?? jsonSchemaOf({ type, version, schema: found.schema })
    },
    toString: () => type,
  }) as unknown as AnyContract
  Object.defineProperty(contract, 'contract', { value: contract, enumerable: false })
  return Object.freeze(contract)
}

function checkedId(id: unknown): string {
  const problem = textProblem(id, idCharsMax)
  if (problem === undefined) return id as string
  throw new QuadrilleError('OPTION_INVALID', {
    option: 'id',
    value: preview(id),
    expected: `a string of 1 to ${idCharsMax} characters (this one ${problem})`,
  })
}

/** True for what a contract has made. */
export function isEmitted(value: unknown): value is Emitted {
  return typeof value === 'object' && value !== null && emittedBrand in value
}

/** True when the event data satisfies the pattern of the trigger. */
export function matches(trigger: EventPattern, data: unknown): boolean {
  return trigger.pattern === undefined || matchesPattern(trigger.pattern, data)
}

/** The trigger as text: `payment.processed`, or `payment.processed{status=failed}` when narrowed. */
export function triggerText(trigger: EventPattern): string {
  return trigger.pattern === undefined ? trigger.type : `${trigger.type}{${patternText(trigger.pattern)}}`
}
