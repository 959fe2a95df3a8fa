import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DeliveryLine, silentLogger, sleep, systemEnv, type DeliveryLineOptions } from 'quadrille'

type Options = DeliveryLineOptions<number>

/** A line of numbers; what it delivers and acknowledges is kept. */
function lineOf(options: Partial<Options> = {}) {
  const delivered: number[][] = []
  const acknowledged: number[] = []
  const line = new DeliveryLine<number>({
    env: systemEnv,
    log: silentLogger,
    service: 'orders',
    batchMax: 3,
    message: (held) => ({ attributes: null, body: Uint8Array.of(held) }),
    owned: () => true,
    deliver: async (messages) => void delivered.push(messages.map(({ body }) => body[0]!)),
    acknowledge: (held) => void acknowledged.push(...held),
    ...options,
  })
  const quiet = async () => {
    while (line.size > 0) await sleep(systemEnv, 1)
  }
  return { line, delivered, acknowledged, quiet }
}

test('what arrives in one burst is delivered together, in order, and not more than batchMax at a time', async () => {
  const { line, delivered, acknowledged, quiet } = lineOf()
  line.push(1)
  line.push(2, 3, 4)
  assert.equal(line.size, 4)
  await quiet()
  assert.deepEqual(delivered, [[1, 2, 3], [4]])
  assert.deepEqual(acknowledged, [1, 2, 3, 4])
})

test('one delivery at a time, and one acknowledgement, which the next delivery does not wait for', async () => {
  const steps: string[] = []
  const first = Promise.withResolvers<void>()
  const { line, quiet } = lineOf({
    deliver: async (messages) => {
      const numbers = messages.map(({ body }) => body[0]).join('')
      steps.push(`deliver ${numbers}`)
      await sleep(systemEnv, 5)
      steps.push(`delivered ${numbers}`)
      if (numbers === '456') first.resolve()
    },
    acknowledge: async (held) => {
      steps.push(`acknowledge ${held.join('')}`)
      // The broker answers only when the next delivery has ended.
      if (held[0] === 1) await first.promise
      await sleep(systemEnv, 5)
      steps.push(`acknowledged ${held.join('')}`)
    },
  })
  line.push(1, 2, 3, 4, 5, 6, 7)
  await quiet()
  await line.pause()
  assert.deepEqual(
    steps.filter((step) => step.startsWith('deliver')),
    ['deliver 123', 'delivered 123', 'deliver 456', 'delivered 456', 'deliver 7', 'delivered 7'],
  )
  assert.deepEqual(
    steps.filter((step) => step.startsWith('ack')),
    ['123', '456', '7'].flatMap((each) => [`acknowledge ${each}`, `acknowledged ${each}`]),
  )
  for (const each of ['123', '456', '7'])
    assert.ok(steps.indexOf(`delivered ${each}`) < steps.indexOf(`acknowledge ${each}`), steps.join(', '))
})

test('pause waits for the acknowledgement, and an acknowledgement that fails stops nothing', async () => {
  const answered = Promise.withResolvers<void>()
  let pending = 0
  const delivered: number[] = []
  const { line, quiet } = lineOf({
    deliver: async (messages) => void delivered.push(...messages.map(({ body }) => body[0]!)),
    acknowledge: async (held) => {
      if (held[0] === 1) throw new Error('the broker is gone')
      pending += 1
      await answered.promise
      pending -= 1
    },
  })
  line.push(1, 2, 3, 4, 5, 6)
  while (delivered.length < 6) await sleep(systemEnv, 1)
  const paused = line.pause()
  answered.resolve()
  await paused
  assert.equal(pending, 0)
  await quiet()
  assert.deepEqual(delivered, [1, 2, 3, 4, 5, 6])
})

test('what is refused is delivered again before anything behind it, and is a problem until then', async () => {
  const tries: number[][] = []
  const problems: string[][] = []
  const { line, acknowledged, quiet } = lineOf({
    deliver: async (messages) => {
      tries.push(messages.map(({ body }) => body[0]!))
      problems.push(line.problems())
      if (tries.length <= 2) throw new Error('the disk is full')
    },
  })
  line.push(1, 2, 3, 4)
  await quiet()
  assert.deepEqual(tries, [[1, 2, 3], [1, 2, 3], [1, 2, 3], [4]])
  assert.deepEqual(acknowledged, [1, 2, 3, 4])
  const refused = ['the ledger does not take what was received: the disk is full']
  assert.deepEqual(problems, [[], refused, refused, []])
})

test('what is not ours any more is neither delivered again nor acknowledged', async () => {
  const lost = new Set<number>([2])
  let first = true
  const { line, acknowledged, quiet } = lineOf({
    owned: (held) => !lost.has(held),
    deliver: async (messages) => {
      const numbers = messages.map(({ body }) => body[0]!)
      assert.deepEqual(numbers, first ? [1, 3] : [1])
      lost.add(3)
      if (!first) return
      first = false
      throw new Error('busy')
    },
  })
  line.push(1, 2, 3)
  await quiet()
  assert.deepEqual(acknowledged, [1])
})

test('pause waits for the delivery in hand; the rest can be taken out, what was refused first', async () => {
  const gate = Promise.withResolvers<void>()
  const { line, acknowledged } = lineOf({ deliver: () => gate.promise })
  line.push(1, 2, 3, 4, 5)
  await sleep(systemEnv, 5)
  let paused = false
  const pausing = line.pause().then(() => (paused = true))
  await sleep(systemEnv, 5)
  assert.equal(paused, false)
  assert.deepEqual(line.held(), [1, 2, 3, 4, 5])
  gate.reject(new Error('not now'))
  await pausing
  assert.deepEqual(acknowledged, [])
  assert.deepEqual(line.takeAll(), [1, 2, 3, 4, 5])
  assert.equal(line.size, 0)
})

test('resume goes on with what waits', async () => {
  const { line, delivered, quiet } = lineOf()
  await line.pause()
  line.push(1, 2)
  await sleep(systemEnv, 5)
  assert.deepEqual(delivered, [])
  line.resume()
  await quiet()
  assert.deepEqual(delivered, [[1, 2]])
})

test('in front of a message that is no longer ours the line waits for the adapter, so that nothing overtakes', async () => {
  const lost = new Set<number>()
  let expired = 0
  const { line, delivered, quiet } = lineOf({ owned: (held) => !lost.has(held), expired: () => (expired += 1) })
  lost.add(2)
  line.push(1, 2, 3)
  while (expired === 0) await sleep(systemEnv, 1)
  assert.deepEqual(delivered, [[1]])
  assert.deepEqual(line.held(), [2, 3], 'neither it nor what is behind it')
  lost.clear()
  line.resume()
  await quiet()
  assert.deepEqual(delivered, [[1], [2, 3]])
})

test('a message that is lost while its delivery is refused holds up the line, too', async () => {
  const lost = new Set<number>()
  let expired = 0
  const delivered: number[][] = []
  const { line, quiet } = lineOf({
    owned: (held) => !lost.has(held),
    expired: () => (expired += 1),
    async deliver(messages) {
      delivered.push(messages.map(({ body }) => body[0]!))
      if (delivered.length > 1) return
      lost.add(1)
      throw new Error('refused')
    },
  })
  line.push(1, 2)
  while (expired === 0) await sleep(systemEnv, 1)
  assert.deepEqual(delivered, [[1, 2]])
  lost.clear()
  line.resume()
  await quiet()
  assert.deepEqual(delivered, [
    [1, 2],
    [1, 2],
  ])
})
