/** What a simulation offers to the fakes that stand for the world outside. */
import type { SimEnv } from './sim-env.ts'

/** An effect on the world outside that a fake reports, so that it can be compared with how the conversation ended. */
export interface Effect {
  /** What it is: `charge`, `mail`. */
  readonly name: string
  /** 1 for done, -1 for undone, 0 for something of it that is worth a word. */
  readonly change: 1 | 0 | -1
  /** What is said of it when it is not undone: `49 of 98 given back`. */
  readonly detail?: string
  /** `reversible` (default): must be net nothing when a conversation fails. `notice`: can not be taken back. */
  readonly kind?: 'reversible' | 'notice'
}

/** The simulation as a fake sees it. */
export interface Sim {
  /** Which answer to give: the first is the normal one, the others are tried too. */
  choose<const Options extends readonly [string, ...string[]]>(operation: string, options: Options): Options[number]
  /** Reports an effect, made for the conversation whose call is running. */
  effect(effect: Effect): void
  readonly now: () => Date
  readonly uuid: () => string
  readonly random: () => number
}

/** What a run provides. */
export interface SimHost {
  readonly env: SimEnv
  choose(operation: string, options: readonly string[]): string
  effect(effect: Effect): void
}

/** The {@link Sim} of one schedule. */
export function simOf(host: SimHost): Sim {
  return {
    choose: (operation, options) => host.choose(operation, options) as never,
    effect: (effect) => host.effect(effect),
    now: () => new Date(host.env.now()),
    uuid: () => host.env.uuid(),
    random: () => host.env.random(),
  }
}

/**
 * Stands for an object of fakes that is made anew for every schedule: the choreography is built once, over this. What is
 * called or read on it is called or read on the fakes of the schedule that runs.
 *
 * @param reach - Stands between: what is called may get lost on the way.
 * @param owner - What `this` is in a call.
 */
export function standIn(
  current: () => unknown,
  reach: (call: () => unknown) => unknown,
  owner: () => unknown = () => undefined,
): unknown {
  const inner = new Map<PropertyKey, unknown>()
  const found = (name: PropertyKey): unknown => {
    const now = current() as object | undefined
    return now === undefined ? undefined : (Reflect.get(now, name) as unknown)
  }
  return new Proxy(function fake() {}, {
    get(_, name) {
      const value = found(name)
      const isThere = current() !== undefined
      if (isThere && typeof value !== 'function' && (typeof value !== 'object' || value === null)) return value
      if (!inner.has(name))
        inner.set(
          name,
          standIn(() => found(name), reach, current),
        )
      return inner.get(name)
    },
    has: (_, name) => Reflect.has(current() as object, name),
    apply: (_, __, args) =>
      reach(() => Reflect.apply(current() as (...args: unknown[]) => unknown, owner(), args as unknown[])),
    construct: (_, args) => Reflect.construct(current() as new (...args: unknown[]) => object, args as unknown[]),
  })
}
