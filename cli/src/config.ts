/** The user's `quadrille.config.ts`: which choreographies there are, and what each command should know of them. */
import type { Choreography } from 'quadrille'
import type { CheckOptions } from 'quadrille/check'

/** What a `quadrille.config.ts` exports by default. */
export interface QuadrilleConfig {
  /** What the commands work on. */
  readonly choreographies: Choreography | readonly Choreography[]
  /** For `quadrille check`. */
  readonly check?: CheckOptions
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
