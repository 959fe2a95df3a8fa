/** The state of a schedule as a short text: two schedules with the same one can only go on in the same ways. */
import type { SimRun } from './sim-run.ts'

/** All that decides what can happen from here on, the faults that may still be used left aside. */
export function fingerprint(run: SimRun): string {
  const wires = run.wires.pending.map(({ event, step }) => `${event.id}${step.name}`)
  const late = run.calls.pending.flatMap(({ isLate, wanted }) => (isLate ? [wanted.key] : []))
  const down = [...run.wires.down].sort().join()
  return [run.seen, run.floorMs, wires.sort().join(), late.sort().join(), run.unbegun.join(), down].join('\n')
}
