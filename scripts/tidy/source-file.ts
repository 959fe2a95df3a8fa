/** How the tidy rules see the repository: text files with their paths, and TypeScript without comments and strings. */
import { readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { root, walk } from '../repository.ts'

/** One text file. The path is relative to the root of the repository, with forward slashes. */
export interface SourceFile {
  readonly path: string
  readonly text: string
}

/** A rule: what is wrong with these files, one sentence each, or nothing. */
export type Rule = (files: readonly SourceFile[]) => string[]

const binaryExtensions = new Set(['.png', '.jpg', '.gif', '.ico', '.woff2', '.tgz', '.db'])

/** Every text file of the repository. */
export function readRepository(): SourceFile[] {
  return walk()
    .filter((path) => !binaryExtensions.has(extname(path)))
    .map((path) => ({ path, text: readFileSync(join(root, path), 'utf8') }))
}

/** `path:line`, the way editors and terminals link it. */
export function at(file: SourceFile, index: number): string {
  return `${file.path}:${file.text.slice(0, index).split('\n').length}`
}

/** True for TypeScript and JavaScript that people write here. */
export function isCode(file: SourceFile): boolean {
  return /\.(ts|mjs|js)$/.test(file.path)
}

/** True for the sources of a published package: core, a handle, a ledger, a wire or the command line. */
export function isPublished(file: SourceFile): boolean {
  return /^(core|cli|(handles|observers|ledgers|wires)\/[^/]+)\/src\/.*\.ts$/.test(file.path)
}

/** The same text with comments replaced by spaces. Every character keeps its place. */
export function withoutComments(text: string): string {
  return blank(text, false)
}

/** The same text with comments, the contents of strings and regular expressions replaced by spaces. */
export function codeOnly(text: string): string {
  return blank(text, true)
}

const token =
  /\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)|'(?:\\[\s\S]|[^'\\\n])*'?|"(?:\\[\s\S]|[^"\\\n])*"?|\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*|[`{}]/g

const spaces = (part: string): string => part.replace(/[^\n]/g, ' ')

function blank(text: string, strings: boolean): string {
  let out = ''
  let index = 0
  // For each `${` that is open: how many braces are open inside it.
  const templates: number[] = []
  for (;;) {
    token.lastIndex = index
    const match = token.exec(text)
    if (match === null) return out + text.slice(index)
    out += text.slice(index, match.index)
    const part = match[0]
    index = match.index + part.length
    if (part.startsWith('//') || part.startsWith('/*')) {
      out += spaces(part)
    } else if (part.startsWith('/')) {
      // A slash after a value divides; the rest of what looked like a regular expression is looked at again.
      if (divides(out)) {
        out += '/'
        index = match.index + 1
      } else out += strings ? spaces(part) : part
    } else if (part === '`' || (part === '}' && templates.at(-1) === 0)) {
      if (part === '}') templates.pop()
      const end = templateEnd(text, index)
      const chunk = text.slice(index, end)
      out += part + (strings ? spaces(chunk) : chunk)
      index = end
      if (text[end] === '`') {
        out += '`'
        index += 1
      } else if (end < text.length) {
        out += '${'
        index += 2
        templates.push(0)
      }
    } else if (part === '{' || part === '}') {
      const open = templates.pop()
      if (open !== undefined) templates.push(open + (part === '{' ? 1 : -1))
      out += part
    } else out += strings && part.length > 1 ? part[0] + spaces(part.slice(1, -1)) + part.at(-1) : part
  }
}

/** Where the text of a template ends: at its closing backtick, at the next `${`, or at the end of the file. */
function templateEnd(text: string, start: number): number {
  let index = start
  while (index < text.length && text[index] !== '`' && !text.startsWith('${', index)) {
    index += text[index] === '\\' ? 2 : 1
  }
  return Math.min(index, text.length)
}

/** Whether a slash here is a division: it follows a name, a number or a closing bracket, and no keyword. */
function divides(before: string): boolean {
  const trimmed = before.trimEnd()
  if (/(?:^|[^\w$.])(?:return|typeof|case|in|of|do|else|void|delete|await|yield)$/.test(trimmed)) return false
  return /[\w$)\]'"`]$/.test(trimmed)
}

/** One import or re-export: what it names and where. */
export interface ImportedModule {
  readonly specifier: string
  readonly index: number
}

/** Every module that the file imports, re-exports from, or loads with a literal `import()`. */
export function importsOf(file: SourceFile): ImportedModule[] {
  const text = withoutComments(file.text)
  const code = codeOnly(file.text)
  return [...text.matchAll(/\b(from|import)\s*\(?\s*['"]([^'"\n]+)['"]/g)]
    .filter((match) => code.startsWith(match[1]!, match.index))
    .map((match) => ({ specifier: match[2]!, index: match.index }))
}
