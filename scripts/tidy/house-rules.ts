/** Rules that hold for the text of the sources: the house rules of CONTRIBUTING.md that no linter knows. */
import { at, codeOnly, isCode, isPublished } from './source-file.ts'
import type { Rule, SourceFile } from './source-file.ts'

/** The most lines a file of code may have. */
export const fileLinesMax = 400

/** One problem per match of the pattern in the code of each file, comments and strings left aside. */
function findInCode(files: readonly SourceFile[], pattern: RegExp, why: string): string[] {
  return files.flatMap((file) =>
    [...codeOnly(file.text).matchAll(pattern)].map((match) => `${at(file, match.index)}: ${match[0].trim()}: ${why}`),
  )
}

/** What reads the clock, timers, randomness or the network by itself instead of asking the injected Env. */
const outsideWorld = [
  /\bDate\.now\b/g,
  /\bDate\s*\(\s*\)/g,
  /\bnew\s+Date\b(?!\s*[(<])/g,
  /\bperformance\.now\b/g,
  /\b(?:setTimeout|setInterval|setImmediate)\b/g,
  /\bAbortSignal\.timeout\b/g,
  /\bMath\.random\b/g,
  /\b(?:randomUUID|randomBytes|randomInt|randomFill|randomFillSync|getRandomValues)\b/g,
  /\bprocess\.(?:hrtime|uptime)\b/g,
  /(?<![.\w])fetch\s*\(/g,
]

/** Time, timers, randomness and network come from Env, so that all of it can be simulated. */
export const onlyThroughEnv: Rule = (files) => {
  const held = files.filter(
    (file) =>
      /^core\/src\/(base|contracts|service|runtime|check|simulate)\/.*\.ts$/.test(file.path) &&
      file.path !== 'core/src/base/system-env.ts',
  )
  return outsideWorld.flatMap((pattern) => findInCode(held, pattern, 'ask Env; only base/system-env.ts may'))
}

/** Errors come from the catalogue, with a code and a fix; our own bugs from invariant(). */
export const noPlainErrors: Rule = (files) =>
  findInCode(files.filter(isPublished), /\bthrow\s+(?:new\s+)?Error\s*\(/g, 'use the error catalogue, or invariant()')

/** No `any` in any TypeScript. */
export const noAny: Rule = (files) =>
  findInCode(
    files.filter((file) => file.path.endsWith('.ts')),
    /:\s*any\b(?!\s*[(.])|\bas\s+any\b|<any\b|\bany\[\]/g,
    'name the type, or use unknown',
  )

/** What is left to do is an issue, not a comment. */
export const noMarkers: Rule = (files) =>
  files
    .filter(isCode)
    .flatMap((file) =>
      [...file.text.matchAll(/\b(?:TO(?:DO)|FIX(?:ME)|XX(?:X))\b/g)].map(
        (match) => `${at(file, match.index)}: ${match[0]}: open an issue instead`,
      ),
    )

const kebab = /^\.?[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9-]+)*$/

/** Names of code files and their folders are in kebab-case. */
export const kebabCaseNames: Rule = (files) =>
  files
    .filter(isCode)
    .filter((file) => !file.path.split('/').every((part) => kebab.test(part)))
    .map((file) => `${file.path}: not in kebab-case`)

/** A file of code can be read in one sitting. */
export const shortFiles: Rule = (files) =>
  files.filter(isCode).flatMap((file) => {
    const lines = file.text.replace(/\n$/, '').split('\n').length
    return lines > fileLinesMax ? [`${file.path}: ${lines} lines, more than ${fileLinesMax}`] : []
  })
