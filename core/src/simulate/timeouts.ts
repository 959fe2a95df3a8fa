/** A conversation that times out although nothing has gone wrong: somebody has waited for what nobody has sent. */
import { counters, type Baseline } from './baseline.ts'
import type { Talk, Told } from './book.ts'
import { violate } from './oracles.ts'
import type { SimRun } from './sim-run.ts'

/** Judges a conversation that has ended in failure. */
export function judgeTimeout(
  run: SimRun,
  talk: Talk,
  { end, baseline }: { readonly end: Told; readonly baseline: Baseline | undefined },
): void {
  const { stage } = run
  const { starts, external } = stage.choreography
  const needsOthers = starts.length > 1 || external.some(({ emits }) => emits.length > 0)
  if (run.faults.length > 0 || run.outcomes > 0 || run.dead.length > 0 || needsOthers) return
  if (stage.options.inputs === undefined || !stage.isTimeout(end.event)) return
  if (talk.told.some(({ event }) => stage.refuses(event))) return
  const alone = run.book.talks.length === 1
  if (alone ? baseline?.outcome === 'success' || !hasProgress(run, { talk, end }) : !hadEnough(run, baseline)) return
  const why = alone ? '' : ', and there was enough of everything for it'
  violate(run, 'FAILURE_WITHOUT_CAUSE', {
    subject: '',
    message: `${talk.label} waits until ${end.event.reaction} ends it with ${end.name}, although nothing has refused it or gone wrong${why}${strangers(run, talk)}`,
  })
}

/** Somebody has gone on from the start: a question that nobody answers may just have no answer. */
const hasProgress = ({ stage }: SimRun, { talk, end }: { readonly talk: Talk; readonly end: Told }): boolean =>
  talk.told.some(({ event }) => !stage.isStart(event.type) && !stage.causesOf(talk, event).has(end.event.id))

/** Beside others: the stocks and balances that are left would do for one that succeeds when it is alone. */
function hadEnough({ stage, states }: SimRun, baseline: Baseline | undefined): boolean {
  if (baseline?.outcome !== 'success') return false
  const [before, after, left] = [stage.seededCounters, baseline.counters, counters(stage, states)].map(numbersIn)
  if (before!.length !== after!.length || before!.length !== left!.length) return false
  const needs = before!.map((value, index) => value - after![index]!)
  return needs.some((need) => need > 0) && needs.every((need, index) => left![index]! >= need)
}

const numbersIn = (text: string): number[] =>
  text
    .split('\n')
    .flatMap((line) => line.slice(line.indexOf(': ') + 2).split(/[ ,]/))
    .filter(Boolean)
    .map(Number)

/** Events that went out under another key than the conversation's: whoever waits by key has not got them. */
function strangers({ stage }: SimRun, talk: Talk): string {
  const { start } = talk
  const keyOf = (type: string) => stage.keyFields.get(type)
  const others = talk.told.filter(({ event }) => event.key !== start!.key && keyOf(event.type) === keyOf(start!.type))
  const shown = others.map(({ name, event }) => `${name} has the ${keyOf(event.type)} ${event.key}, not ${start!.key}`)
  return shown.length === 0 ? '' : `; ${shown.join(', ')}`
}
