/** Compares a text with a file beside the tests; QUADRILLE_GOLDEN=write writes it instead, to be read before it is kept. */
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const folder = join(import.meta.dirname, 'golden')

export function assertGolden(name: string, text: string): void {
  const path = join(folder, name)
  if (process.env['QUADRILLE_GOLDEN'] === 'write') {
    mkdirSync(folder, { recursive: true })
    writeFileSync(path, text)
  }
  assert.equal(text, readFileSync(path, 'utf8'))
}

const text = String.raw`(?:[^;#"\n<>]|#\d+;)+`
const sequenceLines = [
  /^sequenceDiagram$/,
  new RegExp(`^  accTitle: ${text}$`),
  new RegExp(`^  (actor|participant) p\\d+ as ${text}$`),
  new RegExp(`^ {2,4}p\\d+(->>|-->>|--x|-\\))p\\d+: ${text}$`),
  new RegExp(`^ {2,4}Note over p\\d+: ${text}$`),
  new RegExp(`^  (alt|else|opt) ${text}$`),
  /^ {2}(rect rgba\([\d., ]+\)|end)$/,
]
const flowchartLines = [
  /^flowchart LR$/,
  new RegExp(`^  accTitle: ${text}$`),
  new RegExp(`^  e\\d+\\(\\["${text}"\\]\\)$`),
  new RegExp(`^  subgraph s\\d+\\["${text}"\\]$`),
  /^ {2}end$/,
  new RegExp(`^    r\\d+(\\["|\\[\\["|\\{\\{"|\\[/")(?:[^;#"\\n<>]|#\\d+;|<br/>)+("\\]|"\\]\\]|"\\}\\}|"/\\])$`),
  new RegExp(`^  [er]\\d+ (-->|--x|-\\.->)(\\|"${text}"\\|)? [er]\\d+$`),
  /^ {2}classDef \w+ [a-z]+(-width)?:[#\w]+(,stroke-width:3px)?$/,
  /^ {2}class [er]\d+(,[er]\d+)* \w+$/,
]

/** Every line is one of the forms that Mermaid's own parser was seen to accept, and blocks are closed. */
export function assertMermaid(drawing: string): void {
  const lines = drawing.replace(/\n$/, '').split('\n')
  const forms = lines[0] === 'sequenceDiagram' ? sequenceLines : flowchartLines
  for (const line of lines) {
    assert.ok(
      forms.some((form) => form.test(line)),
      `not a known form: ${line}`,
    )
  }
  let depth = 0
  for (const line of lines) {
    if (/^ {2}(alt|opt|rect|subgraph) /.test(line)) depth += 1
    if (line === '  end') depth -= 1
    assert.ok(depth === 0 || depth === 1)
  }
  assert.equal(depth, 0)
}

/** What Mermaid shows for a label: character codes turned back. */
export const shown = (label: string): string =>
  label.replace(/#(\d+);/g, (_, code: string) => String.fromCodePoint(Number(code)))
