/** Two versions of a service receive over a wire at the same time; the same over real brokers stands with their wires. */
import { test } from 'node:test'
import { memoryHub } from 'quadrille/memory'
import { releaseLosesNothing, releases } from '@quadrille/brokers/wire-release'

for (const what of releases)
  test(`a release loses nothing that only the new version receives; ${what}`, async (t) => {
    const hub = memoryHub()
    await releaseLosesNothing(t, { wire: () => hub.wire(), what })
  })
