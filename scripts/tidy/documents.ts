/** What README.md and docs/ promise: a page section for every error code, and a hello world that stays small. */
import { fencesOf } from '../doc-examples.ts'
import type { Rule, SourceFile } from './source-file.ts'

/** What the rule needs to know of an entry of the error catalogue. */
export interface CatalogueEntry {
  readonly fix: (details: never) => string
}

/** The most lines of code that the README's hello world may have; blank lines and comments do not count. */
export const helloLinesMax = 10

/** Details for any error: every property exists, can be called, listed and printed. */
function anyDetails(): never {
  const answer = (): unknown => anyDetails()
  return new Proxy(answer, {
    get: (_, name) => {
      if (name === Symbol.toPrimitive) return () => '1'
      if (name === Symbol.iterator) return () => [][Symbol.iterator]()
      return anyDetails()
    },
    apply: answer,
  }) as never
}

function fixProblem(code: string, entry: CatalogueEntry): string[] {
  try {
    return String(entry.fix(anyDetails())).trim() === '' ? [`${code}: its fix is empty`] : []
  } catch (error) {
    return [`${code}: its fix fails: ${String(error)}`]
  }
}

/** Every error code has a section in docs/errors.md and a fix, and every section is that of a code. */
export function errorPages(
  files: readonly SourceFile[],
  catalogue: Readonly<Record<string, CatalogueEntry>>,
): string[] {
  const page = files.find((file) => file.path === 'docs/errors.md')?.text ?? ''
  const sections = [...page.matchAll(/^## (.+?)\s*$/gm)].map((match) => match[1]!)
  const codes = Object.keys(catalogue)
  return [
    ...codes
      .filter((code) => !/^[A-Z][A-Z0-9]*(_[A-Z0-9]+)*$/.test(code))
      .map((code) => `${code}: not SCREAMING_SNAKE`),
    ...codes.flatMap((code) => fixProblem(code, catalogue[code]!)),
    ...codes.filter((code) => !sections.includes(code)).map((code) => `${code}: no section in docs/errors.md`),
    ...sections
      .filter((section) => !codes.includes(section))
      .map((section) => `docs/errors.md: ${section} is no error code`),
    ...sections
      .filter((section, index) => sections.indexOf(section) !== index)
      .map((section) => `docs/errors.md: ${section} twice`),
  ]
}

/** The README opens with a hello world that is small and says what it prints. */
export const smallHello: Rule = (files) => {
  const readme = files.find((file) => file.path === 'README.md')
  if (readme === undefined) return ['README.md is missing']
  const fences = fencesOf(readme)
  const hello = fences.find((fence) => fence.info === 'ts hello')
  if (hello === undefined) return ['README.md has no fence marked "ts hello"']
  const lines = hello.code.split('\n').filter((line) => line.trim() !== '' && !line.trim().startsWith('//'))
  return [
    ...(lines.length > helloLinesMax ? [`README.md:${hello.line}: hello world has ${lines.length} lines`] : []),
    ...(fences.some((fence) => fence.info === 'text hello-output') ? [] : ['README.md has no "text hello-output"']),
  ]
}
