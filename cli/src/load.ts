/** Finds and loads what a command works on: a folder's `quadrille.config.ts`, or any module that exports choreographies. */
import { existsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isQuadrilleError, messageOf, QuadrilleError, type Choreography } from 'quadrille'
import type { Subject } from 'quadrille/simulate'
import type { QuadrilleConfig } from './config.ts'

/** The names a config may have, in the order they are looked for. */
const configNames: readonly string[] = ['ts', 'mts', 'js', 'mjs'].map((ending) => `quadrille.config.${ending}`)

export interface Loaded {
  /** The file it came from. */
  readonly file: string
  readonly config: Omit<QuadrilleConfig, 'choreographies'>
  readonly choreographies: readonly Choreography[]
}

/**
 * Loads a file or a folder's config. A function that makes a choreography from the outside is called with something that
 * has every method: nothing of it is ever run.
 *
 * @param target - A file, or a folder that holds one of {@link configNames}; relative to `cwd`.
 * @throws QuadrilleError `CONFIG_NOT_FOUND`, `CONFIG_FAILED` when it throws, `CONFIG_INVALID` when it holds no
 *   choreography.
 */
export async function load(target: string, cwd: string): Promise<Loaded> {
  const { file, module, source, config } = await loadModule(target, cwd)
  if (config) {
    const choreographies = [config.choreographies].flat().map((each) => withoutFakes(each))
    if (!choreographies.every(isChoreography))
      throw new QuadrilleError('CONFIG_INVALID', { file, problem: 'one of its `choreographies` is not a choreography' })
    if (choreographies.length > 0) return { file, config, choreographies }
  }
  const candidates = config ? [] : [source, ...Object.values(module)].flat()
  const found = candidates.filter(isChoreography)
  if (found.length === 0)
    found.push(
      ...factoriesIn(module)
        .map((each) => withoutFakes(each))
        .filter(isChoreography),
    )
  if (found.length === 0) throw new QuadrilleError('CONFIG_INVALID', { file, problem: nothingIn(module) })
  return { file, config: {}, choreographies: [...new Set(found)] }
}

/** Has every method, and answers everything with itself: stands for the world outside where nothing is run. */
const anything: unknown = new Proxy(function anything() {}, {
  get: (_, name) => (typeof name === 'symbol' || name === 'then' ? undefined : anything),
  apply: () => anything,
})

/** What a function makes of fakes, for whoever only reads it; everything else as it is. */
function withoutFakes(each: Choreography | Subject<never>): unknown {
  return typeof each === 'function' ? (each as (outside: unknown) => unknown)(anything) : each
}

/** Exported functions that make a choreography when they are handed something that has every method. */
export function factoriesIn(module: Readonly<Record<string, unknown>>): Subject<never>[] {
  return Object.values(module).filter((value): value is Subject<never> => {
    if (typeof value !== 'function' || value.length > 1) return false
    try {
      return isChoreography(withoutFakes(value as Subject<never>))
    } catch {
      return false
    }
  })
}

/** A module of the user's, and the config that it holds, if it does. */
export interface LoadedModule {
  readonly file: string
  readonly module: Record<string, unknown>
  /** Its default export, called when that is a function: with something that has every method. */
  readonly source: unknown
  readonly config: QuadrilleConfig | undefined
}

/** @throws QuadrilleError `CONFIG_NOT_FOUND`, `CONFIG_FAILED`. */
export async function loadModule(target: string, cwd: string): Promise<LoadedModule> {
  const file = fileOf(target, cwd)
  const module = await imported(file)
  const source = await made(file, module['default'])
  const isConfig = typeof source === 'object' && source !== null && 'choreographies' in source
  return { file, module, source, config: isConfig ? (source as QuadrilleConfig) : undefined }
}

function fileOf(target: string, cwd: string): string {
  const path = resolve(cwd, target)
  if (!existsSync(path)) throw new QuadrilleError('CONFIG_NOT_FOUND', { path, names: [] })
  if (!statSync(path).isDirectory()) return path
  const name = configNames.find((candidate) => existsSync(join(path, candidate)))
  if (name === undefined) throw new QuadrilleError('CONFIG_NOT_FOUND', { path, names: configNames })
  return join(path, name)
}

async function imported(file: string): Promise<Record<string, unknown>> {
  try {
    return (await import(pathToFileURL(file).href)) as Record<string, unknown>
  } catch (error) {
    throw failed(file, error)
  }
}

/** A config may be a function, so that it opens nothing before a command needs it. */
async function made(file: string, exported: unknown): Promise<unknown> {
  if (typeof exported !== 'function') return exported
  try {
    return await (exported as (outside: unknown) => unknown)(anything)
  } catch (error) {
    throw failed(file, error)
  }
}

function failed(file: string, error: unknown): QuadrilleError {
  const name = error instanceof Error && !isQuadrilleError(error) ? `${error.name}: ` : ''
  return new QuadrilleError('CONFIG_FAILED', { file, message: name + messageOf(error), at: placeIn(error) }, error)
}

/** This folder as it is written in stacks. */
const own = new URL('.', import.meta.url).href

/** The first line of the stack that is a file of the user's. */
function placeIn(error: unknown): string {
  const lines = error instanceof Error ? (error.stack ?? '').split('\n') : []
  const place = lines.find(
    (line) => /^(?:\s+at .*)?file:\/\//.test(line) && !line.includes('/node_modules/') && !line.includes(own),
  )
  const match = place && /(file:\/\/[^\s()]+?:\d+)(?::\d+)?\)?$/.exec(place)
  return match ? decodeURIComponent(match[1]!.slice('file://'.length)) : ''
}

/** Whether something is a choreography, whichever copy of the library has made it. */
export function isChoreography(value: unknown): value is Choreography {
  if (typeof value !== 'object' || value === null) return false
  const { services, starts, ends, describe } = value as Partial<Choreography>
  return Array.isArray(services) && Array.isArray(starts) && typeof ends === 'object' && typeof describe === 'function'
}

function nothingIn(module: Record<string, unknown>): string {
  const names = Object.keys(module)
  if (names.length === 0) return 'it exports nothing'
  return `none of its exports (${names.join(', ')}) is a choreography, or makes one from fakes`
}
