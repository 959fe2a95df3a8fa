/** S1, S2, S3, S10, S26: who emits what, who reacts to it, and whether the two can meet. */
import type { AnyPattern } from '../../contracts/index.ts'
import type { ReactionDescription, TriggerDescription } from '../../service/index.ts'
import { list, placeOf, storyOf, type Context } from '../context.ts'
import { mayEmit, triggerOf, type Model, type Step } from '../model.ts'
import { Play } from '../play.ts'
import { everything } from '../alternatives.ts'
import { nameOf, says, wordsOf } from '../words.ts'

/** The other choreographies in which this reaction takes part as well. */
const elsewhere = ({ others }: Context, { service, name, place }: ReactionDescription): readonly Model[] =>
  others.filter(({ reactions }) =>
    reactions.some((each) => each.service === service && each.name === name && each.place === place),
  )

const isEmitted = ({ steps, starts, occurrences }: Model, type: string): boolean =>
  starts.flat().some((id) => occurrences[id]!.type === type) ||
  steps.some(({ emits }) => emits.some((each) => each.type === type))

interface Use {
  readonly reaction: ReactionDescription
  readonly role: string
  readonly trigger: TriggerDescription
}

function usesOf(reaction: ReactionDescription): Use[] {
  const { kind, triggers, undo, unless } = reaction
  const role = kind === 'all' ? 'waits for' : kind === 'deadline' ? 'starts with' : 'reacts to'
  return [
    ...triggers.map((trigger) => ({ reaction, role, trigger })),
    ...(undo?.on ?? []).map((trigger) => ({ reaction, role: 'is undone by', trigger })),
    ...unless.map((trigger) => ({ reaction, role: 'is settled by', trigger })),
  ]
}

/** S1: a trigger that nobody emits. S3: what can never be reached although everything that it waits for is emitted. */
export function orphans(context: Context): void {
  const { model, runs } = context
  const emitted = new Set([...model.steps.flatMap(mayEmit), ...model.starts.flat()])
  const missing = model.reactions
    .flatMap(usesOf)
    .filter(({ trigger }) => !model.matching(trigger).some((id) => emitted.has(id)))
    .filter(({ reaction, trigger }) => !elsewhere(context, reaction).some((other) => isEmitted(other, trigger.type)))
  // As if somebody emitted them: what is still not reached has another reason.
  const roots = [...model.starts.flat(), ...missing.flatMap(({ trigger }) => model.matching(trigger))]
  const mended = new Play(model, { roots, outputs: everything(model), timers: 'always' })
  const lost = (play: Play) => [
    ...model.steps.filter((step) => step.part === 'run' && !play.did(step)).map(({ name }) => name),
    ...endsOf(context)
      .filter(({ ids }) => !ids.some((id) => play.reached(id)))
      .map(({ text }) => text),
  ]
  const lostAnyway = new Set(lost(mended))
  const consequences = lost(runs.any).filter((name) => !lostAnyway.has(name))
  for (const { reaction, role, trigger } of missing) {
    const name = `${reaction.service}/${reaction.name}`
    const others = consequences.filter((other) => other !== name)
    const impossible = model.ofType(trigger.type).some((id) => emitted.has(id))
    const what = impossible ? `and no ${trigger.type} is ever like this` : 'which nobody emits'
    const suggestion = impossible ? undefined : similar(context, trigger.type)
    const effect = others.length === 0 ? '' : ` ${list(others)} will never be reached either.`
    context.say('S1', {
      places: [placeOf(reaction)],
      message: `${name} ${role} ${triggerOf(trigger)}, ${what}: ${effectOf(role)}.${effect}`,
      fix:
        suggestion === undefined
          ? 'Correct the event, declare who emits it, or name it in `starts` or under `external` when it comes from outside.'
          : `Did you mean ${suggestion}? Otherwise name it in \`starts\`, or under \`external\` when it comes from outside.`,
    })
  }
  unreached(context, mended)
}

const effectOf = (role: string): string =>
  role === 'is undone by'
    ? 'it is never undone by it'
    : role === 'is settled by'
      ? 'the deadline is never settled by it'
      : role === 'waits for'
        ? 'the join is never complete'
        : 'it never runs'

function endsOf({ model }: Context): { text: string; ids: number[] }[] {
  const { success, failure } = model.description.ends
  return [...success, ...failure].map((end) => ({ text: `the end ${triggerOf(end)}`, ids: model.matching(end) }))
}

/** An event with nearly the same name that is emitted. */
function similar({ model }: Context, type: string): string | undefined {
  const emitted = new Set(model.steps.flatMap(({ emits }) => emits.map((each) => each.type)))
  const near = [...emitted].map((other) => ({ other, far: distance(wordsOf(type), wordsOf(other)) }))
  return near.filter(({ far }) => far <= Math.max(2, type.length / 5)).sort((a, b) => a.far - b.far)[0]?.other
}

/** How many letters have to be added, removed or changed. */
function distance(one: string, two: string): number {
  let row = Array.from({ length: two.length + 1 }, (_, index) => index)
  for (let i = 1; i <= one.length; i++) {
    const next = [i]
    for (let j = 1; j <= two.length; j++) {
      next[j] = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (one[i - 1] === two[j - 1] ? 0 : 1))
    }
    row = next
  }
  return row[two.length]!
}

function unreached(context: Context, mended: Play): void {
  const { model } = context
  for (const step of model.steps) {
    if ((step.part !== 'run' && step.part !== 'expire') || mended.did(step) || reachable(context, step)) continue
    const needs = step.reaction!.triggers.filter((trigger) => !model.matching(trigger).some((id) => mended.reached(id)))
    context.say('S3', {
      places: [placeOf(step.reaction)],
      message: `${step.name} is never reached: nothing that follows from the starts leads to ${list(needs.map(triggerOf))}.`,
      fix: 'Name what begins it in `starts`, or remove it.',
    })
  }
  for (const { text, ids } of endsOf(context)) {
    if (ids.some((id) => mended.reached(id))) continue
    context.say('S3', {
      places: [context.whole],
      message: `${text} is never reached: nothing that follows from the starts leads to it.`,
      fix: 'Emit it where the conversation is over, or remove it from the ends.',
    })
  }
  for (const step of model.steps) impossibleJoin(context, step)
}

const reachable = (context: Context, { reaction }: Step): boolean => elsewhere(context, reaction!).length > 0

/** A join of events that exclude each other. */
function impossibleJoin(context: Context, step: Step): void {
  const { model, runs } = context
  if (step.part !== 'run' || step.reaction?.kind !== 'all') return
  for (const [index, one] of step.reaction.triggers.entries()) {
    for (const two of step.reaction.triggers.slice(index + 1)) {
      if (one.type !== two.type || model.matching(one).some((id) => model.matching(two).includes(id))) continue
      const emitters = model.steps.filter(({ emits }) => emits.some(({ type }) => type === one.type))
      const started = model.starts.flat().some((id) => model.ofType(one.type).includes(id))
      if (started || emitters.length !== 1 || runs.isCyclic(emitters[0]!)) continue
      context.say('S3', {
        places: [placeOf(step.reaction), placeOf(emitters[0]!.reaction)],
        message:
          `${step.name} waits for both ${triggerOf(one)} and ${triggerOf(two)}, ` +
          `but ${emitters[0]!.name} emits one or the other: the join is never complete.`,
        fix: 'Wait for one of them, or react to each by itself.',
      })
    }
  }
}

/** S2: an event that nobody reacts to although the conversation needs what it says. */
export function unconsumed(context: Context): void {
  const { model, runs } = context
  const settling = new Set(model.steps.flatMap(({ timer }) => [...(timer?.unless ?? [])]))
  const ignored = (id: number) => model.consumers[id]!.length === 0 && !model.isEnd(id) && !settling.has(id)
  for (const step of model.steps) {
    const { reaction } = step
    if (!reaction || step.part === 'undo' || !runs.any.didBefore(step) || step.emits.length === 0) continue
    if (!mayEmit(step).every(ignored) || isAside(step)) continue
    if (elsewhere(context, reaction).some((other) => step.emits.some(({ type }) => isRead(other, type)))) continue
    const types = list(step.emits.map(({ type }) => type))
    context.say('S2', {
      places: [placeOf(reaction)],
      message: `${step.name} emits ${types}, and nobody reacts: the conversation goes on as if it had not happened.`,
      sequence: storyOf(model, runs.any, [...mayEmit(step)]),
      fix: 'React to it, wait for it in a join, or name who consumes it under `external` of the choreography.',
    })
  }
  for (const run of runs.plain) {
    const [deviation, second] = run.deviations
    if (!deviation || second || !run.play.byTimer) continue
    const { step, alternative } = deviation
    if (alternative.kind === 'good' || alternative.emits.length === 0 || !alternative.emits.every(ignored)) continue
    if (runs.plain.find((each) => each.root === run.root)!.play.byTimer) continue
    const what = list(alternative.emits.map((id) => model.text(id)))
    context.say('S2', {
      places: [placeOf(step.reaction)],
      message: `When ${step.name} emits ${what}, nobody reacts, and the conversation waits until its deadline ends it.`,
      sequence: storyOf(model, run.play, [
        ...alternative.emits,
        ...(run.play.failure === undefined ? [] : [run.play.failure]),
      ]),
      fix: 'React to it at once.',
    })
  }
}

const isRead = (other: Model, type: string): boolean => other.ofType(type).some((id) => other.consumers[id]!.length > 0)

/** What takes no part in the outcome by its own word: it only looks on, or only concerns some of the events. */
function isAside({ reaction, emits }: Step): boolean {
  const { filtered, triggers } = reaction!
  if (filtered || triggers.some(({ pattern }) => pattern !== null)) return true
  const text = [nameOf(reaction!), ...emits.map(({ type }) => type)].join(' | ')
  return (says(text, 'telling') || says(text, 'recording')) && !says(text, 'taking')
}

/** S26: an event type that several services emit. */
export function owners(context: Context): void {
  const { model } = context
  const own = model.steps.filter(({ part }) => part !== 'external')
  const emitting = own.flatMap((step) => step.emits.map(({ type }) => ({ type, step })))
  for (const [type, all] of Map.groupBy(emitting, (each) => each.type)) {
    const services = [...new Set(all.map(({ step }) => step.service))]
    if (services.length < 2) continue
    context.say('S26', {
      places: all.map(({ step }) => placeOf(step.reaction) ?? { what: step.name, at: '' }),
      message: `${list(services)} ${services.length === 2 ? 'both' : 'all'} emit ${type}: a reader can not know whose word it is, and neither can change it alone.`,
      fix: 'Let one service own the event; give the others events of their own.',
    })
  }
}

/** S10: parts of a join, an undo or a deadline whose keys can not be equal. */
export function keys(context: Context): void {
  for (const service of context.model.choreography.services) {
    for (const reaction of service.reactions) {
      const { kind } = reaction
      if (kind === 'all') compareKeys(context, { reaction, what: 'the join is never complete' }, reaction.triggers)
      if (kind === 'deadline')
        compareKeys(context, { reaction, what: 'the deadline is never settled' }, [reaction.start, ...reaction.unless])
      if (kind === 'on' && reaction.undo)
        compareKeys(context, { reaction, what: 'it is never undone' }, [reaction.trigger, ...reaction.undo.on])
    }
  }
}

interface KeyUse {
  readonly reaction: { readonly service: string; readonly name: string; readonly place: string }
  readonly what: string
}

function compareKeys(context: Context, { reaction, what }: KeyUse, patterns: readonly AnyPattern[]): void {
  const [first, ...rest] = patterns
  for (const each of rest) {
    if (!differ(first!, each)) continue
    const name = `${reaction.service}/${reaction.name}`
    context.say('S10', {
      places: [{ what: name, at: reaction.place }],
      message:
        `${name} brings ${first!.type} and ${each.type} together by their keys, but one is keyed by ` +
        `${first!.contract.key} and the other by ${each.contract.key}: the two never meet, and ${what}.`,
      fix: `Give both events the same key, for example ${first!.contract.key}.`,
    })
    return
  }
}

/** `orderId`, `order_id` and `order` mean the same; `id` and `key` may mean anything. */
const entityOf = (key: string): string =>
  wordsOf(key)
    .split(' ')
    .filter((word) => !['id', 'key', 'ref', 'uuid', 'no', 'nr', 'number', 'code', 'reference'].includes(word))
    .join(' ')

function differ(one: AnyPattern, two: AnyPattern): boolean {
  const [a, b] = [one.contract.key, two.contract.key]
  if (a === b) return false
  const [first, second] = [entityOf(a), entityOf(b)]
  if (first === '' || second === '' || first === second) return false
  // One carries the key of the other beside its own: the two are different things.
  if (fieldsOf(one).includes(b) || fieldsOf(two).includes(a)) return true
  return !first.endsWith(second) && !second.endsWith(first)
}

function fieldsOf({ contract }: AnyPattern): string[] {
  try {
    const { properties, anyOf, oneOf } = contract.jsonSchema() as Record<string, unknown>
    const branches = [anyOf, oneOf].flat().filter((each) => typeof each === 'object' && each !== null)
    return [properties, ...branches.map((each) => (each as { properties?: unknown }).properties)].flatMap((each) =>
      Object.keys(each ?? {}),
    )
  } catch {
    return []
  }
}
