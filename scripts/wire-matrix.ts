/** From runs of the conformance cases to the matrix of docs/wires.md. `node scripts/wire-matrix.mjs` says how. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { WireRun } from '../core/src/wire/conformance/index.ts'

const begin = '<!-- wire-matrix: written by scripts/wire-matrix.mjs -->'
const end = '<!-- end of wire-matrix -->'

const yesNo = (is: boolean): string => (is ? 'yes' : 'no')
const declared: readonly (readonly [string, (run: WireRun) => string])[] = [
  ['order per key', ({ capabilities }) => capabilities.order.replace('-', ' ')],
  ['a subscription starts', ({ capabilities }) => capabilities.from.join(', ')],
  ['filters at the broker', ({ capabilities }) => yesNo(capabilities.filters)],
  ['reports unroutable events', ({ capabilities }) => yesNo(capabilities.reportsUnroutable)],
  ['broker drops repeats for', ({ capabilities: { dedupeMs } }) => (dedupeMs === 0 ? '–' : `${dedupeMs / 1_000} s`)],
  ['largest message', ({ capabilities }) => capabilities.messageBytesMax?.toLocaleString('en') ?? '–'],
]

/** The matrix as Markdown: what is declared, then each case, with a note for what was left out. */
export function wireMatrix(runs: readonly WireRun[]): string {
  const sorted = runs.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  const notes: string[] = []
  const note = (text: string): string => {
    if (!notes.includes(text)) notes.push(text)
    return `– (${notes.indexOf(text) + 1})`
  }
  const row = (cells: readonly string[]) => `| ${cells.join(' | ')} |`
  const names = [...new Set(sorted.flatMap(({ cases }) => cases.map(({ name }) => name)))]
  const cell = (run: WireRun, name: string): string => {
    const found = run.cases.find((each) => each.name === name)
    if (!found) return '–'
    return found.leftOut === null ? (found.passed ? '✓' : '**fails**') : note(found.leftOut)
  }
  const rule = row(['---', ...sorted.map(() => '---')])
  const lines = [
    row(['declared', ...sorted.map(({ name }) => name)]),
    rule,
    ...declared.map(([name, of]) => row([name, ...sorted.map(of)])),
    '',
    row(['case', ...sorted.map(({ name }) => name)]),
    rule,
    ...names.map((name) => row([name, ...sorted.map((run) => cell(run, name))])),
    '',
    ...notes.map((text, index) => `${index + 1}. ${text}`),
  ]
  return lines.join('\n')
}

/** The document with this matrix in it. */
export function withMatrix(document: string, matrix: string): string {
  const [from, to] = [document.indexOf(begin), document.indexOf(end)]
  if (from === -1 || to === -1) throw new Error(`docs/wires.md has no place for the matrix: ${begin}`)
  return `${document.slice(0, from + begin.length)}\n\n${matrix}\n\n${document.slice(to)}`
}

/** Runs that were written down in a folder. */
export const readRuns = (folder: string): WireRun[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')) as WireRun)

/** Rows of tables and lines of text, whatever the width of the columns. */
const contentOf = (text: string): string[] =>
  text
    .split('\n')
    .map((line) =>
      line
        .split('|')
        .map((cell) => cell.trim().replace(/^-+$/, '---'))
        .join('|'),
    ) // prettier-ignore
    .filter((line) => line !== '')

/** Where the matrix of the document is not what these runs give, and which of its columns have no run. */
export function differences(document: string, runs: readonly WireRun[]) {
  const [from, to] = [document.indexOf(begin) + begin.length, document.indexOf(end)]
  const [is, shouldBe] = [contentOf(document.slice(from, to)), contentOf(wireMatrix(runs))]
  const columns = (is[0] ?? '').split('|').slice(2, -1)
  const missing = columns.filter((name) => !runs.some((run) => run.name === name))
  const lines = [
    ...shouldBe.filter((line) => !is.includes(line)).map((line) => `missing: ${line}`),
    ...is.filter((line) => !shouldBe.includes(line)).map((line) => `not so any more: ${line}`),
  ]
  return { missing, lines }
}
