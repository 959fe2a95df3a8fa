/** Policies: plain data beside the handler that says how a reaction behaves under load and failure. */
import {
  durationMs,
  numberOption,
  refuseOption as refuse,
  refuseUnknown,
  type Duration,
  type OptionsOf,
} from '../base/index.ts'
import { policyNames } from './policy-names.ts'

/** How a failing event is tried again: exponential backoff with full jitter. */
export interface RetryPolicy {
  /** How often the handler is run in all before the event becomes a dead letter. Default 8. */
  readonly attempts?: number
  /** The longest wait before the second attempt. Default '200ms'. Doubles (see `factor`) with every attempt. */
  readonly base?: Duration
  /** No wait is longer. Default '1m'. */
  readonly max?: Duration
  /** Default 2. */
  readonly factor?: number
}

/** Pauses a reaction that keeps failing, and probes. */
export interface BreakerPolicy {
  /** Failures in a row that open it. Default 10. */
  readonly failures?: number
  /** How long it stays open before a probe; doubles while probes fail. Default '5s'. */
  readonly pause?: Duration
  /** The longest pause. Default '1m'. */
  readonly pauseMax?: Duration
}

/** Everything a reaction can be told. All optional; `explain` prints what is in force and where it comes from. */
export interface ReactionPolicy {
  readonly retry?: RetryPolicy
  /** By error name or `code`: to the dead letters at once, or another retry policy. */
  readonly errors?: Readonly<Record<string, 'dead' | RetryPolicy>>
  /** After the last attempt: `continue` with the later events of the key (default), or `hold` them. */
  readonly onDead?: 'continue' | 'hold'
  /** How many `call`s of the reaction may be under way at once in one process. Default 16. */
  readonly concurrency?: number
  /** At most so many handlings in one process; more wait. Default: no limit. */
  readonly rate?: { readonly limit: number; readonly per: Duration }
  /** Off unless given. `true` takes the defaults. */
  readonly breaker?: BreakerPolicy | boolean
  /** How long `call` may take before its signal is aborted and it counts as unanswered. Default '30s'. */
  readonly callTimeout?: Duration
  /** An event with more hops is stopped as a dead letter. Default 25. */
  readonly maxHops?: number
}

/** How a reaction gets several events at once. */
export interface BatchPolicy {
  /** The most events in one batch: 1 to 1,000. */
  readonly size: number
  /** How long the first event may wait for more. Default 0: whatever is there. */
  readonly within?: Duration
}

/** How a join gets several keys at once: those that are complete at the same time. */
export type JoinBatchPolicy = Pick<BatchPolicy, 'size'>

/** Only the latest event of each key is handled. */
export interface CoalescePolicy {
  /** How long after the first event of a key the latest is handled. */
  readonly within: Duration
}

/** A retry policy with every value filled in. */
export interface FullRetry {
  readonly attempts: number
  readonly baseMs: number
  readonly maxMs: number
  readonly factor: number
}

/** A policy with every value filled in, durations in milliseconds. */
export interface FullPolicy {
  readonly retry: FullRetry
  readonly errors: Readonly<Record<string, 'dead' | FullRetry>>
  readonly onDead: 'continue' | 'hold'
  readonly concurrency: number
  readonly rate: { readonly limit: number; readonly perMs: number } | null
  readonly breaker: { readonly failures: number; readonly pauseMs: number; readonly pauseMaxMs: number } | null
  readonly callTimeoutMs: number
  readonly maxHops: number
}

/** Where an effective value comes from. */
export type PolicyOrigin = 'default' | 'app' | 'service' | 'reaction'

/** A policy in force, and for each value where it was set. */
export interface EffectivePolicy extends FullPolicy {
  readonly origins: Readonly<Record<keyof FullPolicy, PolicyOrigin>>
}

/** What applies where nothing is said. */
export const defaultPolicy = {
  retry: { attempts: 8, base: '200ms', max: '1m', factor: 2 },
  errors: {},
  onDead: 'continue',
  concurrency: 16,
  callTimeout: '30s',
  maxHops: 25,
} as const satisfies ReactionPolicy

const breakerDefaults = { failures: 10, pause: '5s', pauseMax: '1m' } as const

/**
 * The levels a policy is put together from: what the reaction says wins over its service, the service over the app,
 * option by option. An option with several values (`retry`, `breaker`, `rate`, `errors`) is taken as a whole from
 * the level that gives it; what it leaves out has its default.
 */
export interface PolicyLevels {
  readonly app?: ReactionPolicy
  readonly service?: ReactionPolicy
  readonly reaction: ReactionPolicy
}

const retryNames: Readonly<Record<keyof RetryPolicy, true>> = { attempts: true, base: true, max: true, factor: true }
const rateNames: Readonly<Record<keyof NonNullable<ReactionPolicy['rate']>, true>> = { limit: true, per: true }
const breakerNames: Readonly<Record<keyof BreakerPolicy, true>> = { failures: true, pause: true, pauseMax: true }

/** The most attempts; each failed one is kept with the event. */
const attemptsMax = 1_000

/** Without fields that are undefined, so that they do not hide a default. */
const given = <T extends object>(options: T): T =>
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T

/**
 * Puts the levels together.
 *
 * @param where - Named in errors: `service/reaction`.
 * @throws QuadrilleError `OPTION_INVALID` or `DURATION_INVALID` for a value that makes no sense.
 */
export function effectivePolicy(levels: PolicyLevels, where: string): EffectivePolicy {
  const order = [
    ['reaction', levels.reaction],
    ['service', levels.service],
    ['app', levels.app],
    ['default', defaultPolicy as ReactionPolicy],
  ] as const
  for (const [level, policy] of order) {
    if (policy !== undefined) checkNames(policy, level === 'app' ? { of: 'start()', path: 'policy' } : { of: where })
  }
  const origins: Partial<Record<keyof FullPolicy, PolicyOrigin>> = {}
  const pick = <K extends keyof ReactionPolicy>(name: K, full: keyof FullPolicy): ReactionPolicy[K] => {
    const found = order.find(([, policy]) => policy?.[name] !== undefined)
    origins[full] = found?.[0] ?? 'default'
    return found?.[1]?.[name]
  }
  const whole = (name: 'concurrency' | 'maxHops') => positive(pick(name, name)!, `${name} of ${where}`)
  const onDead = pick('onDead', 'onDead')!
  if (onDead !== 'continue' && onDead !== 'hold') refuse(onDead, `onDead of ${where}`, `'continue' or 'hold'`)
  const retry = fullRetry(pick('retry', 'retry')!, 'retry', where)
  const rate = pick('rate', 'rate')
  const policy: FullPolicy = {
    retry,
    errors: Object.fromEntries(
      Object.entries(pick('errors', 'errors')!).map(([name, then]) => [
        name,
        then === 'dead' ? then : fullRetry(then, `errors.${name}`, where),
      ]),
    ),
    onDead,
    concurrency: whole('concurrency'),
    rate: rate
      ? { limit: positive(rate.limit, `rate.limit of ${where}`), perMs: durationMs(rate.per, `rate.per of ${where}`) }
      : null,
    breaker: fullBreaker(pick('breaker', 'breaker'), where),
    callTimeoutMs: durationMs(pick('callTimeout', 'callTimeoutMs')!, `callTimeout of ${where}`),
    maxHops: whole('maxHops'),
  }
  return { ...policy, origins: origins as EffectivePolicy['origins'] }
}

/** The names one level down too, whether or not a nearer level hides the option. */
function checkNames(policy: ReactionPolicy, at: OptionsOf): void {
  const of = (name: string): OptionsOf => ({ of: at.of, path: at.path === undefined ? name : `${at.path}.${name}` })
  refuseUnknown(policy, policyNames, at)
  const { retry, errors, rate, breaker } = policy
  if (retry !== undefined) refuseUnknown(retry, retryNames, of('retry'))
  if (rate) refuseUnknown(rate, rateNames, of('rate'))
  if (breaker && breaker !== true) refuseUnknown(breaker, breakerNames, of('breaker'))
  if (errors === undefined) return
  // Any name may stand here, but it has to be an object.
  refuseUnknown(errors, errors as Readonly<Record<string, never>>, of('errors'))
  for (const [name, then] of Object.entries(errors)) {
    const rule = of(`errors.${name}`)
    if (typeof then === 'object' && then !== null) refuseUnknown(then, retryNames, rule)
    else if (then !== 'dead') refuse(then, `${rule.path} of ${rule.of}`, "'dead' or a retry policy")
  }
}

function fullRetry(retry: RetryPolicy, name: string, where: string): FullRetry {
  const all = { ...defaultPolicy.retry, ...given(retry) }
  const attempts = positive(all.attempts, `${name}.attempts of ${where}`)
  if (attempts > attemptsMax) refuse(attempts, `${name}.attempts of ${where}`, `at most ${attemptsMax}`)
  return {
    attempts,
    baseMs: durationMs(all.base, `${name}.base of ${where}`),
    maxMs: durationMs(all.max, `${name}.max of ${where}`),
    factor: numberOption(all.factor, { option: `${name}.factor of ${where}`, min: 1, whole: false }),
  }
}

function fullBreaker(breaker: BreakerPolicy | boolean | undefined, where: string): FullPolicy['breaker'] {
  if (!breaker) return null
  const all = { ...breakerDefaults, ...(breaker === true ? {} : given(breaker)) }
  return {
    failures: positive(all.failures, `breaker.failures of ${where}`),
    pauseMs: durationMs(all.pause, `breaker.pause of ${where}`),
    pauseMaxMs: durationMs(all.pauseMax, `breaker.pauseMax of ${where}`),
  }
}

const positive = (value: number, option: string): number => numberOption(value, { option, min: 1 })

/** An undo is tried at least so often: giving up leaves an effect that nobody wanted. */
const undoAttemptsMin = 20

/** How an undo is tried again under this rule: at least 20 times in all. */
export const undoRetry = (retry: FullRetry): FullRetry => ({
  ...retry,
  attempts: Math.max(undoAttemptsMin, retry.attempts),
})

/**
 * The wait before attempt `attempt + 1`: full jitter, a random share of the exponential backoff.
 * Source: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
 */
export function backoffMs(retry: FullRetry, attempt: number, random: number): number {
  // The factor alone may be infinite after many attempts, and infinity times a base of 0 is no number.
  const longestMs = retry.baseMs === 0 ? 0 : Math.min(retry.maxMs, retry.baseMs * retry.factor ** (attempt - 1))
  return Math.ceil(random * longestMs)
}
