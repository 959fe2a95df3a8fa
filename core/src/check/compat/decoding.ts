/** Whether a reader with its contract can decode all that a producer with another one may send. */
import { decodeData, type AnyContract } from '../../contracts/index.ts'
import { schemaOf } from '../../contracts/json-schema.ts'
import { samplesOf } from './samples.ts'
import { doubtsOf } from './subset.ts'

/** What was found out. */
export type Verdict =
  | { readonly verdict: 'proven' }
  /** This value may be sent, and can not be read. */
  | { readonly verdict: 'refuted'; readonly version: number; readonly why: string; readonly value?: unknown }
  /** No value was found, and no proof either. */
  | { readonly verdict: 'unknown'; readonly version: number; readonly why: string }

/**
 * Whether everything that `sent` may send is decoded by `read`: in its latest version, and in the older ones that are
 * still in ledgers. A proof compares the JSON Schemas. A refutation is a value that the schema of the producer accepts,
 * and the reader does not decode.
 */
export function decodes(sent: AnyContract, read: AnyContract): Verdict {
  if (sent.key !== read.key) {
    return { verdict: 'refuted', version: sent.latest, why: `it is keyed by ${sent.key}, and read by ${read.key}` }
  }
  const all = sent.versions.map(({ version }) => decodesVersion(sent, read, version))
  return all.find(({ verdict }) => verdict === 'refuted') ?? all.find(({ verdict }) => verdict === 'unknown') ?? all[0]!
}

function decodesVersion(sent: AnyContract, read: AnyContract, version: number): Verdict {
  if (version > read.latest) return { verdict: 'refuted', version, why: `the reader knows no version ${version}` }
  const schema = schemaOf(sent, version)
  for (const value of schema ? samplesOf(schema) : []) {
    if (!accepts(sent, version, value)) continue
    const why = refusal(read, version, value)
    if (why !== undefined) return { verdict: 'refuted', version, why, value }
  }
  if (sent === read && version === read.latest) return { verdict: 'proven' }
  const other = schemaOf(read, version)
  if (!schema || !other) return { verdict: 'unknown', version, why: 'there is no JSON Schema of both sides' }
  const [doubt] = sent === read ? [] : doubtsOf(schema, other)
  if (doubt)
    return { verdict: 'unknown', version, why: `${doubt.path === '' ? 'the whole' : doubt.path}: ${doubt.why}` }
  if (version < read.latest) return { verdict: 'unknown', version, why: 'an upcast is code, and was only tried out' }
  return { verdict: 'proven' }
}

function accepts({ versions }: AnyContract, version: number, value: unknown): boolean {
  try {
    const result = versions[version - 1]!.schema['~standard'].validate(structuredClone(value))
    return 'value' in result
  } catch {
    return false
  }
}

/** Why the reader can not decode the value; undefined when it can. */
function refusal(read: AnyContract, version: number, value: unknown): string | undefined {
  try {
    decodeData(read, { type: read.type, version, data: JSON.stringify(value) })
    return undefined
  } catch (error) {
    return (error as Error).message
  }
}
