/** What drawings and texts of a recorded flow share: notes told once, who emitted what, words for roles and states. */
import type { EventRecord } from '../contracts/index.ts'
import type { Flow, FlowDelivery, FlowNote } from '../runtime/flow.ts'
import { oneLine } from './mermaid-text.ts'

/** Notes of one kind about one handling, told as one. */
export interface NoteGroup extends FlowNote {
  /** How many there were; `at` and `text` are those of the last one. */
  readonly count: number
}

const countedKinds: ReadonlySet<FlowNote['kind']> = new Set(['retry', 'unknown-call'])

/** Retries and unanswered calls of one handling as one note each, the others as they are; by time. */
export function groupNotes(notes: readonly FlowNote[]): readonly NoteGroup[] {
  const groups: NoteGroup[] = []
  const open = new Map<string, number>()
  for (const note of notes.toSorted((a, b) => a.at.getTime() - b.at.getTime())) {
    const key = JSON.stringify([note.kind, note.service, note.reaction, note.eventId])
    const index = countedKinds.has(note.kind) ? open.get(key) : undefined
    if (index === undefined) open.set(key, groups.push({ ...note, count: 1 }) - 1)
    else groups[index] = { ...note, count: groups[index]!.count + 1 }
  }
  return groups.toSorted((a, b) => a.at.getTime() - b.at.getTime())
}

/** An error message of this length still fits into a drawing. Characters. */
const whyCharsMax = 80

const phrases: Readonly<Record<FlowNote['kind'], string>> = {
  retry: 'tried again',
  dead: 'became a dead letter',
  redriven: 'put back',
  discarded: 'discarded',
  undone: 'undone',
  prevented: 'prevented',
  late: 'not completed in time',
  deadline: 'passed',
  'unknown-call': 'called without an answer',
}

/** The note in words, without the name of its reaction: `tried again 3 times (503 from the gateway)`. */
export function noteText({ kind, count, text }: NoteGroup): string {
  const times = count > 1 ? ` ${count} times` : ''
  const why = oneLine(text, whyCharsMax)
  return `${phrases[kind]}${times}${why === '' ? '' : ` (${why})`}`
}

/** The part a delivery plays, in a word or two; empty for what needs none. */
export const roleWords: Readonly<Record<FlowDelivery['role'], string>> = {
  run: '',
  part: '',
  undo: 'undo',
  start: 'starts deadline',
  unless: 'settles deadline',
}

/** The sources that are services of the flow, not the outside. */
export function servicesIn(flow: Flow, names: readonly string[]): ReadonlySet<string> {
  return new Set([
    ...names,
    ...flow.deliveries.map((delivery) => delivery.service),
    ...flow.notes.map((note) => note.service),
    ...flow.events.filter((event) => event.reaction !== null).map((event) => event.source),
  ])
}

/**
 * Whether the event came into the conversation from outside: not from a reaction here, nor caused by one elsewhere. What
 * `transact()` and `publish()` append is from outside too, whichever service it is attributed to.
 */
export function isFromOutside(event: EventRecord, services: ReadonlySet<string>): boolean {
  return event.reaction === null && (event.causationId === null || !services.has(event.source))
}

/** Whether the event was emitted by this reaction while it handled that event. */
export function isEffectOf(event: EventRecord, handling: Pick<FlowNote, 'service' | 'reaction' | 'eventId'>): boolean {
  const { service, reaction, eventId } = handling
  return event.causationId === eventId && event.source === service && event.reaction === reaction
}
