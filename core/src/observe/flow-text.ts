/** Writes a recorded conversation as indented text: what caused what, for terminals and failing tests. */
import type { EventRecord } from '../contracts/index.ts'
import type { Flow, FlowDelivery } from '../runtime/flow.ts'
import { groupNotes, isEffectOf, noteText, roleWords, servicesIn, type NoteGroup } from './flow-story.ts'
import { oneLine } from './mermaid-text.ts'

const indentMax = 60
const lineCharsMax = 400
/** The source of events that `publish()` is not told one for. */
const outside = 'outside'

/**
 * The flow as a tree of causes: under each event the reactions that got it, under each reaction what happened to it and
 * what it emitted. Times are milliseconds since the first event. Nothing in it can change a terminal.
 *
 * @example
 * ```ts run
 * import { flowText } from 'quadrille/observe'
 *
 * flowText({ correlationId: 'c-1', events: [], deliveries: [], notes: [] }) // => 'conversation c-1: 0 events\n'
 * ```
 */
export function flowText(flow: Flow): string {
  const story = new Story(flow)
  for (const event of flow.events) if (!story.hasKnownCause(event)) story.tell(event, 0)
  // What is left would have itself among its causes: never made by Quadrille, but a foreign event can claim anything.
  for (const event of flow.events) story.tell(event, 0)
  story.tellLoose()
  const lines = [`conversation ${oneLine(flow.correlationId)}: ${summary(flow)}`, ...story.lines]
  return `${lines.join('\n')}\n`
}

function summary({ events, deliveries }: Flow): string {
  const number = (status: FlowDelivery['status']) => deliveries.filter((delivery) => delivery.status === status).length
  const span = events.length === 0 ? 0 : Math.max(...spread(events)) - events[0]!.time
  const parts = [
    `${events.length} event${events.length === 1 ? '' : 's'}${events.length > 1 ? ` in ${span}ms` : ''}`,
    ...(['dead', 'waiting', 'pending'] as const).flatMap((status) =>
      number(status) > 0 ? [`${number(status)} ${status}`] : [],
    ),
  ]
  return parts.join(', ')
}

const spread = (events: readonly EventRecord[]): number[] => events.map((event) => event.time)

class Story {
  readonly lines: string[] = []
  readonly #start: number
  readonly #services: ReadonlySet<string>
  readonly #known: ReadonlySet<string>
  readonly #deliveries: Map<string, FlowDelivery[]>
  readonly #effects: Map<string | null, EventRecord[]>
  readonly #notes: Map<string, NoteGroup[]>
  readonly #told = new Set<string>()

  constructor(flow: Flow) {
    this.#start = flow.events[0]?.time ?? flow.notes[0]?.at.getTime() ?? 0
    this.#services = servicesIn(flow, [])
    this.#known = new Set(flow.events.map((event) => event.id))
    this.#deliveries = Map.groupBy(flow.deliveries, (delivery) => delivery.eventId)
    this.#effects = Map.groupBy(flow.events, (event) => event.causationId)
    this.#notes = Map.groupBy(groupNotes(flow.notes), (note) => note.eventId)
  }

  hasKnownCause(event: EventRecord): boolean {
    return event.causationId !== null && this.#known.has(event.causationId)
  }

  tell(event: EventRecord, depth: number): void {
    if (this.#told.has(event.id)) return
    this.#told.add(event.id)
    const known = this.#services.has(event.source)
    const named = event.source === outside ? '' : ` ${event.source}`
    const from = event.reaction !== null ? '' : known ? ` published by ${event.source}` : ` from outside${named}`
    this.#line(depth, `${oneLine(event.type)} [${oneLine(event.key)}] ${this.#offset(event.time)}${from}`)
    const deliveries = this.#deliveries.get(event.id) ?? []
    const notes = new Set(this.#notes.get(event.id))
    const effects = new Set(this.#effects.get(event.id))
    for (const delivery of deliveries) {
      const role = roleWords[delivery.role]
      const name = `${delivery.service}/${oneLine(delivery.reaction)}`
      this.#line(depth + 1, `-> ${name} ${role === '' ? '' : `${role}, `}${delivery.status}`)
      for (const note of notes) {
        if (note.service !== delivery.service || note.reaction !== delivery.reaction) continue
        notes.delete(note)
        this.#tellNote(note, { depth: depth + 2, name: '' })
      }
      for (const effect of effects) if (isEffectOf(effect, delivery)) this.tell(effect, depth + 2)
    }
    for (const note of notes) this.#tellNote(note, { depth: depth + 1, name: `${note.service}/${note.reaction} ` })
    for (const effect of effects) this.tell(effect, depth + 1)
  }

  /** The notes about events that are no longer there. */
  tellLoose(): void {
    for (const [eventId, notes] of this.#notes) {
      if (this.#known.has(eventId)) continue
      for (const note of notes) this.#tellNote(note, { depth: 0, name: `${note.service}/${note.reaction} ` })
    }
  }

  #tellNote(note: NoteGroup, { depth, name }: { depth: number; name: string }): void {
    this.#line(depth, `! ${name}${noteText(note)} ${this.#offset(note.at.getTime())}`)
  }

  #offset(time: number): string {
    const ms = time - this.#start
    return `${ms < 0 ? '-' : '+'}${Math.abs(ms)}ms`
  }

  #line(depth: number, text: string): void {
    // Names come from outside too: whatever they hold, it stays one line and can not move the cursor.
    this.lines.push(' '.repeat(Math.min(depth * 2, indentMax)) + oneLine(text, lineCharsMax))
  }
}
