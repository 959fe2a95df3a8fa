/** The HTTP wire, in each mode, from processes to processes through a load balancer. */
import { describe, it } from 'node:test'
import { testWire } from 'quadrille/conformance'
import { httpHarness } from './http-place.ts'

describe('HTTP', () => {
  for (const mode of ['structured', 'binary', 'batch'] as const) testWire({ describe, it }, httpHarness(mode))
})
