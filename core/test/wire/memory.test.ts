/** The wire in memory keeps every promise of the Wire interface. */
import { describe, it } from 'node:test'
import { testWire } from '../../src/wire/conformance/index.ts'
import { memoryHarness } from './memory-harness.ts'

testWire({ describe, it }, memoryHarness())
testWire(
  { describe, it },
  {
    ...memoryHarness({ messageBytesMax: 10_000, reportsUnroutable: true, dedupe: '2m' }),
    name: 'memory, strict',
  },
)
