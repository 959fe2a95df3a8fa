/** `quadrille simulate`: what it works on, what it prints, and how it ends. */
import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { folderOf, quadrille } from './run-cli.ts'

const declared = `import { choreography, event, service } from 'quadrille'
import { nodeSqlite } from 'quadrille/sqlite'
import * as z from 'zod'
const schema = z.object({ id: z.string() })
const [Asked, Answered, GivenUp] = ['asked', 'answered', 'given.up'].map((type) => event(type, { key: 'id', schema }))
const desk = service('desk').on(Asked, { emits: [Answered] }, ({ id }) => Answered({ id }))
const asker = service('asker')
  .deadline(Asked, { unless: [Answered], within: '1h', emits: [GivenUp] }, ({ id }) => GivenUp({ id }))
`
const talk = `choreography('talk', { services: [desk, asker], starts: [Asked], ends: { success: [Answered], failure: [GivenUp] } })`
/** An answer that is slow comes after the asker has given up: two ends. */
const racy = `${declared}export const talk = ${talk}\n`

const few = ['--budget', '30s', '--schedules', '100', '--workers', '1']

test('a file that exports a choreography is simulated: a finding ends with 1, and is told', async (t) => {
  const folder = folderOf(t, { 'talk.ts': racy })
  const ran = await quadrille(['simulate', 'talk.ts', ...few], folder)
  assert.equal(ran.code, 1, ran.err)
  assert.match(ran.out, /TWO_ENDS/)
  assert.match(ran.out, /sequenceDiagram/)
  assert.match(ran.out, /again: npx quadrille simulate talk\.ts --seed 1 --workers 1/)
})

test('nothing found ends with 0; --json prints one line with the numbers', async (t) => {
  const folder = folderOf(t, {
    'talk.ts': racy
      .replace(', failure: [GivenUp]', '')
      .replace(', emits: [GivenUp]', '')
      .replace('=> GivenUp({ id })', '=> {}'),
  })
  const ran = await quadrille(['simulate', 'talk.ts', '--json', ...few, '--max-faults', '1'], folder)
  assert.equal(ran.code, 0, ran.out + ran.err)
  const lines = ran.out.trim().split('\n')
  assert.equal(lines.length, 1)
  const { schedules, states, faultsComplete, findings } = JSON.parse(lines[0]!) as Record<string, unknown>
  assert.equal(faultsComplete, 1)
  assert.deepEqual(findings, [])
  assert.ok((schedules as number) > 100 && (states as number) > 5)
})

test('a schedule that is saved can be replayed, until the mistake is gone', async (t) => {
  const folder = folderOf(t, { 'talk.ts': racy })
  await quadrille(['simulate', 'talk.ts', ...few, '--save', 'found'], folder)
  const [name] = readdirSync(join(folder, 'found'))
  assert.match(name!, /^talk-two-ends\.schedule\.json$/)
  const again = await quadrille(['simulate', 'talk.ts', '--replay', `found/${name}`], folder)
  assert.equal(again.code, 1)
  assert.match(again.out, /TWO_ENDS/)
  writeFileSync(join(folder, 'right.ts'), racy.replace(', failure: [GivenUp]', ''))
  const right = await quadrille(['simulate', 'right.ts', '--replay', `found/${name}`], folder)
  assert.deepEqual([right.code, /nothing went wrong/.test(right.out)], [0, true])
})

test('a function that makes a choreography from fakes is simulated with fakes that answer everything', async (t) => {
  const folder = folderOf(t, {
    'talk.ts': `${declared
      .replace(').on(Asked, { emits: [Answered] },', ').on(Asked, { emits: [Answered], call: () => clerk.ask() },')
      .replace('const desk =', 'const deskOf = (clerk) =>')
      .replace("const asker = service('asker')", "const asker = service('asker').on(Answered, () => {})")
      .replace(
        /\n {2}\.deadline.*\n/,
        '\n',
      )}export const make = ({ clerk }) => { const desk = deskOf(clerk); return ${talk.replace(', failure: [GivenUp]', '').replace('starts:', "within: '1h', starts:")} }\n`,
  })
  const ran = await quadrille(['simulate', 'talk.ts', ...few, '--json', '--max-faults', '0'], folder)
  const { findings } = JSON.parse(ran.out) as { findings: { code: string }[] }
  // Without a deadline, an event that can not be handled means that the talk never ends.
  assert.deepEqual(
    findings.map(({ code }) => code),
    ['NO_END'],
  )
})

test('several threads search together', async (t) => {
  const folder = folderOf(t, { 'talk.ts': racy })
  const ran = await quadrille(['simulate', 'talk.ts', '--workers', '2', '--budget', '30s', '--json'], folder)
  const { findings } = JSON.parse(ran.out) as { findings: { code: string }[] }
  assert.deepEqual(
    findings.map(({ code }) => code),
    ['TWO_ENDS'],
  )
})

test('what can not be simulated ends with 2 and says why', async (t) => {
  const folder = folderOf(t, { 'nothing.ts': 'export const answer = 42\n' })
  const ran = await quadrille(['simulate', 'nothing.ts'], folder)
  assert.equal(ran.code, 2)
  assert.match(ran.err, /CONFIG_INVALID|none of its exports \(answer\)/)
  const wrong = await quadrille(['simulate', 'nothing.ts', '--budget', 'soon'], folder)
  assert.equal(wrong.code, 2)
  const missing = await quadrille(['simulate', 'nothing.ts', '--replay', 'no.json'], folder)
  assert.equal(missing.code, 2)
})

test('the config of the order application says how it is simulated', async () => {
  const ran = await quadrille([
    'simulate',
    'examples/orders',
    '--json',
    '--workers',
    '1',
    '--max-faults',
    '0',
    '--schedules',
    '20',
    '--budget',
    '60s',
  ])
  assert.equal(ran.code, 0, ran.out)
  const { faultsComplete } = JSON.parse(ran.out) as { faultsComplete: number }
  assert.equal(faultsComplete, 0)
})
