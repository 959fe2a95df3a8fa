/** The check of a large choreography: nothing is found, and the work it takes has a limit. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { check } from 'quadrille/check'
import { checkSpeed } from '../src/check-speed.ts'
import { largeChoreography } from '../src/large-choreography.ts'

test('200 services that are right: silent, with a bound on the work, whatever its size', () => {
  const large = check(largeChoreography({ services: 200, wide: 3 }))
  assert.deepEqual(large.findings, [])
  const [flow] = large.flows
  const [small] = check(largeChoreography({ services: 50, wide: 3 })).flows
  assert.ok(flow!.services > 190 && flow!.reactions > 300)
  assert.ok(flow!.work < 2_000_000, `${flow!.work} arcs were followed`)
  assert.ok(small!.work < 1_000_000, `${small!.work} arcs were followed`)
})

test('each choice alone, and each step that gives up, is played however large it is', () => {
  const { services, runs } = checkSpeed({ services: 100, wide: 4, rounds: 1 })
  assert.ok(runs > 2 * services)
})
