/** S16, S17, S23, S24: cycles, amplification, and numbers that do not go together. */
import { durationText } from '../../base/index.ts'
import { list, placeOf, type Context } from '../context.ts'
import { mayEmit, triggerOf, type Step } from '../model.ts'
import { hopsTo, longestMs, Sizes, statedMs } from '../sizes.ts'
import { says } from '../words.ts'

/** S16: a cycle that nothing bounds but the hop limit. */
export function cycles(context: Context): void {
  const { model, runs } = context
  for (const cycle of runs.cycles) {
    const steps = turning(cycle.filter(turnsFreely))
    if (steps.length === 0) continue
    const inside = new Set(steps.flatMap(mayEmit).filter((id) => steps.some((step) => step.needs.flat().includes(id))))
    const leaves = (step: Step) => mayEmit(step).filter((id) => !inside.has(id))
    const givesUp = (step: Step) =>
      leaves(step).some((id) => runs.consequences.kindOf([id]) === 'bad' || model.failure.has(id))
    if (turning(steps.filter((step) => !givesUp(step))).length === 0) continue
    const always = steps.every((step) => leaves(step).length === 0)
    const ended = [...inside].find((id) => model.isEnd(id))
    const retried = [...inside].find((id) => says(model.text(id), 'negative'))
    if (!always && ended === undefined && retried === undefined) continue
    const round = [...inside].map((id) => model.text(id))
    const why = always
      ? 'nothing leads out of it'
      : ended !== undefined
        ? `it begins again after its end, ${model.text(ended)}`
        : `it leaves only when all goes well, and ${model.text(retried!)} leads round again`
    const maxHops = Math.min(...steps.map(({ reaction }) => reaction!.policy.maxHops))
    context.say('S16', {
      places: steps.map(({ reaction }) => placeOf(reaction)),
      message: `${list(steps.map(({ name }) => name))} form a cycle over ${list(round)}, and ${why}: it goes on until an event has ${maxHops} hops and becomes a dead letter.`,
      sequence: [
        ...steps.map(
          (step) =>
            `${step.name} emits ${list(
              mayEmit(step).map((id) => model.text(id)),
              'or',
            )}`,
        ),
        'and so on',
      ],
      fix: 'Count the rounds in the event and emit a failure after the last one, or wait with a `.deadline()` between two rounds.',
    })
  }
}

/**
 * A join fires once for a key and an undo once for an action; a timer takes its time; a filter and a hop limit of its own
 * are bounds that somebody has thought of; and with somebody outside, the cycle is theirs to bound.
 */
const turnsFreely = ({ part, reaction }: Step): boolean =>
  part === 'run' && reaction?.kind === 'on' && !reaction.filtered && reaction.policy.origins.maxHops === 'default'

/** The steps among these that are on a cycle of these. */
function turning(steps: readonly Step[]): Step[] {
  let left = [...steps]
  const feeds = (one: Step, two: Step) => mayEmit(one).some((id) => two.needs.flat().includes(id))
  for (;;) {
    const kept = left.filter(
      (step) => left.some((other) => feeds(other, step)) && left.some((other) => feeds(step, other)),
    )
    if (kept.length === left.length) return kept
    left = kept
  }
}

/** S17: one start that leads to very many handlings. */
export function amplification(context: Context, handlingsMax: number): void {
  const { model } = context
  const sizes = new Sizes(model)
  for (const id of model.starts.flat()) {
    const handlings = sizes.of(id).handlings + sizes.undone.handlings
    if (handlings <= handlingsMax) continue
    context.say('S17', {
      places: [context.whole],
      message: `One ${model.text(id)} can lead to ${Math.round(handlings).toLocaleString('en')} handlings, more than ${handlingsMax.toLocaleString('en')}: a burst of starts becomes a storm.`,
      fix: 'Let fewer services react to each event, or batch and coalesce them; `handlingsMax` of the check is the limit.',
    })
  }
}

/** S24: a legal flow that the hop limit stops. */
export function hops(context: Context): void {
  for (const [step, most] of hopsTo(context.model)) {
    const maxHops = step.reaction?.policy.maxHops ?? Infinity
    if (most <= maxHops || step.part === 'undo') continue
    context.say('S24', {
      places: [placeOf(step.reaction)],
      message: `${step.name} can be reached after ${most} hops, and its limit is ${maxHops}: a conversation without any fault ends as a dead letter there.`,
      fix: `Raise \`maxHops\` to at least ${most}, or shorten the chain.`,
    })
  }
}

/** S23: a deadline that passes while everything is still going well. */
export function deadlineTimes(context: Context): void {
  const { model } = context
  const { withinMs } = model.description
  const timers = model.steps.filter(({ part }) => part === 'expire')
  for (const step of timers) {
    const reaction = step.reaction!
    const good = new Set(
      [...step.timer!.unless].filter((id) => !says(model.text(id), 'negative') && !model.failure.has(id)),
    )
    const needed = longestMs(model, { from: step.needs.flat(), to: good, cost: statedMs })
    if (needed === undefined || needed <= reaction.withinMs!) continue
    context.say('S23', {
      places: [placeOf(reaction)],
      message:
        `${step.name} passes after ${durationText(reaction.withinMs!)}, but the timeouts and retries on the way to ` +
        `${list(reaction.unless.map(triggerOf), 'or')} can take ${durationText(needed)}: a success that is only slow comes too late.`,
      fix: `Give it more than ${durationText(needed)}, or shorten \`callTimeout\` and \`retry\` on the way.`,
    })
  }
  const ending = timers.filter((step) => mayEmit(step).some((id) => model.isEnd(id)))
  if (withinMs === null || ending.length === 0 || ending.some(({ reaction }) => reaction!.withinMs! <= withinMs)) return
  context.say('S23', {
    places: [context.whole, ...ending.map(({ reaction }) => placeOf(reaction))],
    message:
      `The choreography promises an end within ${durationText(withinMs)}, but its first deadline passes after ` +
      `${durationText(Math.min(...ending.map(({ reaction }) => reaction!.withinMs!)))}.`,
    fix: 'Make the two agree.',
  })
}
