/** A schema that takes everything: these tests start hundreds of processes, and a schema library takes long to load. */
import type { StandardSchema } from 'quadrille'

/** Data of this type, unchecked. */
export const plain = <T>(): StandardSchema<T, T> => ({
  '~standard': { version: 1, vendor: 'quadrille-test', validate: (value) => ({ value: value as T }) },
})
