/**
 * What must hold without anyone saying so: it follows from the declaration, and from what the same conversation does when
 * nothing goes wrong. Each has a code that `ignore` can name; docs/verify.md tells them one by one.
 */
import { messageOf } from '../base/index.ts'
import { counters, effectName, netsOf, type Baseline } from './baseline.ts'
import type { Talk, Told } from './book.ts'
import { looking, Missing } from './looking.ts'
import { judgeTimeout } from './timeouts.ts'
import { judgeViews } from './views.ts'
import type { Invariants } from './options.ts'
import type { SimRun } from './sim-run.ts'

/** What `ignore` can name. */
export const oracleCodes = [
  'NO_START', 'NO_END', 'TWO_ENDS', 'NO_REST', 'STORM', 'DEAD_LETTER', 'EFFECT_TWICE', 'EFFECT_KEPT', 'EFFECT_MISSING', 'EFFECT_EARLY',
  'SUCCESS_DESPITE', 'FAILURE_WITHOUT_CAUSE', 'NO_SUCCESS', 'COUNTER_NOT_RESTORED', 'COUNTER_DIFFERS', 'STALE_VIEW', 'LOST_UPDATE', 'REDELIVERY', 'NOT_REPEATABLE',
] as const // prettier-ignore

const times = (count: number): string => (count === 1 ? 'once' : count === 2 ? 'twice' : `${count} times`)

/** What must hold at any time; a promise only where invariants are asked. */
export function judgeStep(run: SimRun): Promise<void> | undefined {
  for (const talk of run.book.talks) {
    if (talk.ends.length > 1) {
      const names = talk.ends.map(({ told }) => told.name).join(' and ')
      violate(run, 'TWO_ENDS', { subject: '', message: `${talk.label} has ended ${times(talk.ends.length)}: ${names}` })
    }
    if (talk.effects.length > talk.judgedEffects) judgeRepeats(run, talk)
    talk.judgedEffects = talk.effects.length
  }
  if (run.dead.length > run.judgedLetters) judgeLetters(run)
  run.judgedLetters = run.dead.length
  const { always } = run.stage.options
  return always && judgeInvariants(run, always)
}

/** Codes of dead letters that end what would go on for ever. */
const storms: ReadonlySet<string> = new Set(['HOPS_EXCEEDED', 'CONVERSATION_BUDGET_EXCEEDED'])

function judgeLetters(run: SimRun): void {
  for (const { service, reaction, code, problem, correlationId } of run.dead.slice(run.judgedLetters)) {
    const label = run.book.talkOf(correlationId)?.label ?? 'a conversation'
    const where = `${service}/${reaction}`
    if (storms.has(code))
      violate(run, 'STORM', {
        subject: where,
        message: `${label} goes round and round, until a limit stops it at ${where}`,
      })
    else if (run.outcomes === 0 && run.faults.every((fault) => masked.has(fault)))
      violate(run, 'DEAD_LETTER', {
        subject: where,
        message: `an event becomes a dead letter at ${where} although nothing was wrong with it: ${problem.startsWith(code) ? '' : `${code}: `}${problem}`,
      })
  }
}

function judgeRepeats(run: SimRun, talk: Talk): void {
  if (talk.effects.length < 2) return
  const counts = new Map<string, number>()
  for (const made of talk.effects) {
    const { effect, by } = made
    if (effect.change <= 0) continue
    const name = `${effect.name} by ${by.service}/${by.reaction}`
    const key = `${name} ${by.eventId}`
    const count = (counts.get(key) ?? 0) + 1
    counts.set(key, count)
    if (count > 1)
      violate(run, 'EFFECT_TWICE', {
        subject: effect.name,
        message: `one ${by.eventType} has led to ${effect.name} ${times(count)} (${by.service}/${by.reaction})`,
      })
  }
  for (const [name, net] of netsOf(talk))
    if (net < 0)
      violate(run, 'EFFECT_TWICE', {
        subject: name,
        message: `${name} of ${talk.label} was undone more often than it was done`,
      })
}

/** What must hold when nothing more can happen. */
export async function judgeEnd(
  run: SimRun,
  baselines: readonly (Baseline | undefined)[],
  inRow: (inputs: readonly unknown[]) => Promise<ReadonlySet<string>>,
): Promise<void> {
  run.book.talks.forEach((talk, index) => {
    const hasBegun = talk.begun || talk.start !== undefined
    if (!hasBegun) return
    if (!talk.start)
      violate(run, 'NO_START', { subject: '', message: `something was saved for ${talk.label}, and no event says so` })
    else if (talk.outcome === 'none')
      violate(run, 'NO_END', {
        subject: '',
        message: `${talk.label} never ends: nothing more can happen, and none of its ends has come`,
      })
    else judgeOutcome(run, talk, baselines[index])
  })
  await looking(() => judgeCounters(run, baselines))
  await judgeTogether(run, inRow)
  await judgeViews(run)
  await judgeInvariants(run, run.stage.options.atEnd)
  for (const name of run.hoped()) violate(run, 'INVARIANT', { subject: name, message: `${name}: was never true` })
}

function judgeOutcome(run: SimRun, talk: Talk, baseline: Baseline | undefined): void {
  const end = talk.ends[0]!.told
  const failed = talk.outcome === 'failure'
  if (failed) judgeKept(run, talk, end)
  else if (baseline?.outcome === 'success') judgeNets(run, talk, baseline)
  if (!failed) judgeDespite(run, talk, end)
  const isWished = failed && run.stage.isWish(talk, end.event)
  const excuses =
    isWished || run.outcomes > 0 || run.book.talks.length > 1 || run.faults.some((fault) => !masked.has(fault))
  if (failed && baseline?.outcome === 'success' && !excuses)
    violate(run, 'FAILURE_WITHOUT_CAUSE', {
      subject: '',
      message: `${talk.label} ends with ${end.name} although nothing has refused it`,
    })
  if (failed) judgeTimeout(run, talk, { end, baseline })
}

/** Faults that nobody outside should notice. */
export const masked: ReadonlySet<string> = new Set([
  'duplicate',
  'crash before commit',
  'crash after commit',
  'crash after arrival',
  'stale read',
  'together',
  'takeover',
])

function judgeKept(run: SimRun, talk: Talk, end: Told): void {
  const kinds = new Map(talk.effects.map((made) => [effectName(made), made]))
  for (const [name, net] of netsOf(talk)) {
    const { effect, by } = kinds.get(name)!
    if (net <= 0) continue
    const detail = effect.detail === undefined ? '' : ` (${effect.detail})`
    if (effect.kind !== 'notice')
      violate(run, 'EFFECT_KEPT', {
        subject: name,
        message: `${talk.label} has failed with ${end.name}, and ${name} is not undone${detail}`,
      })
    else if (!run.stage.isStart(by.eventType) && !run.stage.ends.has(by.eventType))
      violate(run, 'EFFECT_EARLY', {
        subject: name,
        message: `${talk.label} has failed with ${end.name}, after ${name} had gone out on ${by.eventType}`,
      })
  }
}

function judgeNets(run: SimRun, talk: Talk, baseline: Baseline): void {
  const nets = netsOf(talk)
  const hasDead = run.dead.some(({ correlationId }) => correlationId === talk.start!.correlationId)
  for (const name of new Set([...nets.keys(), ...baseline.nets.keys()])) {
    const net = nets.get(name) ?? 0
    const usual = baseline.nets.get(name) ?? 0
    if (net > usual)
      violate(run, 'EFFECT_TWICE', {
        subject: name,
        message: `${talk.label} has succeeded with ${name} ${times(net)}, usual is ${usual}`,
      })
    if (net < usual && !hasDead)
      violate(run, 'EFFECT_MISSING', { subject: name, message: `${talk.label} has succeeded without ${name}` })
  }
}

/** An event that leads to failure has come, and success does not build on it. */
function judgeDespite(run: SimRun, talk: Talk, end: Told): void {
  const { refusing } = run.stage
  if (refusing.size === 0) return
  const causes = run.stage.causesOf(talk, end.event)
  for (const told of talk.told) {
    if (causes.has(told.event.id) || !refusing.has(told.event.type) || !run.stage.refuses(told.event)) continue
    violate(run, 'SUCCESS_DESPITE', {
      subject: told.event.type,
      message: `${talk.label} has succeeded with ${end.name} in spite of ${told.name}`,
    })
  }
}

function judgeCounters(run: SimRun, baselines: readonly (Baseline | undefined)[]): void {
  const { talks } = run.book
  if (run.stage.seededCounters === '' || talks.some((talk) => talk.outcome === 'none')) return
  const allFailed = talks.every((talk) => talk.outcome === 'failure')
  const single = talks.length === 1 && baselines[0]?.outcome === 'success' ? baselines[0] : undefined
  if (!allFailed && !single) return
  // What a view sums up is only as complete as what it has been told.
  const untold = run.dead.length > 0 ? run.stage.views : new Set<string>()
  const known = (text: string) =>
    text
      .split('\n')
      .filter((line) => !untold.has(line.slice(0, line.indexOf('.'))))
      .join('\n')
  const now = known(counters(run.stage, run.states))
  const expected = known(allFailed ? run.stage.seededCounters : single!.counters)
  if (now === expected) return
  const difference = firstDifference(expected, now)
  if (allFailed)
    violate(run, 'COUNTER_NOT_RESTORED', {
      subject: '',
      message: `all has failed, and not everything is as it was before: ${difference}`,
    })
  else if (run.dead.length === 0)
    violate(run, 'COUNTER_DIFFERS', {
      subject: '',
      message: `${talks[0]!.label} has succeeded, and the numbers are not those of any other success: ${difference}`,
    })
}

/** Several have ended well: the numbers must be those of one after the other, in some order. */
async function judgeTogether(
  run: SimRun,
  inRow: (inputs: readonly unknown[]) => Promise<ReadonlySet<string>>,
): Promise<void> {
  const { talks } = run.book
  if (run.stage.seededCounters === '' || talks.length < 2 || run.dead.length > 0) return
  if (talks.some((talk) => talk.outcome !== 'success')) return
  const expected = await inRow(talks.map(({ input }) => input))
  const [first] = expected
  const now = await looking(() => counters(run.stage, run.states))
  if (first === undefined || expected.has(now)) return
  violate(run, 'COUNTER_DIFFERS', {
    subject: '',
    message: `${talks.map(({ label }) => label).join(' and ')} have succeeded, and the numbers are not those of one after the other: ${firstDifference(first, now)}`,
  })
}

function firstDifference(expected: string, now: string): string {
  const before = expected.split('\n')
  const after = now.split('\n')
  const index = before.findIndex((line, at) => line !== after[at])
  const [name, values = ''] = (before[index] ?? '').split(': ')
  const [, got = ''] = (after[index] ?? '').split(': ')
  const wanted = values.split(' ')
  const found = got.split(' ')
  const row = wanted.findIndex((each, at) => each !== found[at])
  const shown = (text: string | undefined) => (text ?? '').replace(/^,+|,+$/g, '')
  return `${name} has ${shown(found[row])} where ${shown(wanted[row])} is expected`
}

async function judgeInvariants(run: SimRun, invariants: Invariants<unknown, unknown> | undefined): Promise<void> {
  for (const [name, invariant] of Object.entries(invariants ?? {})) {
    for (const problem of await looking(() => problemsOf(() => invariant(run.view))))
      violate(run, 'INVARIANT', {
        subject: name,
        message: problem === '' ? `${name} does not hold` : `${name}: ${problem}`,
      })
  }
}

/** What an invariant says is wrong. */
export function problemsOf(ask: () => void | boolean | string | readonly string[]): readonly string[] {
  try {
    const said = ask()
    if (said === undefined || said === true || said === '') return []
    return said === false ? [''] : typeof said === 'string' ? [said] : said
  } catch (error) {
    if (error instanceof Missing) throw error
    return [messageOf(error)]
  }
}

export function violate(run: SimRun, code: string, { subject, message }: { subject: string; message: string }): void {
  const { ignore } = run.stage.options
  if (ignore?.includes(code) || ignore?.includes(subject)) return
  run.violate(code, subject, message)
}
