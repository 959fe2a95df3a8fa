/** Reads declarations and says what can go wrong. */
import { refuseOption } from '../base/index.ts'
import type { Choreography } from '../service/index.ts'
import { Context, type CheckRule } from './context.ts'
import type { CheckOptions, CheckReport, Decoding, Finding, FlowReport, Suppressed, Suppression } from './finding.ts'
import { Model } from './model.ts'
import { rules } from './rule-list.ts'
import { calls } from './rules/calls.ts'
import { contracts, deployed } from './rules/contracts.ts'
import { impatient, missingUndo, overtaking } from './rules/compensation.ts'
import { deadlines, irreversible, premature, stuck } from './rules/outcomes.ts'
import { amplification, cycles, deadlineTimes, hops } from './rules/shape.ts'
import { keys, orphans, owners, unconsumed } from './rules/triggers.ts'
import { Runs } from './runs.ts'
import { Sizes } from './sizes.ts'

const handlingsMaxDefault = 1_000

/** In the order in which a reader should deal with them: what is not there, how it ends, what stays, how it behaves. */
const checkRules: readonly CheckRule[] = [
  orphans,
  unconsumed,
  keys,
  stuck,
  premature,
  deadlines,
  missingUndo,
  overtaking,
  irreversible,
  calls,
  cycles,
  hops,
  deadlineTimes,
  impatient,
  owners,
]

/**
 * Checks declared choreographies. Only declarations are read; no handler is run. docs/check.md describes every rule, and
 * what no check of declarations can see.
 *
 * @throws QuadrilleError `OPTION_INVALID` for a suppression without a reason or of a rule that does not exist.
 *
 * @example
 * ```ts run
 * import { choreography, event, service } from 'quadrille'
 * import { check } from 'quadrille/check'
 * import * as z from 'zod'
 *
 * const schema = z.object({ id: z.string() })
 * const Asked = event('asked', { key: 'id', schema })
 * const Answered = event('answered', { key: 'id', schema })
 * const desk = service('desk').on(Asked, { emits: [Answered] }, ({ id }) => Answered({ id }))
 * const talk = choreography('talk', { services: [desk], starts: [Asked], ends: { success: [Answered] } })
 * check(talk).findings // => []
 * ```
 */
export function check(choreographies: Choreography | readonly Choreography[], options: CheckOptions = {}): CheckReport {
  const suppressions = options.suppress ?? []
  for (const suppression of suppressions) checkSuppression(suppression)
  const found: Finding[] = []
  const flows: FlowReport[] = []
  const decoding: Decoding[] = []
  const models = [choreographies].flat().map((choreography) => new Model(choreography))
  for (const model of models) {
    const others = models.filter((other) => other !== model)
    const context = new Context(new Runs(model), others)
    for (const rule of checkRules) rule(context)
    amplification(context, options.handlingsMax ?? handlingsMaxDefault)
    decoding.push(...contracts(context), ...deployed(context, options.deployed ?? []))
    found.push(...context.findings)
    flows.push(flowOf(context))
  }
  return { ...parted(found, suppressions), flows, decoding }
}

function checkSuppression({ code, reason }: Suppression): void {
  if (!(code in rules)) refuseOption(code, 'suppress.code', `one of ${Object.keys(rules).join(', ')}`)
  if (typeof reason !== 'string' || reason.trim() === '')
    refuseOption(reason, `suppress.reason of ${code}`, 'the reason why it is right as it is')
}

function parted(
  all: readonly Finding[],
  suppressions: readonly Suppression[],
): Pick<CheckReport, 'findings' | 'suppressed'> {
  const findings: Finding[] = []
  const suppressed: Suppressed[] = []
  for (const finding of all) {
    const by = suppressions.find(
      ({ code, at }) => code === finding.code && (at === undefined || finding.places.some(({ what }) => what === at)),
    )
    if (by) suppressed.push({ ...finding, reason: by.reason })
    else findings.push(finding)
  }
  return { findings, suppressed }
}

function flowOf({ model, runs }: Context): FlowReport {
  const { name, place, services } = model.description
  const sizes = new Sizes(model)
  const each = model.starts.flat().map((id) => sizes.of(id))
  const most = (measure: (size: (typeof each)[number]) => number) => Math.max(0, ...each.map(measure))
  const longest = each.reduce<readonly number[]>(
    (path, size) => (size.path.length > path.length ? size.path : path),
    [],
  )
  const types = new Set(model.occurrences.map(({ type }) => type))
  return {
    choreography: name,
    place,
    services: services.length,
    reactions: model.reactions.length,
    events: types.size,
    runs: runs.plain.length + runs.broken.length,
    work: runs.work,
    handlings: most(({ handlings }) => handlings) + sizes.undone.handlings,
    longestPath: longest.map((id) => model.text(id)),
    attempts: most(({ attempts }) => attempts) + sizes.undone.attempts,
    worstMs: most(({ ms }) => ms),
  }
}
