/** Notices that a handler waits for a transaction of the app it runs in: it would wait for itself, for ever. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { QuadrilleError } from '../base/index.ts'

const inside = new AsyncLocalStorage<{ readonly what: string; open: boolean }>()

/** Runs `work` as the inside of a transaction. */
export async function asTransaction<T>(what: string, work: () => Promise<T>): Promise<T> {
  const mark = { what, open: true }
  try {
    return await inside.run(mark, work)
  } finally {
    mark.open = false
  }
}

/** @throws QuadrilleError `NESTED_TRANSACTION` when called inside one that is still open. */
export function refuseNested(operation: string): void {
  const mark = inside.getStore()
  if (mark?.open) throw new QuadrilleError('NESTED_TRANSACTION', { operation, inside: mark.what })
}
