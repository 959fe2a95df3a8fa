/** The user's services with a door in front of every handler and call. What runs behind it is the user's own code. */
import type { AnyService, Reaction, Undo } from '../service/index.ts'
import type { Invocation } from './sim-env.ts'

type Role = Invocation['role']

/** What stands at the door. */
export interface Doorman {
  /** A handler is about to run. May throw, in its place. */
  enter(at: { readonly reaction: Reaction; readonly role: Role; readonly context: DoorContext }): void
  /** What a handler has returned, on its way to the runtime. */
  leave(returned: unknown): unknown
  /** A call is to be made; resolves with its answer when the schedule says so. */
  call(
    at: { readonly reaction: Reaction; readonly role: Role; readonly context: DoorContext },
    make: () => unknown,
  ): Promise<unknown>
}

/** What is used of the context that the runtime hands over. */
export interface DoorContext {
  readonly event: {
    readonly id: string
    readonly type: string
    readonly key: string
    readonly correlationId: string
    readonly time: Date
  }
  readonly attempt: number
  readonly idempotencyKey: string
  /** For the call of an undo: what the call of the action has returned. */
  readonly done?: unknown
}

type Run = (data: never, context: never) => never

/** The service as the runtime gets it. */
export function instrumented(service: AnyService, doorman: Doorman): AnyService {
  const reactions = service.reactions.map((reaction) => withDoors(reaction, doorman))
  const shown = { name: service.name, db: service.db, policy: service.policy, reactions }
  return { ...shown, describe: () => service.describe() } as unknown as AnyService
}

function withDoors(reaction: Reaction, doorman: Doorman): Reaction {
  const door = (run: Run, role: Role): Run =>
    ((data: never, context: never) => {
      doorman.enter({ reaction, role, context })
      return doorman.leave(run(data, context)) as never
    }) as Run
  const wire = (call: Run, role: Role): Run =>
    ((data: never, context: never) =>
      doorman.call({ reaction, role, context }, () =>
        (call as (data: never, context: never) => unknown)(data, context),
      )) as unknown as Run
  const run = door(reaction.run as Run, reaction.kind === 'deadline' ? 'deadline' : 'run')
  if (reaction.kind === 'deadline') return { ...reaction, run }
  if (reaction.kind === 'all')
    return { ...reaction, run, ...(reaction.late && { late: door(reaction.late as Run, 'late') }) }
  const undo: Undo | undefined = reaction.undo && {
    ...reaction.undo,
    run: door(reaction.undo.run as Run, 'undo'),
    ...(reaction.undo.call && { call: wire(reaction.undo.call as Run, 'undo call') }),
  }
  return {
    ...reaction,
    run,
    ...(reaction.call && { call: wire(reaction.call as Run, 'call') }),
    ...(undo && { undo }),
  }
}
