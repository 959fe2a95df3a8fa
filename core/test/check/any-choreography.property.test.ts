/** Whatever is declared, the check comes to an end, says the same twice, and names places. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import fc from 'fast-check'
import * as z from 'zod'
import { event } from '../../src/contracts/index.ts'
import { choreography, service, type AnyService } from '../../src/service/index.ts'
import { check } from '../../src/check/index.ts'
import { run } from './dance.ts'

const schema = z.object({ id: z.string(), status: z.enum(['ok', 'failed']) })
const contracts = Array.from({ length: 8 }, (_, index) => event(`e${index}`, { key: 'id', schema }))
const contract = fc.constantFrom(...contracts)
const status = fc.constantFrom('ok' as const, 'failed' as const)
const trigger = fc.oneof(
  contract,
  fc.tuple(contract, status).map(([given, value]) => given.where({ status: value })),
)

const reaction = fc.record({
  service: fc.constantFrom('a', 'b', 'c', 'd'),
  kind: fc.constantFrom('on', 'on', 'on', 'all', 'deadline'),
  triggers: fc.uniqueArray(trigger, { minLength: 2, maxLength: 3, selector: (each) => each.type }),
  emits: fc.uniqueArray(contract, { maxLength: 3 }),
  undo: fc.option(trigger, { nil: undefined }),
  calls: fc.boolean(),
})

const choreographies = fc
  .record({
    reactions: fc.array(reaction, { minLength: 1, maxLength: 12 }),
    starts: fc.uniqueArray(trigger, { minLength: 1, maxLength: 2 }),
    success: fc.uniqueArray(trigger, { minLength: 1, maxLength: 2 }),
    failure: fc.uniqueArray(trigger, { maxLength: 2 }),
    external: fc.option(
      fc.record({ consumes: fc.array(trigger, { maxLength: 1 }), emits: fc.array(contract, { maxLength: 1 }) }),
    ),
  })
  .map(({ reactions, starts, success, failure, external }) => {
    const services = new Map<string, ReturnType<typeof service>>()
    for (const [index, { service: owner, kind, triggers, emits, undo, calls }] of reactions.entries()) {
      const made = services.get(owner) ?? service(owner)
      const name = `r${index}`
      const [first, ...rest] = triggers
      if (kind === 'all') made.all(triggers, { name, emits, ...(calls ? { within: '1h', late: run } : {}) }, run)
      else if (kind === 'deadline') made.deadline(first!, { name, unless: rest, within: '1h', emits }, run)
      else {
        const undone = undo && undo.type !== first!.type ? { on: [undo], run } : undefined
        const options = { name, emits, call: calls ? () => 1 : undefined, undo: undone }
        made.on(first!, options as { name: string; call: () => number }, run)
      }
      services.set(owner, made)
    }
    return choreography('any', {
      services: [...services.values()] as AnyService[],
      starts,
      ends: { success, failure },
      external: external ? [{ name: 'outside', ...external }] : [],
    })
  })

test('any choreography can be checked', () => {
  fc.assert(
    fc.property(choreographies, (declared) => {
      const report = check(declared)
      assert.deepEqual(check(declared), report)
      for (const { places, message, fix, sequence } of report.findings) {
        assert.ok(places.length > 0)
        for (const text of [message, fix, ...sequence]) assert.doesNotMatch(text, /undefined|\bNaN\b|\[object/)
        assert.match(message, /\.$|CONTRACT|EVENT/)
      }
    }),
    { numRuns: 300 },
  )
})
