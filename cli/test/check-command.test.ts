/** `quadrille check`: what it works on, what it prints, and how it ends. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { test } from 'node:test'
import { folderOf, quadrille, root } from './run-cli.ts'

const wrong = `import { choreography, event, service } from 'quadrille'
import * as z from 'zod'
const schema = z.object({ id: z.string() })
const [Asked, Answered, Typo] = ['asked', 'answered', 'answred'].map((type) => event(type, { key: 'id', schema }))
const desk = service('desk').on(Asked, { emits: [Answered] }, ({ id }) => Answered({ id }))
const asker = service('asker').on(Typo, () => {}) // line 6
export const talk = choreography('talk', { services: [desk, asker], starts: [Asked], ends: { success: [Answered] } })
`
const right = wrong.replace("service('asker').on(Typo", "service('asker').on(Answered")

test('a file that exports a choreography is checked: 0 when nothing is found', async (t) => {
  const folder = folderOf(t, { 'talk.ts': right })
  const ran = await quadrille(['check', 'talk.ts'], folder)
  assert.deepEqual([ran.code, ran.err], [0, ''])
  assert.match(ran.out, /Nothing found\./)
})

test('a function that makes a choreography from the outside is checked like one', async (t) => {
  const made = (text: string) => text.replace('= choreography(', '= ({ gateway }) => void gateway || choreography(')
  const folder = folderOf(t, {
    'right.mjs': made(right),
    'wrong.mjs': made(wrong),
    'default.mjs': made(right).replace('export const talk =', 'export default'),
    'quadrille.config.mjs':
      "import { talk } from './wrong.mjs'\nimport { defineConfig } from '@quadrille/cli'\nexport default defineConfig({ choreographies: talk })\n",
  })
  for (const file of ['right.mjs', 'default.mjs']) {
    const ran = await quadrille(['check', file], folder)
    assert.deepEqual([ran.code, ran.err], [0, ''], file)
  }
  for (const target of ['wrong.mjs', '.']) assert.match((await quadrille(['check', target], folder)).out, /error S1 /)
})

test('a finding ends with 1, and names rule, place and what to do', async (t) => {
  const folder = folderOf(t, { 'talk.ts': wrong })
  const ran = await quadrille(['check', 'talk.ts'], folder)
  assert.equal(ran.code, 1)
  assert.match(ran.out, /error S1 /)
  assert.match(ran.out, /talk\.ts:6$/m)
  assert.match(ran.out, /Fix: /)
})

test('no line is longer than the terminal is wide, unless a name or a path is', async () => {
  const ran = await quadrille(['check', 'examples/broken-orders'])
  assert.equal(ran.code, 1)
  const long = ran.out.split('\n').filter((line) => line.length > 100 && !/examples\/[\w-]+\//.test(line))
  assert.deepEqual(long, [])
})

test('--fail-on error lets warnings pass', async () => {
  const hasty = ['check', 'examples/broken-orders/src/hasty-deadline.ts']
  assert.equal((await quadrille(hasty)).code, 1)
  assert.equal((await quadrille([...hasty, '--fail-on', 'error'])).code, 0)
})

test('a finding can be suppressed in the config, with a reason, and then is told as such', async (t) => {
  const suppress = (reason: string) =>
    `import { talk } from './talk.ts'\nexport default { choreographies: talk, check: { suppress: [{ code: 'S1', ${reason} }] } }\n`
  const folder = folderOf(t, {
    'talk.ts': wrong,
    'quadrille.config.ts': suppress("reason: 'the old desk still answers so'"),
    'bad.ts': suppress("reason: ''"),
  })
  const ran = await quadrille(['check'], folder)
  assert.equal(ran.code, 0)
  assert.match(ran.out, /Nothing found\. 1 finding suppressed with a reason\./)
  const bad = await quadrille(['check', 'bad.ts'], folder)
  assert.equal(bad.code, 2)
  assert.match(bad.err, /OPTION_INVALID: option suppress\.reason of S1/)
})

test('--json prints the report and nothing else', async (t) => {
  const folder = folderOf(t, { 'talk.ts': wrong })
  const ran = await quadrille(['check', 'talk.ts', '--json'], folder)
  const report = JSON.parse(ran.out) as { findings: { code: string; places: { at: string }[] }[] }
  assert.equal(report.findings[0]!.code, 'S1')
  assert.equal(report.findings[0]!.places[0]!.at, `${join(folder, 'talk.ts')}:6`)
})

test('--format github prints an annotation with file and line', async (t) => {
  const folder = folderOf(t, { 'talk.ts': wrong })
  const ran = await quadrille(['check', 'talk.ts', '--format', 'github'], folder)
  assert.match(ran.out, /^::error file=talk\.ts,line=6,title=S1 [^:]+::.*answred/)
})

test('a folder is checked by its quadrille.config.ts', async () => {
  const ran = await quadrille(['check', 'examples/orders'])
  assert.deepEqual([ran.code, ran.err], [0, ''])
})

test('the installed command runs from any folder of the repository, with its exit code', () => {
  const bin = join(root, 'cli', 'bin', 'quadrille.js')
  const printed = execFileSync(process.execPath, [bin, 'check', '.'], { cwd: join(root, 'examples', 'orders') })
  assert.match(String(printed), /Nothing found/)
})

test('what can not be checked ends with 2 and says why', async (t) => {
  const folder = folderOf(t, {
    'empty.ts': 'export {}\n',
    'factory.ts': 'export const checkout = (_gateway: unknown) => 1\n',
    'throws.ts': "\nthrow new Error('no database')\n",
    'import.ts': "import './nowhere.ts'\n",
    'enum.ts': 'export enum Colour { Red }\n',
  })
  const cases: [args: string[], message: RegExp][] = [
    [['missing.ts'], /CONFIG_NOT_FOUND: there is no .*missing\.ts/],
    [['.'], /CONFIG_NOT_FOUND: the folder .* has no quadrille\.config\.ts/],
    [['empty.ts'], /CONFIG_INVALID: .*empty\.ts can not be used: it exports nothing/],
    [['factory.ts'], /none of its exports \(checkout\) is a choreography, or makes one from fakes/],
    [['throws.ts'], /CONFIG_FAILED: .*throws\.ts could not be loaded \(at .*throws\.ts:2\): Error: no database/],
    [['import.ts'], /CONFIG_FAILED: .*nowhere\.ts/],
    [['enum.ts'], /CONFIG_FAILED: .*enum/],
    [['empty.ts', '--frmat', 'json'], /--format/],
    [['empty.ts', 'more.ts'], /too many arguments/],
  ]
  for (const [args, message] of cases) {
    const ran = await quadrille(['check', ...args], folder)
    assert.equal(ran.code, 2, args.join(' '))
    assert.match(ran.err, message)
    assert.equal(ran.out, '')
  }
})

test('a config may be a function, and its choreographies must be some', async (t) => {
  const folder = folderOf(t, {
    'talk.ts': right,
    'quadrille.config.mjs':
      "import { talk } from './talk.ts'\nexport default async () => ({ choreographies: [talk] })\n",
    'wrong.mjs': 'export default { choreographies: [1] }\n',
    'late.mjs': "export default () => { throw new Error('too late') }\n",
  })
  assert.equal((await quadrille(['check'], folder)).code, 0)
  assert.match((await quadrille(['check', 'wrong.mjs'], folder)).err, /one of its `choreographies` is not/)
  assert.match((await quadrille(['check', 'late.mjs'], folder)).err, /CONFIG_FAILED: .*too late/)
})

test('help is no error, and an unknown command is', async () => {
  const help = await quadrille(['check', '--help'])
  assert.equal(help.code, 0)
  assert.match(help.out, /Exit codes: 0/)
  assert.equal((await quadrille(['chekc'])).code, 2)
})
