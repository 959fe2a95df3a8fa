/** What `start()` is told in JavaScript, where no compiler looks at it. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isQuadrilleError, service, start, type StartOptions } from 'quadrille'
import { memoryHub } from 'quadrille/memory'
import { Asked } from './setup.ts'

const services = [service('doer').on(Asked, () => {})]

test('an option that there is not is refused, with those that there are', async () => {
  const wire = memoryHub().wire()
  const wrong: readonly [option: string, options: object][] = [
    ['retention_', { retention_: { events: '1d' } }],
    ['retention.event', { retention: { event: '1d' } }],
    ['wires.send', { wires: [{ wire, send: [] }] }],
    ['policy.retry.tries', { policy: { retry: { tries: 3 } } }],
  ]
  for (const [option, options] of wrong) {
    const isRefused = (error: unknown): boolean =>
      isQuadrilleError(error, 'OPTION_INVALID') && error.message.includes(`option ${option} is unknown to start()`)
    await assert.rejects(start({ services, ...options } as StartOptions), isRefused, option)
  }
})

test('start() without its options says so', async () => {
  const message = /option options of start\(\) is undefined, expected an object/
  await assert.rejects((start as () => Promise<unknown>)(), { code: 'OPTION_INVALID', message })
})
