/** When all is over, every message comes once more: nothing may change. */
import type { Lab } from './lab.ts'
import type { Violation } from './schedule-types.ts'
import type { SimRun } from './sim-run.ts'

/** What changes when every event is delivered again to everyone whom it concerns. */
export async function redeliver(lab: Lab, run: SimRun): Promise<Violation | undefined> {
  if (lab.stage.options.ignore?.includes('REDELIVERY')) return undefined
  for (const { event, name } of run.book.told.values()) {
    for (const process of run.processes.values()) {
      if (!process.part.types.has(event.type) || event.source === process.name) continue
      const before = process.part.tables.text()
      const effects = run.outsideLog.length
      await process.receive(event)
      await run.drain(process)
      const changed =
        process.part.tables.text() !== before || run.outsideLog.length !== effects || run.calls.pending.length > 0
      if (changed)
        return {
          code: 'REDELIVERY',
          subject: name,
          message: `${name}, delivered to ${process.name} once more, has a second effect`,
        }
    }
  }
  return undefined
}
