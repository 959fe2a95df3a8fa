/** What steps of all schedules have in common, made once; and their order. */
import type { FaultKind, Step } from './schedule-types.ts'

/** Keeps what is made of something. */
function kept<From, To>(
  made: { get(from: From): To | undefined; set(from: From, to: To): unknown },
  make: (from: From) => To,
): (from: From) => To {
  return (from) => {
    let to = made.get(from)
    if (to === undefined) made.set(from, (to = make(from)))
    return to
  }
}

const named = (nameOf: (of: string) => string) => kept(new Map<string, string>(), nameOf)
type Faults = readonly FaultKind[]
const faultsFrom = (make: (faults: Faults) => Faults) => kept(new WeakMap<Faults, Faults>(), make)

/** The names of what time brings, by service; of a wire that is up again, by the wire. */
export const timedNames = {
  due: named((service) => `due ${service}`),
  time: named((service) => `time passes to ${service}`),
  heal: named((link) => `${link} is up again`),
}
/** A list of faults and one more; see `faultKinds`. */
export const withTogether = faultsFrom((faults) => [...faults, 'together'])
/** What comes once more was a fault already, and the wire on which it came is not cut for it. */
export const repeatedFaults = faultsFrom((faults) =>
  faults.filter((each) => each !== 'duplicate' && each !== 'link down'),
)
/** A list of faults and one more; see `faultKinds`. */
export const withStaleRead = faultsFrom((faults) => [...faults, 'stale read'])
/** What can go wrong when something is due. */
export const timedFaults: Faults = ['crash before commit', 'crash after commit']

/** Adds a step where it belongs: oldest first. */
export function insert(steps: Step[], step: Step): void {
  let at = steps.length
  while (at > 0 && steps[at - 1]!.order > step.order) at--
  if (at === steps.length) steps.push(step)
  else steps.splice(at, 0, step)
}
