/** What a large program costs to type-check: counted in type instantiations, which do not depend on the machine. */
import { after, test } from 'node:test'
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))
// Inside the repository, so that `quadrille` and `zod` are found.
mkdirSync(join(root, '.cache'), { recursive: true })
const folder = mkdtempSync(join(root, '.cache', 'type-budget-'))
after(() => rmSync(folder, { recursive: true }))

const contractsMax = 300
const servicesMax = 50

const schema = (extra: string) =>
  `z.object({ id: z.string(), total: z.number(), note: z.string().default(''), ${extra} })`

/** Contract `index`: one in five is a union with two patterns, one in five has three versions. */
function contractText(index: number): string {
  const name = `E${index}`
  if (index % 5 === 0) {
    return `export const ${name} = event('e${index}', { key: 'id', schema: z.discriminatedUnion('status', [
  ${schema(`status: z.literal('ok'), f${index}: z.number()`)}, ${schema(`status: z.literal('no'), why: z.string()`)}]) })
export const ${name}No = ${name}.where({ status: 'no' })`
  }
  const first = `event('e${index}', { key: 'id', schema: ${schema(`f${index}: z.number()`)} })`
  if (index % 5 !== 1) return `export const ${name} = ${first}`
  return `export const ${name} = ${first}
  .version(2, { schema: ${schema(`g${index}: z.string()`)}, upcast: ({ f${index}, ...rest }) => ({ ...rest, g${index}: String(f${index}) }) })
  .version(3, { schema: ${schema(`h${index}: z.boolean()`)}, upcast: ({ g${index}, ...rest }) => ({ ...rest, h${index}: g${index} === '' }) })`
}

/** Service `index`, with `rounds` times five reactions of every kind over six contracts. */
function serviceText(index: number, rounds: number): string {
  const reactions = Array.from({ length: rounds }, (_, round) => {
    const [union, versioned, a, b, c] = [0, 1, 2, 3, 4].map(
      (offset) => (index * 5 + round * 35 + offset) % contractsMax,
    )
    return `  .on(E${a}, { name: 'on${round}', emits: [E${b}, E${c}], call: async (order) => ({ charged: order.total }),
    undo: { on: [E${union}No], emits: [E${c}], call: async (_, { done }) => done.charged, run: (order, { result }) =>
      E${c}({ id: order.id, total: result, f${c}: 1 }) } },
    async (order, { result }) => E${b}({ id: order.id, total: result.charged, f${b}: order.f${a} }))
  .on(E${union}No, { name: 'no${round}', emits: [E${a}] }, (data) => [E${a}({ id: data.why, total: 1, f${a}: 2 })])
  .on(E${versioned}, { name: 'batch${round}', batch: { size: 10 } }, (all) => void all.map((data) => data.h${versioned}))
  .all([E${a}, E${versioned}], { name: 'all${round}', emits: [E${b}] }, ([x, y]) => E${b}({ id: x.id, total: y.total, f${b}: 1 }))
  .deadline(E${a}, { name: 'late${round}', unless: [E${b}, E${union}No], within: '15m', emits: [E${c}] }, ({ id }) => E${c}({ id, total: 0, f${c}: 0 }))`
  })
  return `export const s${index} = service('s${index}')\n${reactions.join('\n')}`
}

interface Size {
  readonly contracts: number
  readonly services: number
  readonly rounds: number
}

/** The type instantiations of a program of this size. It must compile. */
function instantiationsOf({ contracts, services, rounds }: Size): number {
  const path = join(folder, `c${contracts}-s${services}-r${rounds}`)
  mkdirSync(path)
  const list = (length: number, text: (index: number) => string) =>
    Array.from({ length }, (_, index) => text(index)).join('\n')
  const names = list(contracts, (index) => `E${index},${index % 5 === 0 ? ` E${index}No,` : ''}`)
  writeFileSync(
    join(path, 'contracts.ts'),
    `import { event } from 'quadrille'\nimport * as z from 'zod'\n${list(contracts, contractText)}`,
  )
  writeFileSync(
    join(path, 'services.ts'),
    `import { choreography, service } from 'quadrille'\nimport { ${names} } from './contracts.ts'
${list(services, (index) => serviceText(index, rounds))}
export const all = choreography('all', { services: [${list(services, (index) => `s${index},`)}], starts: [E0], ends: { success: [E1] } })`,
  )
  const config = {
    extends: join(root, 'tsconfig.base.json'),
    compilerOptions: { noEmit: true },
    files: ['services.ts'],
  }
  writeFileSync(join(path, 'tsconfig.json'), JSON.stringify(config))
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const output = execFileSync(process.execPath, [tsc, '-p', path, '--extendedDiagnostics', '--singleThreaded'], {
    encoding: 'utf8',
  })
  const found = /^Instantiations:\s+(\d+)/m.exec(output)
  assert.ok(found, output)
  return Number(found[1])
}

/** Budgets are the numbers measured with TypeScript 7.0.2 and zod 4.6.7, named beside each, plus a fifth. */
const within = (measured: number, found: number): void => {
  assert.ok(found <= measured * 1.2, `${Math.round(found)} instantiations, more than a fifth above ${measured}`)
}
const few = instantiationsOf({ contracts: 25, services: 0, rounds: 0 })
const contractsOnly = instantiationsOf({ contracts: contractsMax, services: 0, rounds: 0 })
const whole = instantiationsOf({ contracts: contractsMax, services: servicesMax, rounds: 1 })

test('300 contracts and 50 services with 250 reactions stay within the budget', () => {
  within(387_113, whole)
})

test('a contract costs the same however many there are', () => {
  within(929, (contractsOnly - few) / (contractsMax - 25))
})

test('a reaction costs little, and the same however many there are', () => {
  const reactions = servicesMax * 5
  within(352, (whole - contractsOnly) / reactions)
  const more = instantiationsOf({ contracts: contractsMax, services: servicesMax, rounds: 3 })
  within(84, (more - whole) / (reactions * 2))
})
