/** The user's `quadrille.config.ts`: which choreographies there are, and what each command should know of them. */
import type { Choreography } from 'quadrille'
import type { CheckOptions } from 'quadrille/check'
import type { SimulateOptions, Subject } from 'quadrille/simulate'

/** What a `quadrille.config.ts` exports by default. */
export interface QuadrilleConfig {
  /** What the commands work on: choreographies, or functions that make one from the world outside. */
  readonly choreographies: Choreography | Subject<never> | readonly (Choreography | Subject<never>)[]
  /** For `quadrille check`. */
  readonly check?: CheckOptions
  /** For `quadrille simulate`. Default: each choreography as it is, with inputs made from its start's schema. */
  readonly simulate?: Simulation | readonly Simulation[]
}

/** What is simulated, and how: the options of `simulate()`, with the choreography or what makes it from the fakes. */
export interface Simulation<Input = never, Outside = never> extends SimulateOptions<Input, Outside> {
  readonly choreography: Subject<Outside>
}

/**
 * Gives a simulation its types; returns it as it is.
 *
 * @example
 * ```ts
 * export default defineConfig({
 *   choreographies: checkout(real),
 *   simulate: defineSimulation({ choreography: checkout, outside: (sim) => ({ gateway: paymentProvider(sim) }) }),
 * })
 * ```
 */
export function defineSimulation<Input, Outside>(simulation: Simulation<Input, Outside>): Simulation {
  return simulation as unknown as Simulation
}

/** A config, or a function that makes one when a command needs it. */
export type ConfigSource = QuadrilleConfig | (() => QuadrilleConfig | Promise<QuadrilleConfig>)

/**
 * Gives a config its type; returns it as it is.
 *
 * @example
 * ```ts
 * import { defineConfig } from '@quadrille/cli'
 * import { checkout } from './src/choreography.ts'
 *
 * export default defineConfig({ choreographies: checkout })
 * ```
 */
export function defineConfig<C extends ConfigSource>(config: C): C {
  return config
}
