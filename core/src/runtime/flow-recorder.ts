/** Puts together what has happened in a conversation, from its events, the notes, and what is still waiting. */
import { matches, partitionOf, type EventRecord } from '../contracts/index.ts'
import type { Ledger } from '../ledger/index.ts'
import { decode } from './decoder.ts'
import { noteScope } from './batch-tx.ts'
import type { Flow, FlowDelivery, FlowNote } from './flow.ts'
import type { ReaderPlan, Route } from './plan.ts'
import { laneOf, workId } from './work.ts'

const eventsMax = 10_000
const notesMax = 10_000

/** Records the flow of a conversation. Deliveries are those of the services that run in this app. */
export async function recordFlow(correlationId: string, ledger: Ledger, plans: readonly ReaderPlan[]): Promise<Flow> {
  const events = await ledger.find({ correlationId, limit: eventsMax })
  const stored = await ledger.query({
    scope: noteScope,
    kind: 'note',
    order: 'seq',
    lane: correlationId,
    limit: notesMax,
  })
  const notes = stored.map((record): FlowNote => {
    const body = JSON.parse(record.body) as Omit<FlowNote, 'at'> & { at: number }
    return { ...body, at: new Date(body.at) }
  })
  const deliveries: FlowDelivery[] = []
  for (const plan of plans) {
    const positions = await ledger.positions(plan.reader)
    for (const event of events) {
      for (const route of plan.routes.get(event.type) ?? []) {
        if (event.position <= route.state.since || !concerns(route, event)) continue
        const status = await statusOf({ plan, route, event, positions, notes }, ledger)
        const { service, reaction } = route.state
        deliveries.push({
          service: service.name,
          reaction: reaction.name,
          role: roleOf(route),
          eventId: event.id,
          status,
        })
      }
    }
  }
  return { correlationId, events, deliveries, notes }
}

const roleOf = (route: Route): FlowDelivery['role'] => (route.role === 'trigger' ? 'run' : route.role)

function concerns({ trigger, state }: Route, event: EventRecord): boolean {
  const decoded = decode(trigger.contract, event)
  if (!decoded.ok) return true
  const filter = state.reaction.kind === 'on' ? state.reaction.filter : undefined
  return matches(trigger, decoded.data) && (filter === undefined || filter(decoded.data as never))
}

interface Delivery {
  readonly plan: ReaderPlan
  readonly route: Route
  readonly event: EventRecord
  readonly positions: readonly number[]
  readonly notes: readonly FlowNote[]
}

async function statusOf(delivery: Delivery, ledger: Ledger): Promise<FlowDelivery['status']> {
  const { plan, route, event, positions, notes } = delivery
  const { reaction, kinds } = route.state
  if ((positions[partitionOf(event.key)] ?? 0) < event.position) return 'pending'
  const own = notes.filter(
    (note) => note.eventId === event.id && note.reaction === reaction.name && note.service === reaction.service,
  )
  const last = own.findLast((note) => note.kind === 'dead' || note.kind === 'redriven' || note.kind === 'discarded')
  if (last?.kind === 'dead') return 'dead'
  const lane = laneOf(reaction.name, event.key)
  const id = workId({ event, role: route.role, index: route.index })
  const waiting = await ledger.query({ scope: plan.reader, kind: kinds.work, order: 'seq', lane, limit: 100 })
  return waiting.some((record) => record.id === id) ? 'waiting' : 'handled'
}
