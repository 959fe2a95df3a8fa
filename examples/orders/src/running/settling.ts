/** When a run is over: every order has an end, and all that its end asks for is done. */
import { setTimeout as sleep } from 'node:timers/promises'
import { violations } from '../invariants.ts'
import type { Shop } from './shop.ts'
import type { Witnesses } from './witnesses.ts'

const lookEveryMs = 250
/** When nothing has changed for so long, nothing will: what is missing then is a finding. */
const patienceMs = 60_000

export interface Settling {
  readonly shop: Shop
  readonly witnesses: Witnesses
  readonly accepted: readonly string[]
  readonly signal: AbortSignal
}

/** Resolves when the run is settled, when it no longer makes progress, or when the signal is aborted. */
export async function waitUntilSettled({ shop, witnesses, accepted, signal }: Settling): Promise<void> {
  let last = ''
  let changed = performance.now()
  while (!signal.aborted && performance.now() - changed < patienceMs) {
    const missing = await whatIsMissing(witnesses, accepted).catch((error: Error) => error.message)
    if (missing === '' && (await shop.isQuiet())) return
    if (missing !== last) changed = performance.now()
    last = missing
    await sleep(lookEveryMs)
  }
}

/** Empty when all is there. The long list of facts is only asked for when the short ones leave nothing to wait for. */
async function whatIsMissing(witnesses: Witnesses, accepted: readonly string[]): Promise<string> {
  const { pending } = await witnesses.counts()
  if (pending > 0) return `${pending} pending`
  return violations(await witnesses.facts(accepted)).join()
}
