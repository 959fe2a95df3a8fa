/** The little that is read of the JSON Schemas of contracts wherever they are looked into. */
import type { AnyContract } from './event-contract.ts'

/** A JSON Schema, 2020-12. */
export type Schema = Readonly<Record<string, unknown>>

export const isSchema = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** The value of a keyword that holds a list; empty where it holds none. */
export const listOf = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])

/** The schema of a version, by default the latest; undefined when the library has none. */
export function schemaOf(contract: AnyContract, version?: number): Schema | undefined {
  try {
    return contract.jsonSchema(version)
  } catch {
    return undefined
  }
}

/** What a local reference such as `#/$defs/order` points to; undefined for nothing that is a schema. */
export function referred(root: Schema, ref: string): Schema | undefined {
  let found: unknown = root
  for (const step of ref.slice(1).split('/').filter(Boolean)) {
    const name = decodeURIComponent(step).replaceAll('~1', '/').replaceAll('~0', '~')
    found = (found as Readonly<Record<string, unknown>> | null | undefined)?.[name]
  }
  return isSchema(found) ? found : undefined
}
