/**
 * Two handlings of one service at the same time. Events of different keys are handled in transactions that may overlap; at READ
 * COMMITTED the second reads what was there before the first has committed, and writes afterwards. That is right when it comes to
 * what one of the two orders comes to, one after the other.
 */
import { looking } from './looking.ts'
import type { Input, State, Transition } from './machine-types.ts'
import { violate } from './oracles.ts'
import type { SimRun } from './sim-run.ts'
import { rowsOf } from './views.ts'

/** A handling with which another one may overlap. */
export interface Overlap {
  /** Of the event. */
  readonly key: string
  /** What is older than this was there when it began. */
  readonly order: number
  readonly before: State
  readonly input: Input
  readonly transition: Transition
}

interface Second {
  readonly service: string
  readonly overlap: Overlap
  /** The state after the first. */
  readonly state: State
  /** What came of the second, when it has read too early. */
  readonly transition: Transition
  /** The second as it is alone. */
  readonly input: Input
}

/** Says what neither order would have led to. A handler that throws is tried again, and then reads what is there. */
export async function judgeOverlap(run: SimRun, { service, overlap, state, transition, input }: Second): Promise<void> {
  if (transition.failed) return
  const machine = run.stage.machine(service)
  const after = await machine.step(state, input)
  if (after.to === transition.to) return
  const rows = (at: State) => looking(() => machine.look(at, 'rows of a view', rowsOf))
  const got = [...(await rows(transition.to)), ...emitted(overlap.transition, transition)].join('\n')
  if (got === [...(await rows(after.to)), ...emitted(overlap.transition, after)].join('\n')) return
  const alone = await machine.step(overlap.before, input)
  const other = await machine.step(alone.to, overlap.input)
  if (got === [...(await rows(other.to)), ...emitted(other, alone)].join('\n')) return
  const shown = firstDifference(await rows(transition.to), await rows(after.to)) ?? otherWords(transition, after)
  violate(run, 'LOST_UPDATE', {
    subject: service,
    message: `${nameOf(run, input)} in ${service} reads before ${nameOf(run, overlap.input)} has committed and writes afterwards, which PostgreSQL allows: ${shown}`,
  })
}

const emitted = (...transitions: readonly Transition[]): string[] =>
  transitions.flatMap((each) => each.emitted.map(({ id }) => id)).sort()

function nameOf({ book }: SimRun, { event, call = '' }: Input): string {
  return event ? (book.told.get(event.id)?.name ?? event.type) : `the answer to ${call.replace(/[:#].*$/s, '')}`
}

function firstDifference(got: readonly string[], expected: readonly string[]): string | undefined {
  const wrong = got.find((row) => !expected.includes(row)) ?? ''
  const other = expected.find((row) => !got.includes(row))
  if (wrong === '' && other === undefined) return undefined
  const right = other ?? 'no such row'
  if (wrong === '') return `${right} is missing`
  const table = wrong.slice(0, wrong.indexOf(':') + 2)
  return `${wrong} where it is ${right.replace(table, '')} when one comes after the other`
}

/** With the same rows, it is what they emit. */
function otherWords(got: Transition, expected: Transition): string {
  const [said, right] = [got, expected].map(
    ({ emitted: events }) => events.map(({ type }) => type).join(', ') || 'nothing',
  )
  return `it emits ${said} where it is ${right} when one comes after the other`
}
