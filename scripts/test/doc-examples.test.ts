/** Every example marked `ts run` in the top folder, docs/ and the doc comments of core runs, type-checks and tells the truth. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { equalModule, fencesOf, programOf } from '../doc-examples.ts'
import { root } from '../repository.ts'
import { readRepository } from '../tidy/source-file.ts'

/** Inside the repository, so that examples find the packages by name; not under node_modules, where Node strips no types. */
const folder = join(root, '.cache', `doc-examples-${process.pid}`)
const exampleTimeoutMs = 30_000

const examples = readRepository()
  .filter(({ path }) => /^[^/]+\.md$/.test(path) || /^docs\/.*\.md$/.test(path) || /^core\/src\/.*\.ts$/.test(path))
  .flatMap((document) => fencesOf(document).map((fence) => ({ ...fence, place: `${document.path}:${fence.line}` })))
  .filter((fence) => fence.info === 'ts run')

const place = (name: string): string => join(folder, name.replaceAll(/[^\w]+/g, '-'))

/** Writes the example into a folder of its own, which is also where it runs. */
function write(name: string, code: string): void {
  mkdirSync(place(name), { recursive: true })
  writeFileSync(join(place(name), 'example.ts'), programOf(code))
}

/** Runs Node in a folder; resolves to what it printed, and fails with it when the exit code is not zero. */
function runNode(args: readonly string[], cwd: string): Promise<string> {
  return new Promise((done, failed) => {
    execFile(process.execPath, args, { cwd, timeout: exampleTimeoutMs }, (error, stdout, stderr) => {
      if (error === null) done(stdout)
      else failed(new Error(`${error.message}\n${stdout}\n${stderr}`))
    })
  })
}

const runExample = (name: string): Promise<string> =>
  runNode(['--conditions=quadrille-source', 'example.ts'], place(name))

before(() => {
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'equal.ts'), equalModule)
  const config = { extends: '../../tsconfig.base.json', compilerOptions: { noEmit: true }, include: ['**/*.ts'] }
  writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config))
})
after(() => rmSync(folder, { recursive: true, force: true }))

describe('examples in documents', { concurrency: 2 }, () => {
  for (const example of examples) {
    it(`${example.place} runs`, async () => {
      write(example.place, example.code)
      await runExample(example.place)
    })
  }
})

describe('examples as a whole', () => {
  it('type-check', async () => {
    for (const example of examples) write(example.place, example.code)
    await runNode([join(root, 'node_modules', 'typescript', 'bin', 'tsc'), '-p', folder], root)
  })
})

describe('the extraction of examples', () => {
  it('finds fences in Markdown, also in a list', () => {
    const text = ['a', '```ts run', 'one', '```', '- b', '  ```sh', '  two', '    three', '  ```'].join('\n')
    assert.deepEqual(fencesOf({ path: 'a.md', text }), [
      { info: 'ts run', code: 'one', line: 2 },
      { info: 'sh', code: 'two\n  three', line: 6 },
    ])
  })

  it('finds fences in doc comments', () => {
    const text = ['/**', ' * Text.', ' * ```ts run', ' * if (a) {', ' *   b()', ' * }', ' * ```', ' */', '```'].join(
      '\n',
    )
    assert.deepEqual(fencesOf({ path: 'a.ts', text }), [{ info: 'ts run', code: 'if (a) {\n  b()\n}', line: 3 }])
  })

  for (const right of ['1 + 1 // => 2', 'const sum: number = 1 + 1 // => 2', "console.log(['a']) // => ['a']"]) {
    it(`accepts ${right}`, async () => {
      write(`right ${right}`, right)
      await runExample(`right ${right}`)
    })
  }

  for (const wrong of [
    '1 + 1 // => 3',
    'const sum = 1 + 1 // => 3',
    'console.log({ a: 1 }) // => { a: 2 }',
    'nowhere()',
  ]) {
    it(`refuses ${wrong}`, async () => {
      write(`wrong ${wrong}`, wrong)
      await assert.rejects(runExample(`wrong ${wrong}`))
      rmSync(place(`wrong ${wrong}`), { recursive: true })
    })
  }
})
