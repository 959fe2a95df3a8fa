/** Hands the facts to the hooks. A hook that throws is logged and does no harm. */
import type { Logger } from '../base/index.ts'
import type { Hooks } from './hooks.ts'

type Facts<Name extends keyof Hooks> = Parameters<NonNullable<Hooks[Name]>>[0]

const hookNames = [
  'appended', 'handled', 'skipped', 'failed', 'dead', 'call', 'breaker', 'batch', 'slow', 'leases', 'idle',
  'sent', 'sendFailed', 'received', 'wire',
] as const satisfies readonly (keyof Hooks)[] // prettier-ignore

/** Tells all hooks. */
export class Telling {
  readonly #hooks: readonly Hooks[]
  readonly #log: Logger
  readonly #wanted: ReadonlySet<keyof Hooks>

  constructor(hooks: readonly Hooks[], log: Logger) {
    this.#hooks = hooks
    this.#log = log
    this.#wanted = new Set(hookNames.filter((name) => hooks.some((each) => each[name] !== undefined)))
  }

  /** True when somebody listens: facts that cost something to make are made only then. */
  wants(name: keyof Hooks): boolean {
    return this.#wanted.has(name)
  }

  tell<Name extends keyof Hooks>(name: Name, facts: Facts<Name>): void {
    if (!this.#wanted.has(name)) return
    for (const hooks of this.#hooks) {
      try {
        ;(hooks[name] as ((facts: Facts<Name>) => void) | undefined)?.(facts)
      } catch (error) {
        this.#log.error({ err: error, hook: name }, 'a hook threw; it must not')
      }
    }
  }
}
