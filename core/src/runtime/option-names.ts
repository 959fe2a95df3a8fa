import { QuadrilleError } from '../base/index.ts'

/**
 * Refuses options that there are not: a name that is written wrongly would be as good as none, and nobody would notice.
 *
 * @param path - Stands before the names in messages: where they are options of.
 * @throws QuadrilleError `OPTION_INVALID`.
 */
export function refuseUnknown<Options extends object>(
  given: Options,
  known: Readonly<Record<keyof Options, true>>,
  path = '',
): void {
  const unknown = Object.keys(given).find((name) => !Object.hasOwn(known, name))
  if (unknown === undefined) return
  const expected = `one of ${Object.keys(known).join(', ')}`
  throw new QuadrilleError('OPTION_INVALID', { option: `${path}${unknown}`, value: 'unknown to start()', expected })
}
