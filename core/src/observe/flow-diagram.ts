/** Draws a recorded conversation as a sequence diagram in Mermaid: who told whom what, and what went wrong on the way. */
import type { EventRecord } from '../contracts/index.ts'
import type { Flow, FlowDelivery } from '../runtime/flow.ts'
import { groupNotes, isEffectOf, isFromOutside, noteText, roleWords, servicesIn, type NoteGroup } from './flow-story.ts'
import { drawing, mermaidText, Participants } from './mermaid-text.ts'

/** The most events of a conversation that are drawn; a note says how many are left out. */
export const flowEventsDrawnMax = 400

/**
 * The flow as Mermaid sequence diagram text. Events stand in their order, an arrow for each service they go to: solid
 * when handled, dashed while pending or waiting, with a cross for a dead letter. Retries, compensations, prevented
 * actions, passed deadlines and dead letters are notes, dead letters on red.
 *
 * @param services - More services of the system, as `choreography.services`. What no reaction has caused is drawn as coming
 *   from outside, named by its source unless that is a service.
 *
 * @example
 * ```ts run
 * import { flowDiagram } from 'quadrille/observe'
 *
 * const flow = { correlationId: 'c-1', events: [], deliveries: [], notes: [] } // in real life: await app.flow('c-1')
 * flowDiagram(flow).split('\n')[0] // => 'sequenceDiagram'
 * ```
 */
export function flowDiagram(flow: Flow, services: readonly { readonly name: string }[] = []): string {
  const drawn = flow.events.slice(0, flowEventsDrawnMax)
  const producers = new Producers(flow, { services: services.map((service) => service.name), drawn })
  const deliveries = Map.groupBy(flow.deliveries, (delivery) => delivery.eventId)
  const slots = notesBySlot(flow, drawn)
  const lines: string[] = []
  drawn.forEach((event, index) => {
    pushNotes(lines, slots.get(index) ?? [], producers)
    pushArrows(lines, event, { producers, deliveries: deliveries.get(event.id) ?? [] })
  })
  pushNotes(lines, slots.get(drawn.length) ?? [], producers)
  const left = flow.events.length - drawn.length
  if (left > 0) lines.push(`Note over ${producers.of(drawn[0]!)}: and ${left} more events`)
  const title = `accTitle: Conversation ${mermaidText(flow.correlationId)}`
  return drawing('sequenceDiagram', [title, ...producers.participants.lines, ...lines])
}

/** Knows the ids of those who emit; names everyone outside first, so that they stand at the left. */
class Producers {
  readonly participants = new Participants()
  readonly #services: ReadonlySet<string>

  constructor(flow: Flow, { services, drawn }: { services: readonly string[]; drawn: readonly EventRecord[] }) {
    this.#services = servicesIn(flow, services)
    for (const event of drawn) if (isFromOutside(event, this.#services)) this.of(event)
  }

  of(event: EventRecord): string {
    const { source } = event
    if (!isFromOutside(event, this.#services)) return this.participants.service(source)
    return this.participants.outside(source === '' || this.#services.has(source) ? 'outside' : source)
  }
}

type Fate = 'handled' | 'open' | 'dead'
const arrowOf: Readonly<Record<Fate, string>> = { handled: '->>', open: '-->>', dead: '--x' }
const fateOf = ({ status }: FlowDelivery): Fate =>
  status === 'pending' || status === 'waiting' ? 'open' : (status satisfies Fate)

interface ArrowContext {
  readonly producers: Producers
  readonly deliveries: readonly FlowDelivery[]
}

/** One arrow to each service for each way in which it took the event. */
function pushArrows(lines: string[], event: EventRecord, { producers, deliveries }: ArrowContext): void {
  const from = producers.of(event)
  if (deliveries.length === 0) {
    lines.push(`Note over ${from}: ${mermaidText(`${event.type}, nobody reacts`)}`)
    return
  }
  const groups = Map.groupBy(deliveries, (delivery) =>
    JSON.stringify([delivery.service, delivery.role === 'undo', fateOf(delivery)]),
  )
  for (const group of groups.values()) {
    const first = group[0]!
    const fate = fateOf(first)
    const remarks = [roleOf(group), fate === 'handled' ? '' : statusOf(group)].filter((remark) => remark !== '')
    const text = event.type + (remarks.length === 0 ? '' : ` (${remarks.join(', ')})`)
    lines.push(`${from}${arrowOf[fate]}${producers.participants.service(first.service)}: ${mermaidText(text)}`)
  }
}

/** The role of the arrow: of its deliveries, the one that needs the fewest words. */
const roleOf = (group: readonly FlowDelivery[]): string =>
  group.map((delivery) => roleWords[delivery.role]).reduce((a, b) => (a === '' || b === '' ? '' : a))

/** `waiting` tells more than `pending`: something has held it up. */
function statusOf(group: readonly FlowDelivery[]): string {
  const waiting = group.find((delivery) => delivery.status === 'waiting')
  return (waiting ?? group[0]!).status
}

/**
 * Which notes stand before the event with this index (after the last one for the number of events): by their time, but
 * behind the event that they are about and before the first event that the handling emitted, whatever the clocks say.
 */
function notesBySlot(flow: Flow, events: readonly EventRecord[]): ReadonlyMap<number, readonly NoteGroup[]> {
  const indexes = new Map(events.map((event, index) => [event.id, index]))
  return Map.groupBy(groupNotes(flow.notes), (note) => {
    const at = note.at.getTime()
    let slot = (indexes.get(note.eventId) ?? -1) + 1
    while (slot < events.length && events[slot]!.time <= at && !isEffectOf(events[slot]!, note)) slot += 1
    return slot
  })
}

function pushNotes(lines: string[], notes: readonly NoteGroup[], { participants }: Producers): void {
  for (const note of notes) {
    const line = `Note over ${participants.service(note.service)}: ${mermaidText(`${note.reaction} ${noteText(note)}`, 200)}`
    if (note.kind === 'dead') lines.push('rect rgba(207, 34, 46, 0.2)', line, 'end')
    else lines.push(line)
  }
}
