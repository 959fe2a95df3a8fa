/** Events for those who append them themselves, in a transaction that is not the app's. */
import { systemEnv, type Env } from '../base/index.ts'
import type { NewEvent } from '../contracts/index.ts'
import type { Returned } from '../service/index.ts'
import type { PublishOptions, StartOptions } from './app.ts'
import { emittedList, newEvents } from './emit.ts'
import { eventBytesMaxDefault } from './settings.ts'

/** How {@link eventsToAppend} makes events. */
export interface OutsideOptions extends PublishOptions, Pick<StartOptions, 'eventBytesMax' | 'traceContext'> {
  /** Who emits them: mostly the name of a service. */
  readonly source: string
  /** For messages. */
  readonly where: string
  readonly env?: Env
}

/**
 * What `app.transact()` would append: each event with an id, its conversation and the trace context. For adapters that
 * append in a transaction which the user has opened.
 *
 * @throws QuadrilleError `EVENT_FOREIGN_VALUE` for what no contract has made, `EVENT_TOO_LARGE`.
 */
export function eventsToAppend(events: Returned, options: OutsideOptions): readonly NewEvent[] {
  const { source, where, correlationId, causationId, env = systemEnv } = options
  const { eventBytesMax = eventBytesMaxDefault, traceContext } = options
  const emitter = { source, where, reaction: null, cause: null, declared: null, correlationId, causationId }
  return newEvents(emittedList(events, where), emitter, { env, eventBytesMax, traceContext })
}
