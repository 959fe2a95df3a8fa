/** When all is over, every message comes once more: nothing may change. */
import type { Lab } from './lab.ts'
import type { Violation } from './schedule-types.ts'
import type { SimRun } from './sim-run.ts'

/** What changes when every event is delivered again to everyone whom it concerns. */
export async function redeliver(lab: Lab, run: SimRun): Promise<Violation | undefined> {
  if (lab.stage.options.ignore?.includes('REDELIVERY')) return undefined
  const { floorMs } = run
  for (const { event, name } of run.book.told.values()) {
    for (const [service, machine] of lab.stage.machines) {
      if (!machine.part.types.has(event.type) || event.source === service) continue
      const state = run.states.get(service)!
      const { to } = await machine.step(state, { kind: 'receive', key: event.id, event, floorMs, fault: undefined })
      if (to === state) continue
      const message = `${name}, delivered to ${service} once more, has a second effect`
      return { code: 'REDELIVERY', subject: name, message }
    }
  }
  return undefined
}
