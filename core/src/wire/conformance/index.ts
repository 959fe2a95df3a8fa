/** What every wire must do, as cases that any test runner can run. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { WireCapabilities } from '../wire.ts'
import { orderCases } from './order-cases.ts'
import { healthCases, outageCases, stopCases } from './life-cases.ts'
import { receivingCases } from './receiving-cases.ts'
import { sendingCases } from './sending-cases.ts'
import { runWireCase, whyLeftOut, type WireCase, type WireHarness } from './wire-world.ts'

export {
  runWireCase,
  whyLeftOut,
  type WireCase,
  type WireHarness,
  type WireHooks,
  type WirePlace,
  type WireWorld,
} from './wire-world.ts'
export { tcpProxy, type TcpProxy } from './tcp-proxy.ts'

/** The contract of `Wire` in full, one case for each promise. */
export const wireCases: readonly WireCase[] = [
  ...sendingCases,
  ...receivingCases,
  ...orderCases,
  ...stopCases,
  ...outageCases,
  ...healthCases,
]

/** What the suite needs of a test runner, as node:test and Vitest have it. */
export interface WireCaseRunner {
  describe(name: string, body: () => void): unknown
  it(name: string, options: { readonly skip?: string | false }, body: () => Promise<void>): unknown
}

/**
 * Binds all cases to a test runner. Call it once in the tests of an adapter. A case that the wire can not be asked is
 * skipped with the reason. Where the environment variable `QUADRILLE_WIRE_REPORT` names a folder, the run is written down
 * there, for the matrix of docs/wires.md.
 */
export function testWire(runner: WireCaseRunner, harness: WireHarness): void {
  runner.describe(`wire conformance: ${harness.name}`, () => {
    const cases: { name: string; passed: boolean; leftOut: string | null }[] = []
    for (const testCase of wireCases) {
      const leftOut = whyLeftOut(testCase, harness)
      const outcome = { name: testCase.name, passed: false, leftOut }
      cases.push(outcome)
      runner.it(testCase.name, { skip: leftOut ?? false }, async () => {
        await runWireCase(testCase, harness)
        outcome.passed = true
      })
    }
    const folder = process.env['QUADRILLE_WIRE_REPORT']
    if (folder === undefined) return
    runner.it('the run is written down', {}, async () => {
      const { name, capabilities } = harness
      const file = join(folder, `${name.replaceAll(/[^a-z0-9]+/gi, '-')}.json`)
      writeFileSync(file, JSON.stringify({ name, capabilities, cases } satisfies WireRun))
    })
  })
}

/** What a run of the cases came to, as it is written down. */
export interface WireRun {
  readonly name: string
  readonly capabilities: WireCapabilities
  readonly cases: readonly { readonly name: string; readonly passed: boolean; readonly leftOut: string | null }[]
}
