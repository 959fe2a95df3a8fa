/** Choreographies of any size to be checked: stages that follow each other, each with services side by side and a join. */
import { choreography, event, service, type AnyService, type Choreography } from 'quadrille'
import * as z from 'zod'

const run = () => {}
const schema = z.object({ id: z.string() })
const status = z.object({ id: z.string(), status: z.enum(['done', 'refused']) })

/** How it is built. */
export interface Shape {
  readonly services: number
  /** Services side by side in each stage; one more joins them. */
  readonly wide: number
}

/**
 * Every service of a stage reacts to what the stage before has brought, may refuse, and undoes what it did when the whole
 * is cancelled. One service cancels, and watches the time.
 */
export function largeChoreography({ services, wide }: Shape): Choreography {
  const named = (type: string) => event(type, { key: 'id', schema })
  const [Started, Cancelled] = [named('all.started'), named('all.cancelled')]
  const stages = Math.floor((services - 1) / (wide + 1))
  const made: AnyService[] = []
  let cancel = service('cancelling')
  let before = Started
  for (let stage = 0; stage < stages; stage++) {
    const answers = Array.from({ length: wide }, (_, index) =>
      event(`part.${stage}.${index}.answered`, { key: 'id', schema: status }),
    )
    for (const [index, Answered] of answers.entries()) {
      made.push(
        service(`part-${stage}-${index}`).on(
          before,
          { name: 'act', emits: [Answered], maxHops: 1_000, undo: { on: [Cancelled], run } },
          run,
        ) as AnyService,
      )
      cancel = cancel.on(Answered.where({ status: 'refused' }), { emits: [Cancelled], maxHops: 1_000 }, run)
    }
    const After = named(`stage.${stage}.finished`)
    const all = answers.map((Answered) => Answered.where({ status: 'done' }))
    made.push(service(`joining-${stage}`).all(all, { name: 'join', emits: [After], maxHops: 1_000 }, run) as AnyService)
    before = After
  }
  const ends = { success: [before], failure: [Cancelled] }
  const deadline = { unless: [before, Cancelled], within: '30d', emits: [Cancelled] } as const
  made.push(cancel.deadline(Started, deadline, run) as AnyService)
  return choreography('large', { services: made, starts: [Started], ends, within: '30d' })
}
