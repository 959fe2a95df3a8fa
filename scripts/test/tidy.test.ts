/** Holds the house rules. Each rule is tried twice: on the repository, and on a wrong sample that it must catch. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { root } from '../repository.ts'
import { noMachinePaths, noRegistryHosts } from '../tidy/committed-text.ts'
import { publicIsDocumented } from '../tidy/doc-comments.ts'
import { errorPages, smallHello } from '../tidy/documents.ts'
import * as house from '../tidy/house-rules.ts'
import { coreImportsLittle, importDirections, packagesByName, reach, rooms, sqliteIsOneLedger } from '../tidy/rooms.ts'
import { codeOnly, importsOf, readRepository, withoutComments } from '../tidy/source-file.ts'
import type { CatalogueEntry } from '../tidy/documents.ts'
import type { Rule, SourceFile } from '../tidy/source-file.ts'

const repository = readRepository()

const file = (path: string, text: string): SourceFile => ({ path, text })
const inCore = (path: string, text: string): SourceFile[] => [file(`core/src/${path}`, text)]

/** A package with one module, as far as the rule about doc comments looks. */
const published = (...sources: [name: string, text: string][]): SourceFile[] => [
  file('core/package.json', '{ "exports": { ".": { "quadrille-source": "./src/index.ts" } } }'),
  ...sources.map(([name, text]) => file(`core/src/${name}`, text)),
]

interface Case {
  readonly name: string
  readonly rule: Rule
  /** Each is a small repository that breaks the rule. */
  readonly wrong: readonly SourceFile[][]
  /** Each is a small repository that looks suspicious and is right. */
  readonly right?: readonly SourceFile[][]
}

const hello = (lines: number): string =>
  [
    '```ts hello',
    ...Array.from({ length: lines }, (_, n) => `f(${n})`),
    '```',
    '```text hello-output',
    '1',
    '```',
  ].join('\n')

const home = '/' + 'home'

const cases: readonly Case[] = [
  {
    name: 'rooms of core import only what they build on',
    rule: importDirections,
    wrong: [
      inCore('contracts/a.ts', "import { b } from '../service/b.ts'"),
      inCore('base/a.ts', "export * from '../contracts/b.ts'"),
      inCore('check/a.ts', "const b = await import('../runtime/b.ts')"),
      inCore('runtime/a.ts', "import { b } from '../index.ts'"),
      inCore('ledger/a.ts', "import { b } from '../../test/b.ts'"),
      inCore('attic/a.ts', ''),
      inCore('stray.ts', ''),
    ],
    right: [
      inCore('runtime/a.ts', "import { b } from '../base/b.ts'\nimport { c } from './c.ts'"),
      inCore('base/a.ts', "// import { b } from '../runtime/b.ts'\nconst text = `import '../runtime/b.ts'`"),
    ],
  },
  {
    name: 'SQLite is imported only where a ledger is chosen',
    rule: sqliteIsOneLedger,
    wrong: [inCore('runtime/start.ts', "import { sqlite } from '../ledger/sqlite/index.ts'")],
    right: [inCore('runtime/default-ledger.ts', "import { sqlite } from '../ledger/sqlite/index.ts'")],
  },
  {
    name: 'core has no third-party import and uses few modules of Node',
    rule: coreImportsLittle,
    wrong: [inCore('base/a.ts', "import { z } from 'zod'"), inCore('base/a.ts', "import net from 'node:net'")],
    right: [inCore('base/a.ts', "import { randomFillSync } from 'node:crypto'")],
  },
  {
    name: 'packages see each other by name',
    rule: packagesByName,
    wrong: [
      [file('examples/orders/src/main.ts', "import { start } from '../../../core/src/index.ts'")],
      [file('handles/kysely/src/index.ts', "import { a } from '../../drizzle/src/index.ts'")],
    ],
    right: [[file('examples/orders/src/main.ts', "import { a } from './a.ts'\nimport { start } from 'quadrille'")]],
  },
  {
    name: 'time, timers, randomness and network come from Env',
    rule: house.onlyThroughEnv,
    wrong: [
      'Date.now()',
      'new Date()',
      'Date()',
      'new Date',
      'performance.now()',
      'setTimeout(f, 1)',
      'globalThis.setInterval(f, 1)',
      'await new Promise(setImmediate)',
      'AbortSignal.timeout(5)',
      'Math.random()',
      'crypto.randomUUID()',
      'process.hrtime.bigint()',
      "fetch('http://localhost')",
    ].map((text) => inCore('runtime/a.ts', text)),
    right: [
      inCore('runtime/a.ts', "// Date.now()\nconst date = new Date(env.now())\nconst text = 'Math.random()'"),
      inCore('base/system-env.ts', 'Date.now()'),
      inCore('observe/a.ts', 'Date.now()'),
    ],
  },
  {
    name: 'errors come from the catalogue',
    rule: house.noPlainErrors,
    wrong: [inCore('a.ts', "throw new Error('x')"), [file('handles/kysely/src/index.ts', "throw Error('x')")]],
    right: [inCore('a.ts', '/** throw new Error(x) */ throw new QuadrilleError(1)')],
  },
  {
    name: 'there is no any',
    rule: house.noAny,
    wrong: ['let a: any', 'f(a as any)', 'let a: Map<any, string>', 'let a: any[]'].map((text) => inCore('a.ts', text)),
    right: [inCore('a.ts', "const text = 'x: any' // as any")],
  },
  {
    name: 'what is left to do is an issue',
    rule: house.noMarkers,
    wrong: [inCore('a.ts', `// ${'TO' + 'DO'} later`), [file('scripts/a.mjs', `// ${'FIX' + 'ME'}`)]],
  },
  {
    name: 'names are in kebab-case',
    rule: house.kebabCaseNames,
    wrong: ['base/uuidV7.ts', 'Base/uuid.ts', 'base/uuid_v7.ts'].map((path) => inCore(path, '')),
    right: [inCore('base/uuid-v7.test.ts', '')],
  },
  {
    name: 'files of code are short',
    rule: house.shortFiles,
    wrong: [inCore('a.ts', 'x\n'.repeat(house.fileLinesMax + 1))],
    right: [inCore('a.ts', 'x\n'.repeat(house.fileLinesMax))],
  },
  {
    name: 'public exports have doc comments',
    rule: publicIsDocumented,
    wrong: [
      published(['index.ts', 'export const a = 1']),
      published(['index.ts', '/* Not a doc comment. */\nexport function a() {}']),
      published(['index.ts', '// A line.\nexport interface A {}']),
      published(['index.ts', "export { b as a } from './b.ts'"], ['b.ts', 'export async function b() {}']),
      published(
        ['index.ts', "export * from './b.ts'"],
        ['b.ts', "export * from './c.ts'"],
        ['c.ts', 'export class C {}'],
      ),
      published(['index.ts', "import { b } from './b.ts'\nexport { b }"], ['b.ts', 'export const b = 1']),
      published(['index.ts', 'type A = string\nexport type { A }']),
      published(['index.ts', '/** Two words. */\nexport const { a } = b']),
      published(['index.ts', "export { nowhere } from './b.ts'"], ['b.ts', '']),
    ],
    right: [
      published(['index.ts', '/** Two words. */\nexport const a = 1\nconst b = 2']),
      published(
        ['index.ts', "export { a } from './b.ts'"],
        ['b.ts', '/** Two words. */\nexport class a {}\nexport class B {}'],
      ),
    ],
  },
  {
    name: 'the README has a small hello world',
    rule: smallHello,
    wrong: [
      [],
      [file('README.md', '')],
      [file('README.md', hello(11))],
      [file('README.md', hello(1).split('\n```text')[0]!)],
    ],
    right: [[file('README.md', hello(10))]],
  },
  {
    name: 'no path of one machine is committed',
    rule: noMachinePaths,
    wrong: [[file('docs/a.md', `see ${home}/me/a.ts`)], [file('a.json', `"file://${home}/me"`)]],
    right: [[file('docs/a.md', 'https://example.com/home/page and src/work/a.ts')]],
  },
  {
    name: 'no registry is named',
    rule: noRegistryHosts,
    wrong: [
      [file('.npmrc', `${'https:'}//registry.example.com/`)],
      [file('package-lock.json', `"resolved": "${'https:'}//packages.example.com/a.tgz"`)],
    ],
    right: [[file('package-lock.json', '"resolved": "core"')]],
  },
]

for (const { name, rule, wrong, right = [] } of cases) {
  describe(name, () => {
    it('holds', () => {
      assert.deepEqual(rule(repository), [])
    })
    it('would be caught otherwise', () => {
      for (const files of wrong) assert.equal(rule(files).length > 0, true, `not caught: ${JSON.stringify(files)}`)
    })
    if (right.length > 0) {
      it('lets right code pass', () => {
        for (const files of right) assert.deepEqual(rule(files), [])
      })
    }
  })
}

describe('every error code has a page section and a fix', () => {
  const fixed = (fix: CatalogueEntry['fix']): CatalogueEntry => ({ fix })

  it('holds', async (t) => {
    const path = join(root, 'core', 'src', 'base', 'error-catalogue.ts')
    if (!existsSync(path)) return t.skip('core has no error catalogue yet')
    const { errorCatalogue } = (await import(path)) as { errorCatalogue: Record<string, CatalogueEntry> }
    assert.deepEqual(errorPages(repository, errorCatalogue), [])
  })

  it('would be caught otherwise', () => {
    const page = file('docs/errors.md', '# Errors\n\n## A_CODE\n\n## GONE\n')
    const good = fixed((details: { names: string[] }) => `Remove ${details.names.join(', ')}.`)
    assert.deepEqual(errorPages([page], { A_CODE: good }), ['docs/errors.md: GONE is no error code'])
    assert.deepEqual(errorPages([], { A_CODE: good }), ['A_CODE: no section in docs/errors.md'])
    assert.equal(errorPages([page], { A_CODE: fixed(() => ' '), GONE: good }).length, 1)
    assert.equal(errorPages([file('docs/errors.md', '## aCode')], { aCode: good }).length, 1)
  })
})

describe('how the rules read sources', () => {
  it('leaves comments, strings and regular expressions aside, and keeps every place', () => {
    const text = 'a /* x */ + \'x\' + `x${b + `x${c}`}x` + /x\'/.test(d) / 2 // x\n+ "x\\"x" + e / f / g'
    const code = codeOnly(text)
    assert.equal(code.length, text.length)
    assert.equal(code.includes('x'), false)
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f', 'g']) assert.equal(code.indexOf(name), text.indexOf(name), name)
  })

  it('keeps strings where only comments are to go', () => {
    assert.equal(withoutComments("'// no comment' // comment").trimEnd(), "'// no comment'")
  })

  it('knows every way of importing', () => {
    const text =
      "import 'a'\nimport type { x } from 'b'\nexport * from 'c'\nawait import('d')\nimport {\n  y,\n} from 'e'"
    assert.deepEqual(
      importsOf(file('a.ts', text)).map(({ specifier }) => specifier),
      ['a', 'b', 'c', 'd', 'e'],
    )
  })

  it('knows the rooms', () => {
    assert.deepEqual([...reach('service')].sort(), ['base', 'contracts', 'service'])
    for (const below of Object.values(rooms).flat()) assert.equal(below in rooms, true, below)
  })
})
