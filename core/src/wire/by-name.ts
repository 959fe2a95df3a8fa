/** Names of attributes and headers come again with every event: what is made of them is made once. */

/** More names than so many are not remembered: others may send any. */
const namesMax = 1_000

/** `make`, with a memory of what it has made of a name. Results must not be undefined, and not be changed. */
export function byName<Made>(make: (name: string) => Made): (name: string) => Made {
  const known = new Map<string, Made>()
  return (name) => {
    const found = known.get(name)
    if (found !== undefined) return found
    const made = make(name)
    if (known.size < namesMax) known.set(name, made)
    return made
  }
}
