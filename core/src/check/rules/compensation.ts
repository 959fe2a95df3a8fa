/** S6, S7, S8, S21: whether what was done is undone, and not before it was done. */
import { everything } from '../alternatives.ts'
import { list, placeOf, storyOf, type Context } from '../context.ts'
import { mayEmit, triggerOf, type Step } from '../model.ts'
import { Play } from '../play.ts'
import type { Run } from '../runs.ts'
import { nameOf, ownNameOf, says } from '../words.ts'

/** S6: an action that stays done when the conversation fails. */
export function missingUndo(context: Context): void {
  const { model, runs } = context
  for (const step of model.steps) {
    const { reaction } = step
    if (step.part !== 'run' || !reaction || !runs.any.didBefore(step)) continue
    const undo = reaction.undo ? model.steps[step.id + 1] : undefined
    // A handler that gives up can keep an action from being undone only where there is an undo at all.
    const open = undo && [...runs.failing, ...runs.failingBroken].find((run) => staysDone(context, run, undo))
    if (undo && open) sayUncovered(context, step, open)
    if (!undo && isTaking(step)) {
      const run = runs.failing.find(
        (each) => !each.play.byTimer && failsAfter(context, each, step) && !givesBack(context, step, each.play),
      )
      if (run) sayMissing(context, step, run)
    }
  }
}

/** The action was done, the conversation has failed, and nothing has asked for the undo or will. */
function staysDone(context: Context, run: Run, undo: Step): boolean {
  const { play, broken } = run
  if (undo.needs.some((need) => need.some((id) => play.reached(id)))) return false
  if (!failsAfter(context, run, context.model.steps[undo.after!]!)) return false
  return broken === undefined || (play.byTimer && !leadsTo(context, broken, undo))
}

/** Whether what the step emits can lead to what the undo waits for: then the undo is late, and not forgotten. */
function leadsTo({ model }: Context, step: Step, undo: Step): boolean {
  const seen = new Set(mayEmit(step))
  for (const id of seen) {
    if (undo.needs.flat().includes(id)) return true
    for (const consumer of model.consumers[id]!) for (const out of mayEmit(consumer.step)) seen.add(out)
  }
  return false
}

/** The step has done its work well, and then the conversation fails. */
function failsAfter({ runs }: Context, run: Run, step: Step): boolean {
  if (!run.play.didBefore(step) || run.broken === step) return false
  if (run.play.failure === undefined || run.play.success !== undefined) return false
  return runs.chosen(run, step)?.kind !== 'bad' && !onlyFails(run, step)
}

/** The step acts on the failure itself, so there is nothing to take back. */
function onlyFails(run: Run, step: Step): boolean {
  return step.needs.flat().every((id) => !run.play.reached(id))
}

function isTaking({ reaction, emits, needs }: Step): boolean {
  const { kind, filtered } = reaction!
  if (kind !== 'on' || filtered || needs.length === 0) return false
  const own = ownNameOf(reaction!)
  const types = emits.map(({ type }) => type).join(' | ')
  if (says(own, 'asking') || says(types, 'asking') || says(own, 'giving') || says(own, 'telling')) return false
  if (emits.length === 0) return says(own, 'taking')
  return says(own, 'taking') || (reaction!.calls && says(types, 'taking')) || says(types, 'taking')
}

/** Somebody reacts to the failure who may give it back: the same service, or one whose name says so. */
function givesBack({ model }: Context, step: Step, play: Play): boolean {
  return model.steps.some((other) => {
    if (other === step || !other.reaction || !play.did(other)) return false
    if (other.service !== step.service) return says(nameOf(other.reaction), 'giving')
    return other.needs.flat().every((id) => !step.needs.flat().includes(id))
  })
}

function sayUncovered(context: Context, step: Step, run: Run): void {
  const { model } = context
  const { play, broken } = run
  const failure = model.text(play.failure!)
  const { reaction } = step
  context.say('S6', {
    places: [placeOf(reaction), placeOf(play.causeOf(play.failure!)?.reaction)],
    message:
      `${step.name} is undone by ${list(reaction!.undo!.on.map(triggerOf), 'or')}, but the conversation can also come to ` +
      `${failure} without ${reaction!.undo!.on.length === 1 ? 'it' : 'any of them'}: what ${step.name} did stays done.`,
    sequence: [
      ...(broken ? [`${broken.name} gives up`] : []),
      ...storyOf(model, play, [...step.needs.flat(), play.failure!]),
    ],
    fix: `Add ${failure} to its \`undo.on\`.`,
  })
}

function sayMissing(context: Context, step: Step, { play }: Run): void {
  const { model } = context
  const failure = model.text(play.failure!)
  context.say('S6', {
    places: [placeOf(step.reaction), placeOf(play.causeOf(play.failure!)?.reaction)],
    message:
      `${step.name} takes something, by its name, and the conversation can come to ${failure} afterwards: ` +
      'nothing gives it back.',
    sequence: [
      ...storyOf(model, play, step.needs.flat()),
      `${step.name} acts`,
      ...storyOf(model, play, [play.failure!]),
    ],
    fix: `Give it \`undo: { on: [${model.occurrences[play.failure!]!.type}], run: ... }\`.`,
  })
}

/** S7, S8: a reaction that takes back what another one does, and may come first. */
export function overtaking(context: Context): void {
  const { model, runs } = context
  for (const action of model.steps) {
    if (action.part !== 'run' || !action.reaction || !runs.any.didBefore(action)) continue
    const said: Step[] = []
    for (const back of model.steps) {
      if (!compensates(context, back, action) || follows(back, said)) continue
      const failing = [...runs.failing, ...runs.failingBroken]
      const run = failing.find((each) => failsAfter(context, each, action) && each.play.did(back))
      if (!run) continue
      const without = new Play(model, {
        roots: model.starts.flat(),
        outputs: everything(model),
        without: action,
        timers: 'always',
      })
      if (!without.did(back)) continue
      said.push(back)
      sayOvertaken(context, { action, back, without })
    }
  }
}

/** Whether it only goes on with what one of these has begun. */
const follows = (back: Step, said: readonly Step[]): boolean =>
  said.some((first) => back.needs.flat().every((id) => mayEmit(first).includes(id)))

/** Whether `back` looks as if it took back what `action` does. */
function compensates(context: Context, back: Step, action: Step): boolean {
  const { model, runs } = context
  if (back === action || back.service !== action.service || back.part !== 'run' || !back.reaction) return false
  const trigger = back.needs.flat()
  if (trigger.length === 0 || trigger.some((id) => action.needs.flat().includes(id))) return false
  // The toolkit's own undo answers the same event already.
  const undo = action.reaction!.undo ? model.steps[action.id + 1]!.needs.flat() : []
  if (trigger.every((id) => undo.includes(id))) return false
  if (mayEmit(back).some((id) => runs.consequences.of(id).success || runs.consequences.of(id).failure)) return false
  if (!trigger.every((id) => isFailing(context, id)) || isTold(context, trigger, action)) return false
  const [name, taken] = [nameOf(back.reaction), ownNameOf(action.reaction!)]
  if (says(taken, 'giving')) return false
  const byName = says(ownNameOf(back.reaction), 'giving') || back.emits.some(({ type }) => says(type, 'giving'))
  if (!byName && (says(name, 'recording') || says(name, 'telling'))) return false
  const takesPart = action.reaction!.calls
    ? !(mayEmit(action).length === 0 && !says(nameOf(action.reaction!), 'taking'))
    : mayEmit(action).some((id) => runs.consequences.of(id).success) || says(nameOf(action.reaction!), 'taking')
  return takesPart || byName
}

/** An occurrence after which the conversation has failed or can only fail. */
function isFailing({ model, runs }: Context, id: number): boolean {
  if (model.starts.flat().includes(id) || model.success.has(id)) return false
  if (model.failure.has(id)) return true
  const reaching = runs.plain.filter(({ play }) => play.reached(id))
  return reaching.length > 0 && reaching.every(({ play }) => play.success === undefined && play.failure !== undefined)
}

/** A request by somebody who has heard how the action went, also when it went well too late: it is sent when it is right. */
function isTold({ model, runs }: Context, trigger: readonly number[], action: Step): boolean {
  if (trigger.some((id) => model.isEnd(id))) return false
  const well = runs.alternatives[action.id]!.filter(({ kind }) => kind !== 'bad').flatMap(({ emits }) => emits)
  const emitting = model.steps.filter((step) => mayEmit(step).some((id) => trigger.includes(id)))
  const late = emitting.find(
    ({ reaction, needs }) => reaction?.kind === 'on' && needs.flat().some((id) => well.includes(id)),
  )
  return late !== undefined && emitting.every(({ service }) => service === late.service)
}

interface Pair {
  readonly action: Step
  readonly back: Step
  readonly without: Play
}

function sayOvertaken(context: Context, { action, back, without }: Pair): void {
  const { model } = context
  const outside = action.reaction!.calls
  const trigger = list(back.reaction!.triggers.map(triggerOf))
  context.say(outside ? 'S8' : 'S7', {
    places: [placeOf(back.reaction), placeOf(action.reaction)],
    message: outside
      ? `${back.name} may come before the answer to ${action.name} is there (${trigger} does not wait for it): ` +
        `it finds nothing to take back, and then the late success stays.`
      : `${back.name} may come before ${action.name} (${trigger} does not wait for it): ` +
        `it takes back what is not there yet, and what ${action.name} does afterwards stays for ever.`,
    sequence: [
      ...storyOf(
        model,
        without,
        back.needs
          .flat()
          .filter((id) => without.reached(id))
          .slice(0, 1),
      ),
      `${back.name} acts, and finds nothing`,
      `${action.name} acts afterwards, and nobody takes it back`,
    ],
    fix: `Make it the \`undo\` of ${action.name}: \`undo: { on: [${trigger}], ... }\` runs once if the action happened, whichever comes first.`,
  })
}

const undoAttemptsMin = 3

/** S21: an undo that is given up after very few attempts. */
export function impatient(context: Context): void {
  for (const reaction of context.model.reactions) {
    const { attempts } = reaction.policy.retry
    if (!reaction.undo || attempts >= undoAttemptsMin || reaction.policy.onDead === 'hold') continue
    context.say('S21', {
      places: [placeOf(reaction)],
      message:
        `The undo of ${reaction.service}/${reaction.name} is given up after ${attempts} attempt${attempts === 1 ? '' : 's'}: ` +
        'it becomes a dead letter, and what was done stays done until somebody redrives it.',
      fix: "Allow more attempts with `retry`, or keep the key waiting with onDead: 'hold'.",
    })
  }
}
