/** When a run is over: every order has an end, and all that its end asks for is done. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Health } from 'quadrille'
import { violations } from '../invariants.ts'
import type { Witnesses } from './witnesses.ts'

const lookEveryMs = 250
/** When nothing has changed for so long, nothing will: what is missing then is a finding. */
const patienceMs = 60_000

export interface Settling {
  readonly api: string
  readonly witnesses: Witnesses
  readonly accepted: readonly string[]
  readonly signal: AbortSignal
}

/** Resolves when the run is settled, when it no longer makes progress, or when the signal is aborted. */
export async function waitUntilSettled({ api, witnesses, accepted, signal }: Settling): Promise<void> {
  let last = ''
  let changed = performance.now()
  while (!signal.aborted && performance.now() - changed < patienceMs) {
    const missing = violations(await witnesses.facts(accepted))
    if (missing.length === 0 && (await isQuiet(api))) return
    if (missing.join() !== last) changed = performance.now()
    last = missing.join()
    await sleep(lookEveryMs)
  }
}

/** Nobody has anything left to do. Invariants that hold too early could still be broken by work that is under way. */
async function isQuiet(api: string): Promise<boolean> {
  const health = (await (await fetch(new URL('/health', api))).json()) as Health
  return health.readers.every((reader) => reader.backlog === 0 && reader.waiting === 0)
}
