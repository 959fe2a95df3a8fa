/** What a state is known to lead to: by what happens, and then by when it happens and what goes wrong. */
import type { Input, Transition } from './machine-types.ts'
import { faultKinds } from './schedule-types.ts'

const kinds: readonly Input['kind'][] = ['receive', 'answer', 'tick', 'work']
const faultNumbers = new Map(faultKinds.map((fault, index) => [fault, index + 1]))

/** One number for kind, time and fault: a text that holds all of them would have to be made and hashed at every step. */
function momentOf({ kind, floorMs, fault }: Input): number {
  const number = fault === undefined ? 0 : faultNumbers.get(fault)!
  return (floorMs * (faultKinds.length + 1) + number) * kinds.length + kinds.indexOf(kind)
}

const keyOf = ({ key, readsFrom }: Input): string => (readsFrom ? `${key}|${readsFrom.name}` : key)

/** See the top of this file. */
export class Transitions {
  readonly #known = new Map<string, Map<number, Transition>>()

  get(input: Input): Transition | undefined {
    return this.#known.get(keyOf(input))?.get(momentOf(input))
  }

  set(input: Input, transition: Transition): void {
    const key = keyOf(input)
    const moments = this.#known.get(key)
    if (moments) moments.set(momentOf(input), transition)
    else this.#known.set(key, new Map([[momentOf(input), transition]]))
  }
}
