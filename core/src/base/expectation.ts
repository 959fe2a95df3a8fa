/** The few assertions that the conformance cases of ledgers and wires need. No test runner is asked for. */
import { QuadrilleError, isQuadrilleError, type ErrorCode } from './errors.ts'
import { sleep, type Env } from './env.ts'

/** For how long something is waited for that comes soon, such as a wake-up. */
const soonMs = 3_000

/** Properties in the order of their names; sets as lists; undefined told apart from absent in lists only. */
function canonical(value: unknown): unknown {
  if (value instanceof Set) return [...value].toSorted((a, b) => (String(a) < String(b) ? -1 : 1))
  if (Array.isArray(value)) return value.map((entry) => (entry === undefined ? '(undefined)' : canonical(entry)))
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).filter(([, entry]) => entry !== undefined)
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([name, entry]) => [name, canonical(entry)]),
  )
}

const textOf = (value: unknown): string => JSON.stringify(canonical(value)) ?? String(value)

/** Fails unless both are the same, compared by value. */
export function same(got: unknown, expected: unknown, promise: string): void {
  const texts = { expected: textOf(expected), got: textOf(got) }
  if (texts.got !== texts.expected) throw new QuadrilleError('CONFORMANCE_FAILED', { promise, ...texts })
}

/** Fails unless `condition` is true. */
export function holds(condition: boolean, promise: string): void {
  same(condition, true, promise)
}

/** Fails unless `action` fails with this code; gives the error back. */
export async function refused<Code extends ErrorCode>(
  action: () => unknown,
  code: Code,
  promise: string,
): Promise<QuadrilleError<Code>> {
  try {
    await action()
  } catch (error) {
    if (isQuadrilleError(error, code)) return error
    throw new QuadrilleError('CONFORMANCE_FAILED', { promise, expected: code, got: String(error) }, error)
  }
  throw new QuadrilleError('CONFORMANCE_FAILED', { promise, expected: code, got: 'no error' })
}

/** Waits until `condition` is true; fails when it does not become so soon: within `patienceMs`, 3 s unless told otherwise. */
export async function soon(
  at: { readonly env: Env; readonly patienceMs?: number },
  condition: () => boolean,
  promise: string,
): Promise<void> {
  const { env, patienceMs = soonMs } = at
  const began = env.elapsed()
  while (!condition() && env.elapsed() - began < patienceMs) await sleep(env, 5)
  holds(condition(), promise)
}
