/** Finds the code in documents and doc comments, and turns an example into a program that checks what it claims. */

/** A text file: Markdown, or TypeScript with Markdown in its doc comments. */
export interface Document {
  readonly path: string
  readonly text: string
}

/** One fenced block: what stands after the backticks, its code, and the line its fence opens on. */
export interface Fence {
  readonly info: string
  readonly code: string
  readonly line: number
}

/** The fenced blocks of a Markdown file, or of the doc comments of a TypeScript file. */
export function fencesOf(document: Document): Fence[] {
  const inComments = document.path.endsWith('.ts')
  const fences: Fence[] = []
  let open: { info: string; line: number; indent: number; code: string[] } | undefined
  document.text.split('\n').forEach((raw, index) => {
    const comment = /^\s*\* ?(.*)$/.exec(raw)
    if (inComments && comment === null) {
      open = undefined
      return
    }
    const line = inComments ? comment![1]! : raw
    const fence = /^(\s*)```(.*)$/.exec(line)
    if (fence === null) open?.code.push(line.slice(Math.min(open.indent, line.search(/\S|$/))))
    else if (open === undefined) {
      open = { info: fence[2]!.trim(), line: index + 1, indent: fence[1]!.length, code: [] }
    } else {
      fences.push({ info: open.info, code: open.code.join('\n'), line: open.line })
      open = undefined
    }
  })
  return fences
}

/** What every example begins with; on one line, so that the lines of an example keep their order. */
const prelude = `import { equal as $equal } from '../equal.ts';`

/** The module beside the examples that compares. Rows without a prototype and class instances compare by their fields. */
export const equalModule = `import assert from 'node:assert/strict'

function plain(value: unknown): unknown {
  try {
    return structuredClone(value)
  } catch {
    return value
  }
}

export function equal(actual: unknown, expected: unknown): void {
  assert.deepEqual(plain(actual), plain(expected))
}
`

/**
 * The example as a program: `expression // => value` becomes a comparison. The expression stands on one line: by itself,
 * in `console.log(...)`, or after `const name =`.
 */
export function programOf(code: string): string {
  const lines = code.split('\n').map((line) => {
    const claim = /^(\s*)(.*\S)\s*\/\/ => (.+)$/.exec(line)
    if (claim === null) return line
    const [, indent = '', left = '', value = ''] = claim
    const statement = left.replace(/;$/, '')
    const named = /^(?:const|let) ([\w$]+)(?:: [^=]+)? = .+$/.exec(statement)
    if (named) return `${indent}${statement}; $equal(${named[1]}, ${value})`
    const logged = /^console\.log\((.*)\)$/.exec(statement)
    return `${indent}$equal(${logged ? logged[1] : statement}, ${value})`
  })
  return `${prelude}\n${lines.join('\n')}\n`
}
