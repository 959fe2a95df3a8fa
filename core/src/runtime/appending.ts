/** What has become of events that were appended with a commit. */
import { invariant } from '../base/index.ts'
import type { EventRecord, NewEvent } from '../contracts/index.ts'

/** The positions of no events. */
export const noPositions = (): readonly (number | null)[] => []

/** The events as appended; duplicates are left out. */
export function appendedOf(events: readonly NewEvent[], positions: readonly (number | null)[]): EventRecord[] {
  invariant(positions.length === events.length, 'append gives a position for every event')
  const appended: EventRecord[] = []
  events.forEach((event, index) => {
    const position = positions[index]!
    if (position !== null) appended.push({ ...event, position })
  })
  return appended
}
