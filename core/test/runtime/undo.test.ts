/** An undo runs exactly once if the action happened, whichever event comes first; otherwise the action never happens. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { NonRetryable, service, type ReactionPolicy } from 'quadrille'
import { Answered, Asked, Cancelled, Undone, db, effect, effects, gate, lenientWorld, effectWorld } from './setup.ts'

/** The outside: a provider that honours idempotency keys, and can be told to misbehave. */
class Provider {
  readonly charges = new Map<string, string>()
  readonly refunds = new Set<string>()
  readonly keys: string[] = []
  /** Called before a charge is answered; what it throws is thrown after the effect. */
  afterCharge: (times: number) => void | Promise<void> = () => {}
  beforeCharge: (times: number) => void = () => {}
  onRefund: (times: number) => void = () => {}
  #charged = 0
  #refunded = 0

  async charge(key: string): Promise<{ charge: string }> {
    this.keys.push(key)
    this.#charged += 1
    this.beforeCharge(this.#charged)
    if (!this.charges.has(key)) this.charges.set(key, `charge-${this.charges.size + 1}`)
    await this.afterCharge(this.#charged)
    return { charge: this.charges.get(key)! }
  }

  async refund(charge: string, key: string): Promise<{ refund: string }> {
    this.keys.push(key)
    this.#refunded += 1
    this.onRefund(this.#refunded)
    this.refunds.add(charge)
    return { refund: charge }
  }

  /** Money kept. */
  get kept(): number {
    return this.charges.size - this.refunds.size
  }
}

const Lost = Answered.where({ n: -1 })

function paymentsOf(provider: Provider, policy: ReactionPolicy = {}, onRun: (attempt: number) => void = () => {}) {
  return service('payments', { db }).on(
    Asked,
    {
      ...policy,
      name: 'pay',
      call: (_, { idempotencyKey }) => provider.charge(idempotencyKey),
      undo: {
        on: [Cancelled, Lost],
        emits: [Undone],
        call: (_, { done, idempotencyKey }) => provider.refund(done.charge, idempotencyKey),
        run: ({ id }, { db: handle, done, result }) => {
          assert.equal(result.refund, done.charge)
          effect(handle, `undone ${id}`)
          return Undone({ id })
        },
      },
    },
    ({ id }, { db: handle, attempt }) => {
      effect(handle, `done ${id}`)
      onRun(attempt)
    },
  )
}

test('an undo after the action undoes it once, with what the call of the action returned', async () => {
  const provider = new Provider()
  const payments = paymentsOf(provider)
  await using w = await effectWorld([payments])
  await w.publish(Asked({ id: 'a' }))
  await w.settled()
  await w.publish(Cancelled({ id: 'a' }))
  await w.settled()
  assert.deepEqual(await effects(w.app, payments), { 'done a': 1, 'undone a': 1 })
  assert.equal(provider.kept, 0)
  assert.equal(w.saw(Undone).length, 1)
  assert.equal(provider.keys.length, 2)
  assert.notEqual(provider.keys[0], provider.keys[1], 'the refund has a key of its own')
})

test('an undo that comes before the action leaves a tombstone: the action is never done', async () => {
  const provider = new Provider()
  const payments = paymentsOf(provider)
  const skipped: string[] = []
  await using w = await effectWorld([payments], { hooks: { skipped: ({ why }) => void skipped.push(why) } })
  await w.publish(Cancelled({ id: 'a' }))
  await w.settled()
  await w.publish([Asked({ id: 'a' }), Asked({ id: 'b' })])
  await w.settled()
  assert.deepEqual(await effects(w.app, payments), { 'done b': 1 })
  assert.equal(provider.charges.size, 1)
  assert.deepEqual(skipped, ['nothing-to-undo', 'undone'])
  w.neverSaw(Undone)
})

test('an undo right behind its action, in one batch, undoes it', async () => {
  const provider = new Provider()
  const payments = paymentsOf(provider)
  await using w = await effectWorld([payments])
  await w.publish([Asked({ id: 'a' }), Cancelled({ id: 'a' })])
  await w.settled()
  assert.deepEqual(await effects(w.app, payments), { 'done a': 1, 'undone a': 1 })
  assert.equal(provider.kept, 0)
})

test('several events that ask for the undo, of one type or of two, undo it once', async () => {
  const provider = new Provider()
  const payments = paymentsOf(provider)
  await using w = await effectWorld([payments])
  await w.publish([Asked({ id: 'a' }), Cancelled({ id: 'a' }), Answered({ id: 'a', n: -1 }), Cancelled({ id: 'a' })])
  await w.settled()
  await w.publish([Answered({ id: 'a', n: -1 }), Cancelled({ id: 'a' })])
  await w.settled()
  assert.deepEqual(await effects(w.app, payments), { 'done a': 1, 'undone a': 1 })
  assert.equal(provider.refunds.size, 1)
  assert.equal(w.saw(Undone).length, 1)
})

test('an event that does not match the pattern of the undo undoes nothing', async () => {
  const payments = paymentsOf(new Provider())
  await using w = await effectWorld([payments])
  await w.publish([Asked({ id: 'a' }), Answered({ id: 'a', n: 1 })])
  await w.settled()
  assert.deepEqual(await effects(w.app, payments), { 'done a': 1 })
})

test('after an undo a second action of the same key is not done', async () => {
  const provider = new Provider()
  const payments = paymentsOf(provider)
  await using w = await effectWorld([payments])
  await w.publish([Asked({ id: 'a' }), Cancelled({ id: 'a' }), Asked({ id: 'a', n: 2 })])
  await w.settled()
  assert.deepEqual(await effects(w.app, payments), { 'done a': 1, 'undone a': 1 })
  assert.equal(provider.charges.size, 1)
})

test('an undo of several actions of a key undoes every one', async () => {
  const provider = new Provider()
  const payments = paymentsOf(provider)
  await using w = await effectWorld([payments])
  await w.publish([Asked({ id: 'a', n: 1 }), Asked({ id: 'a', n: 2 }), Cancelled({ id: 'a' })])
  await w.settled()
  assert.deepEqual(await effects(w.app, payments), { 'done a': 2, 'undone a': 2 })
  assert.equal(provider.charges.size, 2)
  assert.equal(provider.kept, 0)
})

test('an undo that comes while the action is in its call waits for the answer, and then undoes', async () => {
  const provider = new Provider()
  const begun = gate()
  const answer = gate()
  provider.afterCharge = () => {
    begun.open()
    return answer.promise
  }
  const payments = paymentsOf(provider)
  await using w = await effectWorld([payments])
  await w.publish(Asked({ id: 'a' }))
  await begun.promise
  const token = await w.publish(Cancelled({ id: 'a' }))
  assert.equal((await w.app.flow(token.correlationId)).deliveries[0]?.role, 'undo')
  answer.open()
  await w.settled()
  assert.deepEqual(await effects(w.app, payments), { 'done a': 1, 'undone a': 1 })
  assert.equal(provider.kept, 0)
})

test('an undo that comes while the action waits for a retry waits too, and then undoes', async () => {
  const provider = new Provider()
  provider.afterCharge = (times) => {
    if (times < 3) throw new Error('connection lost after the charge')
  }
  const payments = paymentsOf(provider)
  await using w = await effectWorld([payments])
  await w.publish(Asked({ id: 'a' }))
  await w.settled()
  await w.publish(Cancelled({ id: 'a' }))
  await w.settled()
  assert.equal(provider.refunds.size, 0)
  await w.advance('10m')
  assert.deepEqual(await effects(w.app, payments), { 'done a': 1, 'undone a': 1 })
  assert.equal(provider.kept, 0)
})

test('when the action died with its call unsettled, the undo asks again with the same key, and then undoes', async () => {
  const provider = new Provider()
  provider.afterCharge = (times) => {
    if (times < 4) throw new Error('connection lost after the charge')
  }
  const payments = paymentsOf(provider, { retry: { attempts: 2 } })
  await using w = await effectWorld([payments])
  await w.publish(Asked({ id: 'a' }))
  await w.advance('10m')
  assert.equal((await w.app.deadLetters.list()).length, 1)
  assert.equal(provider.kept, 1)
  await w.publish(Cancelled({ id: 'a' }))
  await w.advance('10m')
  assert.deepEqual(await effects(w.app, payments), { 'undone a': 1 })
  assert.equal(provider.charges.size, 1, 'asked with the same key, it was not charged again')
  assert.equal(provider.kept, 0)
  assert.equal(w.saw(Undone).length, 1)
})

test('when the action died after its call was answered, the undo needs not ask again', async () => {
  const provider = new Provider()
  const payments = paymentsOf(provider, { retry: { attempts: 1 } }, () => {
    throw new Error('the handler is broken')
  })
  await using w = await effectWorld([payments])
  await w.publish([Asked({ id: 'a' }), Cancelled({ id: 'a' })])
  await w.settled()
  assert.equal(provider.keys.length, 2, 'a charge and a refund')
  assert.equal(provider.kept, 0)
  assert.deepEqual(await effects(w.app, payments), { 'undone a': 1 })
})

test('redriving a dead action after its undo does nothing', async () => {
  const provider = new Provider()
  let broken = true
  provider.beforeCharge = () => {
    if (broken) throw new NonRetryable('malformed')
  }
  const payments = paymentsOf(provider)
  await using w = await effectWorld([payments])
  await w.publish(Asked({ id: 'a' }))
  await w.settled()
  const [letter] = await w.app.deadLetters.list()
  broken = false
  await w.publish(Cancelled({ id: 'a' }))
  await w.settled()
  assert.equal(provider.kept, 0)
  await w.app.deadLetters.redrive({ id: letter!.id })
  await w.settled()
  assert.equal(provider.kept, 0)
  assert.equal((await effects(w.app, payments))['done a'], undefined)
})

test('redriving a dead action before any undo does it, and a later undo undoes it once', async () => {
  const provider = new Provider()
  let broken = true
  provider.afterCharge = () => {
    if (broken) throw new Error('connection lost after the charge')
  }
  const payments = paymentsOf(provider, { retry: { attempts: 1 } })
  await using w = await effectWorld([payments])
  await w.publish(Asked({ id: 'a' }))
  await w.settled()
  broken = false
  await w.app.deadLetters.redrive({})
  await w.settled()
  await w.publish(Cancelled({ id: 'a' }))
  await w.settled()
  assert.deepEqual(await effects(w.app, payments), { 'done a': 1, 'undone a': 1 })
  assert.equal(provider.charges.size, 1)
  assert.equal(provider.kept, 0)
})

test('a failing undo is tried at least 20 times, and then is a dead letter of its own that health() shows', async () => {
  const provider = new Provider()
  let broken = true
  let refunds = 0
  provider.onRefund = (times) => {
    refunds = times
    if (broken) throw new Error('the provider is down')
  }
  const payments = paymentsOf(provider, { retry: { attempts: 2 } })
  await using w = await effectWorld([payments])
  await w.publish([Asked({ id: 'a' }), Cancelled({ id: 'a' })])
  await w.advance('2h')
  assert.equal(refunds, 20)
  const [letter] = await w.app.deadLetters.list()
  assert.equal(letter?.role, 'undo')
  assert.equal(letter.event?.type, 'cancelled')
  const health = await w.app.health()
  assert.equal(health.ok, false)
  assert.match(health.problems.join('\n'), /payments could not undo 1 effect/)
  broken = false
  await w.app.deadLetters.redrive({ id: letter.id })
  await w.settled()
  assert.equal(provider.kept, 0)
  assert.deepEqual(await effects(w.app, payments), { 'done a': 1, 'undone a': 1 })
  assert.equal((await w.app.health()).ok, true)
})

test('an undo whose handler fails does not make its call again', async () => {
  let refunds = 0
  const payments = service('payments').on(
    Asked,
    {
      undo: {
        on: [Cancelled],
        emits: [Undone],
        call: () => (refunds += 1),
        run: ({ id }, { attempt, result }) => {
          assert.equal(result, 1)
          if (attempt < 3) throw new Error('again')
          return Undone({ id })
        },
      },
    },
    () => {},
  )
  await using w = await lenientWorld([payments])
  await w.publish([Asked({ id: 'a' }), Cancelled({ id: 'a' })])
  await w.advance('10m')
  assert.equal(refunds, 1)
  assert.equal(w.saw(Undone).length, 1)
})
