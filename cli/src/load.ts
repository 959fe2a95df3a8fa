/** Finds and loads what a command works on: a folder's `quadrille.config.ts`, or any module that exports choreographies. */
import { existsSync, statSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isQuadrilleError, QuadrilleError, type Choreography } from 'quadrille'
import type { QuadrilleConfig } from './config.ts'

/** The names a config may have, in the order they are looked for. */
export const configNames: readonly string[] = ['ts', 'mts', 'js', 'mjs'].map((ending) => `quadrille.config.${ending}`)

/** What was loaded. */
export interface Loaded {
  /** The file it came from. */
  readonly file: string
  readonly config: Omit<QuadrilleConfig, 'choreographies'>
  readonly choreographies: readonly Choreography[]
}

/**
 * Loads a file or a folder's config.
 *
 * @param target - A file, or a folder that holds one of {@link configNames}; relative to `cwd`.
 * @throws QuadrilleError `CONFIG_NOT_FOUND`, `CONFIG_FAILED` when it throws, `CONFIG_INVALID` when it holds no
 *   choreography.
 */
export async function load(target: string, cwd: string): Promise<Loaded> {
  const { file, module, source, config } = await loadModule(target, cwd)
  const candidates = config ? [config.choreographies] : [source, ...Object.values(module)]
  const choreographies = [...new Set(candidates.flat())].filter(isChoreography)
  const refused = config ? [config.choreographies].flat().find((each) => !isChoreography(each)) : undefined
  if (refused !== undefined) {
    throw new QuadrilleError('CONFIG_INVALID', { file, problem: 'one of its `choreographies` is not a choreography' })
  }
  if (choreographies.length === 0) throw new QuadrilleError('CONFIG_INVALID', { file, problem: nothingIn(module) })
  return { file, config: config ?? {}, choreographies }
}

/** A module of the user's, and the config that it holds, if it does. */
export interface LoadedModule {
  readonly file: string
  readonly module: Record<string, unknown>
  /** Its default export, called when that is a function. */
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
    return await (exported as () => unknown)()
  } catch (error) {
    throw failed(file, error)
  }
}

function failed(file: string, error: unknown): QuadrilleError {
  const message = error instanceof Error ? error.message : String(error)
  const name = error instanceof Error && !isQuadrilleError(error) ? `${error.name}: ` : ''
  return new QuadrilleError('CONFIG_FAILED', { file, message: name + message, at: placeIn(error) }, error)
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
  const functions = names.filter((name) => typeof module[name] === 'function')
  const hint = functions.length > 0 ? '; a function that makes one has to be called in a quadrille.config.ts' : ''
  return `none of its exports (${names.join(', ')}) is a choreography${hint}`
}
