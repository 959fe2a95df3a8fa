/** The broker in memory for the conformance cases. */
import { systemEnv } from '../../src/base/index.ts'
import type { WireHarness } from '../../src/wire/conformance/index.ts'
import { memoryHub, type MemoryHub, type MemoryHubOptions } from '../../src/wire/memory/index.ts'

/** Hubs with these options, a new one for each case unless one is given. */
export function memoryHarness(options: MemoryHubOptions = {}, given?: MemoryHub): WireHarness {
  const all: MemoryHubOptions = { lock: 200, ...options }
  return {
    name: 'memory',
    capabilities: memoryHub(all).wire().capabilities,
    patienceMs: 3_000,
    silenceMs: 100,
    async create() {
      const hub = given ?? memoryHub(all)
      return {
        connect: () => hub.wire(),
        env: systemEnv,
        hooks: {
          inject: async ({ type, body }) => hub.inject(type, body),
          crash: async (wire) => hub.crash(wire),
          freeze: async (wire) => {
            const thaw = hub.freeze(wire)
            return async () => thaw()
          },
          killBroker: async () => {
            const back = hub.switchOff()
            return async () => back()
          },
          removeSubscription: async ({ service }) => hub.removeSubscription(service),
          dropUnread: async () => hub.dropAll(),
          forget: async ({ service }) => hub.removeSubscription(service),
          outstanding: async ({ service }) => hub.outstanding(service),
        },
        remove: async () => {},
      }
    },
  }
}
