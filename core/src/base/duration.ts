/** Durations as users write them: milliseconds, or '250ms', '30s', '15m', '2h', '7d'. */
import { QuadrilleError } from './errors.ts'

/** Milliseconds as a number, or a number with a unit: ms, s, m, h, d. */
export type Duration = number | `${number}${'ms' | 's' | 'm' | 'h' | 'd'}`

const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/**
 * Turns a duration into milliseconds.
 *
 * @param where - Named in the error, for example `retry.base of orders/expire`.
 * @throws QuadrilleError `DURATION_INVALID` for anything else than a non-negative finite duration.
 *
 * @example
 * ```ts run
 * import { durationMs } from 'quadrille'
 *
 * durationMs('15m', 'within') // => 900000
 * ```
 */
export function durationMs(value: Duration, where: string): number {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value
  const match = typeof value === 'string' ? /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value) : null
  const ms = match ? Number(match[1]) * unitMs[match[2] as keyof typeof unitMs] : NaN
  if (Number.isFinite(ms)) return ms
  throw new QuadrilleError('DURATION_INVALID', {
    value: typeof value === 'string' ? `'${value}'` : String(value),
    where,
  })
}

/** Milliseconds for printing, in the largest unit that divides them (`900000` is `15m`), otherwise rounded: `12.3s`. */
export function durationText(ms: number): string {
  if (ms === 0) return '0ms'
  for (const unit of ['d', 'h', 'm', 's'] as const) {
    if (ms % unitMs[unit] === 0) return `${ms / unitMs[unit]}${unit}`
  }
  return ms > 10_000 ? `${Math.round(ms / 100) / 10}s` : `${Math.round(ms)}ms`
}
