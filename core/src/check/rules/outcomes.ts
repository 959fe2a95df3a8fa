/** S4, S5, S9, S20: whether every conversation ends, whether it ends right, and what is told too early. */
import { durationText } from '../../base/index.ts'
import { actionOf, deviationsOf, list, placeOf, storyOf, type Context } from '../context.ts'
import { mayEmit, type Step } from '../model.ts'
import type { Run } from '../runs.ts'
import { nameOf, ownNameOf, says } from '../words.ts'

/** S4: a run that is over without having ended. */
export function stuck(context: Context): void {
  const { runs } = context
  const hopeless = (root: readonly number[]) =>
    !root.some((id) => runs.consequences.of(id).success || runs.consequences.of(id).failure)
  const said: Run[] = []
  for (const run of runs.plain) {
    if (run.play.ended || said.some((other) => subsumes(other, run))) continue
    // An event that comes in from outside while the conversation goes on need not lead to an end itself.
    if (hopeless(run.root) && (runs.any.success !== undefined || runs.any.failure !== undefined)) continue
    // What is missing has been said already.
    if (run.deviations.length === 0 && context.findings.some(({ code }) => code === 'S1' || code === 'S3')) {
      said.push(run)
      continue
    }
    if (isWatched(context, run)) continue
    said.push(run)
    sayStuck(context, run)
  }
}

/** It begins with an event that may come into a conversation under way, whose deadline runs already. */
function isWatched({ model, runs }: Context, { root, play }: Run): boolean {
  if (model.starts.length === 1) return false
  return model.steps.some((step) => {
    if (step.part !== 'expire' || play.didBefore(step) || step.needs.flat().some((id) => root.includes(id)))
      return false
    const ends = mayEmit(step).map((id) => runs.consequences.of(id))
    return (
      runs.any.did(step) &&
      ends.some(({ success, failure }) => success || failure) &&
      !step.needs.flat().some((id) => play.reached(id))
    )
  })
}

const subsumes = (one: Run, two: Run): boolean =>
  one.root === two.root &&
  one.deviations.every((each) =>
    two.deviations.some((other) => other.step === each.step && other.alternative === each.alternative),
  )

function sayStuck(context: Context, run: Run): void {
  const { model } = context
  const emitted = deviationsOf(run)
  const loose = run.play.all.filter((id) => model.consumers[id]!.length === 0)
  const ends = list(
    [...model.success, ...model.failure].map((id) => model.text(id)),
    'or',
  )
  const when =
    run.deviations.length === 0
      ? `After ${list(run.root.map((id) => model.text(id)))}`
      : `When ${list(run.deviations.map(({ step, alternative }) => happens(context, step, alternative.emits)))}`
  const why = loose.length === 0 ? '' : ` Nobody goes on after ${list(loose.map((id) => model.text(id)))}.`
  context.say('S4', {
    places: [...run.deviations.map(({ step }) => placeOf(step.reaction)), context.whole],
    message: `${when}, nothing leads to ${ends} any more: the conversation stays open for ever.${why}`,
    sequence: storyOf(model, run.play, [...emitted, ...loose]),
    fix: 'React to it and end the conversation, or set a deadline that does.',
  })
}

const happens = ({ model }: Context, step: Step, emits: readonly number[]): string =>
  emits.length === 0 ? `${step.name} emits nothing` : `${actionOf(step)} ${list(emits.map((id) => model.text(id)))}`

/** S5: nothing ends the conversation when one handler gives up. Only where an end is promised, or failure is thought of. */
export function deadlines(context: Context): void {
  const { model, runs } = context
  const { withinMs } = model.description
  if (withinMs === null && model.failure.size === 0) return
  const ended = new Set(runs.plain.filter(({ play }) => play.ended).map(({ outputs }) => outputs))
  const open = runs.broken.filter(
    (run) => !run.play.ended && ended.has(run.outputs) && isFinal(run.broken!) && !isWatched(context, run),
  )
  const [first] = open
  if (!first) return
  const steps = [...new Set(open.map(({ broken }) => broken!))]
  const timers = model.steps.filter(({ part }) => part === 'expire' || part === 'late')
  const within = withinMs === null ? '' : ` within ${durationText(withinMs)}, or ever`
  const attempts = first.broken!.reaction!.policy.retry.attempts
  const settled = timers.filter((step) => !first.play.did(step))
  context.say('S5', {
    places: [
      context.whole,
      ...steps.map(({ reaction }) => placeOf(reaction)),
      ...timers.map((step) => placeOf(step.reaction)),
    ],
    message:
      `When ${list(
        steps.map(({ name }) => name),
        'or',
      )} gives up (a dead letter after ${attempts} attempts), ` +
      `no end comes${within}` +
      (timers.length === 0
        ? ': there is no deadline.'
        : `: ${list(
            settled.map(({ name }) => name),
            'and',
          )} ${settled.length === 1 ? 'does' : 'do'} not cover it.`),
    sequence: [
      ...storyOf(
        model,
        first.play,
        first.play.all.filter((id) => !model.isEnd(id)),
      ),
      `${first.broken!.name} fails on every attempt`,
    ],
    fix: 'Set a deadline on the first event that leads to an end: `.deadline(Start, { unless: [ends], within, emits: [Failure] }, ...)`.',
  })
}

/** A step that holds its key is waited for by people. */
const isFinal = ({ reaction }: Step): boolean => reaction?.policy.onDead !== 'hold'

/** S9: the successful end is reached although a step that can end it badly has not been waited for. */
export function premature(context: Context): void {
  const { model, runs } = context
  const said = new Set<Step>()
  for (const run of runs.plain) {
    const [deviation, second] = run.deviations
    if (!deviation || second || said.has(deviation.step)) continue
    const { step, alternative } = deviation
    const { success } = run.play
    if (success === undefined || alternative.kind !== 'bad' || !run.play.didBefore(step)) continue
    if (!alternative.emits.some((id) => runs.consequences.of(id).failure)) continue
    const ender = run.play.causeOf(success)
    if (!ender || knows(context, ender, step)) continue
    const bad = list(alternative.emits.map((id) => model.text(id)))
    said.add(step)
    context.say('S9', {
      places: [placeOf(ender.reaction), placeOf(step.reaction)],
      message:
        `${ender.name} emits ${model.text(success)} without waiting for ${step.name}, ` +
        `which may still emit ${bad}: the conversation succeeds and fails.`,
      sequence: storyOf(model, run.play, [success, ...alternative.emits]),
      fix: `Wait for both in a join: \`.all([...], { emits: [${model.occurrences[success]!.type}] }, ...)\` with what ${step.name} emits when all is well.`,
    })
  }
}

/** Whether the service that ends it hears when the step goes well, or nothing is said then. */
function knows({ model, runs }: Context, ender: Step, step: Step): boolean {
  if (ender.service === step.service) return true
  const well = runs.alternatives[step.id]!.filter(({ kind }) => kind !== 'bad').flatMap(({ emits }) => emits)
  if (well.length === 0) return step.reaction === undefined || !says(nameOf(step.reaction), 'taking')
  return well.some((id) => model.consumers[id]!.some((consumer) => consumer.step.service === ender.service))
}

/** S20: something that can not be taken back happens while the conversation may still fail. */
export function irreversible(context: Context): void {
  const { model, runs } = context
  const started = new Set(model.starts.flat())
  for (const step of model.steps) {
    const { reaction } = step
    if (step.part !== 'run' || !reaction?.calls || reaction.undo || !runs.any.didBefore(step)) continue
    const onStart = step.needs.flat().every((id) => started.has(id))
    if (!isFinalWord(step, onStart)) continue
    const acting = runs.plain.filter(({ play }) => play.didBefore(step) && !play.byTimer)
    const failing = acting.find(({ play }) => play.failure !== undefined && play.success === undefined)
    const succeeding = acting.some(({ play }) => play.success !== undefined)
    if (!failing || !succeeding) continue
    const failure = failing.play.failure!
    const trigger = list(step.needs.flat().map((id) => model.text(id)))
    context.say('S20', {
      places: [placeOf(reaction), placeOf(failing.play.causeOf(failure)?.reaction)],
      message:
        `${step.name} talks to the outside on ${trigger}, which does not tell how it ends: ` +
        `the conversation may still come to ${model.text(failure)}, and what was done or told can not be taken back.`,
      sequence: [
        ...storyOf(model, failing.play, step.needs.flat()),
        `${step.name} acts`,
        ...after(context, failing, step),
      ],
      fix: `React to ${list(
        [...model.success].map((id) => model.text(id)),
        'or',
      )} instead, or give it an \`undo\`.`,
    })
  }
}

function after({ model }: Context, run: Run, step: Step): string[] {
  const before = new Set(storyOf(model, run.play, step.needs.flat()))
  return storyOf(model, run.play, [run.play.failure!]).filter((line) => !before.has(line))
}

function isFinalWord(step: Step, onStart: boolean): boolean {
  const text = [nameOf(step.reaction!), ...step.emits.map(({ type }) => type)].join(' | ')
  // To say that something has begun is right when it begins; to say that it is done is not.
  if (onStart) return /\bship|dispatch|deliver|payout|complet/i.test(ownNameOf(step.reaction!))
  if (says(ownNameOf(step.reaction!), 'giving')) return false
  if (says(text, 'telling') || says(text, 'final')) return true
  return mayEmit(step).length === 0 && !says(text, 'asking') && !says(text, 'recording')
}
