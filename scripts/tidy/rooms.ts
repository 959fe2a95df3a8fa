/** Which part of the toolkit may know which: the import directions of design and CONTRIBUTING.md, and what core may import. */
import { posix } from 'node:path'
import { at, importsOf } from './source-file.ts'
import type { Rule, SourceFile } from './source-file.ts'

/** Each room of core/src and the rooms it builds on; it may import these, what they build on, and itself. */
export const rooms: Readonly<Record<string, readonly string[]>> = {
  base: [],
  contracts: ['base'],
  service: ['contracts'],
  ledger: ['contracts'],
  wire: ['contracts'],
  conformance: ['ledger', 'wire'],
  runtime: ['service', 'ledger', 'wire'],
  check: ['service'],
  // It draws what it finds.
  simulate: ['runtime', 'observe'],
  observe: ['service', 'runtime'],
  testing: ['runtime', 'observe', 'ledger'],
}

/** The only modules from outside that core may import. */
export const coreBuiltins: readonly string[] = [
  'node:sqlite',
  'node:crypto',
  'node:os',
  'node:path',
  'node:fs',
  'node:buffer',
  'node:async_hooks',
]

/** Everything a room may import from, itself among it. */
export function reach(room: string): Set<string> {
  const found = new Set([room])
  for (const below of rooms[room] ?? []) for (const name of reach(below)) found.add(name)
  return found
}

const coreRoot = 'core/src/'
const sqliteRoot = 'core/src/ledger/sqlite/'

const isCore = (file: SourceFile): boolean => file.path.startsWith(coreRoot) && file.path.endsWith('.ts')

const target = (file: SourceFile, specifier: string): string =>
  posix.normalize(posix.join(posix.dirname(file.path), specifier))

/** The room of a file of core; undefined for the files directly in src, which may import all. */
function roomOf(path: string): string | undefined {
  const [first, ...rest] = path.slice(coreRoot.length).split('/')
  return rest.length > 0 ? first : undefined
}

/** Rooms of core import only what they build on. */
export const importDirections: Rule = (files) =>
  files.filter(isCore).flatMap((file) => {
    const room = roomOf(file.path)
    if (room === undefined) return file.path === 'core/src/index.ts' ? [] : [`${file.path}: belongs into a room`]
    if (rooms[room] === undefined) return [`${file.path}: ${room} is not a known room (scripts/tidy/rooms.ts)`]
    const allowed = reach(room)
    return importsOf(file)
      .filter(({ specifier }) => specifier.startsWith('.'))
      .flatMap(({ specifier, index }) => {
        const path = target(file, specifier)
        if (!path.startsWith(coreRoot)) return [`${at(file, index)}: imports ${specifier}, outside of core/src`]
        const other = roomOf(path)
        if (other === undefined) return [`${at(file, index)}: a room can not import ${specifier} from above it`]
        return allowed.has(other) ? [] : [`${at(file, index)}: ${room} may not know ${other}`]
      })
  })

const knowsSqlite = (path: string): boolean =>
  path.startsWith(sqliteRoot) ||
  path === 'core/src/runtime/default-ledger.ts' ||
  path.startsWith('core/src/testing/') ||
  // The user's own tables are SQLite's in a simulation, whatever its ledger.
  path === 'core/src/simulate/sim-tables.ts' ||
  path === 'core/src/simulate/sim-statements.ts' ||
  posix.basename(path) === 'index.ts'

/** SQLite is one ledger among others: only the default, testing and index files may import it. */
export const sqliteIsOneLedger: Rule = (files) =>
  files
    .filter((file) => isCore(file) && !knowsSqlite(file.path))
    .flatMap((file) =>
      importsOf(file)
        .filter(({ specifier }) => specifier.startsWith('.') && target(file, specifier).startsWith(sqliteRoot))
        .map(({ specifier, index }) => `${at(file, index)}: imports ${specifier}; take the Ledger interface instead`),
    )

/** Where the suite of wires has the proxy that freezes and cuts connections. */
const wireCasesRoot = 'core/src/wire/conformance/'

/** Core has no third-party dependency, and uses few of Node's modules. */
export const coreImportsLittle: Rule = (files) =>
  files.filter(isCore).flatMap((file) =>
    importsOf(file)
      .filter(({ specifier }) => !specifier.startsWith('.') && !coreBuiltins.includes(specifier))
      .filter(({ specifier }) => !(specifier === 'node:net' && file.path.startsWith(wireCasesRoot)))
      .map(({ specifier, index }) => `${at(file, index)}: core may not import ${specifier}`),
  )

const workspaceOf = (path: string): string | undefined =>
  /^(?:core|cli|bench|(?:handles|observers|ledgers|wires|examples)\/[^/]+)(?=\/)/.exec(path)?.[0]

/** Packages see each other by their public names only. */
export const packagesByName: Rule = (files) =>
  files
    .filter((file) => /^(handles|observers|ledgers|wires|cli|examples|bench)\/.*\.ts$/.test(file.path))
    .flatMap((file) =>
      importsOf(file)
        .filter(({ specifier }) => specifier.startsWith('.'))
        .filter(({ specifier }) => workspaceOf(target(file, specifier)) !== workspaceOf(file.path))
        .map(({ specifier, index }) => `${at(file, index)}: imports ${specifier}; use the package by its name`),
    )
