/** The recorded flow of a conversation, as data. Drawn by observe/. */
import type { EventRecord } from '../contracts/index.ts'

/** Something that happened to an event besides being handled well at the first try. */
export interface FlowNote {
  readonly at: Date
  readonly kind:
    'retry' | 'dead' | 'redriven' | 'discarded' | 'undone' | 'prevented' | 'late' | 'deadline' | 'unknown-call'
  readonly service: string
  readonly reaction: string
  /** The event that was being handled. */
  readonly eventId: string
  /** The error message, the reason, ... */
  readonly text: string
  /** For `retry` and `dead`: the code of the error, null when it has none. Missing in notes of an older version. */
  readonly code?: string | null
}

/** Where an event is to go and how far it has got there. */
export interface FlowDelivery {
  readonly service: string
  readonly reaction: string
  readonly role: 'run' | 'undo' | 'part' | 'start' | 'unless'
  readonly eventId: string
  /** `handled` also covers what was skipped by rule; `waiting` is parked, in a call, or behind an earlier event. */
  readonly status: 'pending' | 'handled' | 'waiting' | 'dead'
}

/** A conversation: its events in order, where each went, and what went wrong on the way. */
export interface Flow {
  readonly correlationId: string
  readonly events: readonly EventRecord[]
  readonly deliveries: readonly FlowDelivery[]
  readonly notes: readonly FlowNote[]
}
