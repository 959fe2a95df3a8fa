/** What every wire must do, as cases that any test runner can run. */
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
 * skipped with the reason.
 */
export function testWire(runner: WireCaseRunner, harness: WireHarness): void {
  runner.describe(`wire conformance: ${harness.name}`, () => {
    for (const testCase of wireCases) {
      const why = whyLeftOut(testCase, harness)
      runner.it(testCase.name, { skip: why ?? false }, () => runWireCase(testCase, harness))
    }
  })
}
