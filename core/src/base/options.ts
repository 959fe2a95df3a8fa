/** Checks of options: a name that is written wrongly would be as good as none, and nobody would notice. */
import { QuadrilleError } from './errors.ts'

/** Whose options are looked at. */
export interface OptionsOf {
  /** Who takes them: `start()`, `orders/order.created`. */
  readonly of: string
  /** The option that they are options of, such as `retry`. */
  readonly path?: string
}

/**
 * Refuses what is no object, and names that are not known.
 *
 * @param known - Names that are `false` are known and not proposed: something else says what is wrong with them.
 * @throws QuadrilleError `OPTION_INVALID`, with the names that there are and the nearest of them.
 *
 * @example
 * ```ts
 * interface PigeonOptions {
 *   readonly loft?: string
 * }
 * const pigeon = (options: PigeonOptions) => refuseUnknown(options, { loft: true }, { of: 'pigeon()' })
 * pigeon({ loft: 'north' })
 * ```
 */
export function refuseUnknown<Options extends object>(
  given: Options,
  known: Readonly<Record<keyof Options, boolean>>,
  { of, path }: OptionsOf,
): void {
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    refuseOption(given, `${path ?? 'options'} of ${of}`, 'an object')
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(known, name))
  if (unknown === undefined) return
  const names = Object.keys(known).filter((name) => known[name as keyof Options])
  const meant = nearest(unknown, names)
  throw new QuadrilleError('OPTION_INVALID', {
    option: path === undefined ? unknown : `${path}.${unknown}`,
    value: `unknown to ${of}${meant === undefined ? '' : ` (did you mean ${meant}?)`}`,
    expected: `one of ${names.join(', ')}`,
  })
}

/**
 * Refuses the value of an option. Texts are shown: no passwords.
 *
 * @throws QuadrilleError `OPTION_INVALID`, always.
 */
export function refuseOption(value: unknown, option: string, expected: string): never {
  throw new QuadrilleError('OPTION_INVALID', { option, value: shown(value), expected })
}

/** What the number of an option has to be. */
export interface NumberRule {
  readonly option: string
  readonly min: number
  /** Default: no limit. */
  readonly max?: number
  /** Default true. */
  readonly whole?: boolean
}

/**
 * The number, when it is one that the rule allows.
 *
 * @throws QuadrilleError `OPTION_INVALID`.
 */
export function numberOption(value: number, { option, min, max = Infinity, whole = true }: NumberRule): number {
  if (
    typeof value === 'number' &&
    value >= min &&
    value <= max &&
    (whole ? Number.isSafeInteger(value) : Number.isFinite(value))
  )
    return value
  const kind = whole ? 'a whole number' : 'a number'
  return refuseOption(value, option, `${kind} ${max === Infinity ? `of at least ${min}` : `from ${min} to ${max}`}`)
}

function shown(value: unknown): string {
  if (typeof value === 'function') return `a function${value.name === '' ? '' : ` (${value.name})`}`
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' && value !== null ? 'an object' : String(value)
}

/** The name that was probably meant: less than half of the letters differ. */
function nearest(wrong: string, names: readonly string[]): string | undefined {
  const near = names
    .map((name) => ({ name, distance: distance(wrong, name) }))
    .filter(({ name, distance: letters }) => letters * 2 < Math.min(wrong.length, name.length))
  return near.toSorted((a, b) => a.distance - b.distance)[0]?.name
}

/** How many letters have to be put in, taken away or changed (Levenshtein). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)))
    row = next
  }
  return row[b.length]!
}
