/** Finds what `quadrille simulate` works on: a config's `simulate`, or whatever of a module can be simulated. */
import { QuadrilleError } from 'quadrille'
import type { Subject } from 'quadrille/simulate'
import type { Simulation } from '../config.ts'
import { factoriesIn, isChoreography, loadModule } from '../load.ts'

/**
 * Loads the simulations of a file or of a folder's config: `simulate` in the config; or an export `simulation` (or a list,
 * `simulations`) with the options of `simulate()`, for its own `choreography` or the one that the file exports; or the
 * exported choreographies as they are, or functions that make one from fakes.
 *
 * @throws QuadrilleError `CONFIG_NOT_FOUND`, `CONFIG_FAILED`, or `CONFIG_INVALID` when there is nothing to simulate.
 */
export async function loadSimulations(target: string, cwd: string): Promise<readonly Simulation[]> {
  const { file, module, source, config } = await loadModule(target, cwd)
  if (config?.simulate) return [config.simulate].flat()
  const choreographies = config ? [config.choreographies].flat() : [source, ...Object.values(module)].flat()
  const subjects: Subject<never>[] = [...new Set(choreographies)].filter(
    (each): each is Subject<never> => isChoreography(each) || (config !== undefined && typeof each === 'function'),
  )
  const given = [module['simulation'] ?? module['simulations'] ?? []].flat().filter(isObject) as Partial<Simulation>[]
  if (subjects.length === 0) subjects.push(...factoriesIn(module))
  const simulations =
    given.length > 0
      ? given.flatMap((each) =>
          each.choreography ? [each] : subjects.map((choreography) => ({ ...each, choreography })),
        )
      : subjects.map((choreography) => ({ choreography }))
  if (simulations.length > 0) return simulations as Simulation[]
  const names = Object.keys(module).join(', ') || 'nothing'
  throw new QuadrilleError('CONFIG_INVALID', {
    file,
    problem: `none of its exports (${names}) is a choreography, makes one from fakes, or says what to simulate`,
  })
}

const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null
