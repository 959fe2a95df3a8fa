/**
 * Every export that users can reach from a public entry point has a doc comment. Found by reading declarations and
 * re-exports line by line: the sources are written so that this is enough, and what it can not follow is a problem.
 */
import { posix } from 'node:path'
import { at, codeOnly, withoutComments } from './source-file.ts'
import type { Rule, SourceFile } from './source-file.ts'

const declaration =
  /^(export\s+)?(?:default\s+)?(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(?:function\*?|class|const|let|interface|type|enum|namespace)\s+([A-Za-z_$][\w$]*)/gm
const starFrom = /^export\s+(?:type\s+)?\*\s*(?:as\s+[\w$]+\s+)?from\s*['"]([^'"]+)['"]/gm
const listed = /^export\s+(?:type\s+)?\{([^}]*)\}(?:\s*from\s*['"]([^'"]+)['"])?/gm
const imported = /^import\s+(?:type\s+)?\{([^}]*)\}\s*from\s*['"]([^'"]+)['"]/gm

interface Named {
  readonly name: string
  readonly as: string
}

const namesIn = (list: string): Named[] =>
  list
    .split(',')
    .map((part) => part.trim().replace(/^type\s+/, ''))
    .filter((part) => part !== '')
    .map((part) => {
      const [name = '', as = name] = part.split(/\s+as\s+/)
      return { name, as }
    })

/** The paths of the modules that users import: the targets of each published package's exports. */
function entryPoints(files: readonly SourceFile[]): string[] {
  return files
    .filter((file) => /^(core|cli|(handles|observers|ledgers|wires)\/[^/]+)\/package\.json$/.test(file.path))
    .flatMap((file) =>
      [...file.text.matchAll(/"quadrille-source":\s*"([^"]+)"/g)].map((match) =>
        posix.join(posix.dirname(file.path), match[1]!),
      ),
    )
}

/** Whether a doc comment with some words in it ends right before this place. */
function documented(file: SourceFile, index: number): boolean {
  const before = file.text.slice(0, index).trimEnd()
  if (!before.endsWith('*/')) return false
  const comment = before.slice(before.lastIndexOf('/*'))
  return comment.startsWith('/**') && /\w+\s+\w+/.test(comment)
}

class Reader {
  readonly problems = new Set<string>()
  readonly #files: ReadonlyMap<string, SourceFile>
  readonly #seen = new Set<string>()

  constructor(files: readonly SourceFile[]) {
    this.#files = new Map(files.map((file) => [file.path, file]))
  }

  /** Looks at every export of a module. Modules that are not written yet are left aside. */
  all(path: string): void {
    const file = this.#open(path, '*')
    if (file === undefined) return
    const text = withoutComments(file.text)
    for (const match of codeOnly(file.text).matchAll(declaration)) if (match[1] !== undefined) this.one(path, match[2]!)
    for (const match of text.matchAll(starFrom)) this.all(this.#resolve(path, match[1]!))
    for (const match of text.matchAll(listed)) {
      for (const { name } of namesIn(match[1]!)) this.one(match[2] ? this.#resolve(path, match[2]) : path, name)
    }
    for (const match of text.matchAll(/^export\s+(?:const|let)\s*[{[]/gm)) {
      this.problems.add(`${at(file, match.index)}: export each name by itself`)
    }
  }

  /** Looks at one name that a module exports or declares. */
  one(path: string, name: string): void {
    const file = this.#open(path, name)
    if (file === undefined) return
    const own = [...codeOnly(file.text).matchAll(declaration)].filter((match) => match[2] === name)
    if (own.length > 0) {
      if (own.some((match) => documented(file, match.index))) return
      this.problems.add(`${at(file, own[0]!.index)}: ${name} is public and has no doc comment`)
      return
    }
    const text = withoutComments(file.text)
    for (const match of [...text.matchAll(listed), ...text.matchAll(imported)]) {
      const found = namesIn(match[1]!).find((entry) => entry.as === name)
      if (found && match[2]?.startsWith('.')) return this.one(this.#resolve(path, match[2]), found.name)
    }
    const stars = [...text.matchAll(starFrom)]
    if (stars.length === 0) this.problems.add(`${path}: can not find where ${name} is declared`)
    for (const match of stars) this.all(this.#resolve(path, match[1]!))
  }

  #open(path: string, name: string): SourceFile | undefined {
    const key = `${path}#${name}`
    if (this.#seen.has(key)) return undefined
    this.#seen.add(key)
    return this.#files.get(path)
  }

  #resolve(from: string, specifier: string): string {
    return posix.normalize(posix.join(posix.dirname(from), specifier))
  }
}

/** Exports of public entry points have doc comments. */
export const publicIsDocumented: Rule = (files) => {
  const reader = new Reader(files)
  for (const path of entryPoints(files)) reader.all(path)
  return [...reader.problems]
}
