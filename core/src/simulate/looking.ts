/** Looking at tables and fakes that stand somewhere else at the moment. */

import type { Soon } from '../runtime/soon.ts'

/** Thrown by whoever looks at something that is not there yet: bring it, and look again. */
export class Missing {
  readonly bring: () => Promise<void>

  constructor(bring: () => Promise<void>) {
    this.bring = bring
  }
}

/** Runs something that looks at tables and fakes, as often as it takes until all of them are there. */
export function looking<T>(look: () => T): Soon<T> {
  try {
    return look()
  } catch (error) {
    if (!(error instanceof Missing)) throw error
    return error.bring().then(() => looking(look))
  }
}
