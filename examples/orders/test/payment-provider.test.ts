import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isNonRetryable } from 'quadrille'
import { httpGateway } from '../src/payment-provider/gateway.ts'
import { startProvider, type ProviderTotals } from '../src/payment-provider/provider-server.ts'
import { calm, troubleBySeed, type Trouble, type TroublePlan } from '../src/payment-provider/trouble.ts'
import { calling } from './tables.ts'

async function open(t: TestContext, trouble: TroublePlan = calm, file = ':memory:') {
  const provider = await startProvider({ file, trouble, slowMs: 30 })
  t.after(() => provider.close())
  const totals = async () => (await (await fetch(`${provider.url}/totals`)).json()) as ProviderTotals
  return { provider, totals, gateway: httpGateway(provider.url) }
}

/** Trouble at the first try of everything, none afterwards. */
const atFirst = (trouble: Trouble): TroublePlan => ({
  declines: () => false,
  troubleOf: ({ attempt }) => (attempt === 1 ? trouble : 'none'),
})

const payment = { orderId: 'o-1', customerId: 'ada', amount: 12.5 }

test('the same key charges once and gets the same answer, also after a restart', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'quadrille-provider-'))
  t.after(() => rm(folder, { recursive: true }))
  const file = join(folder, 'provider.db')
  const before = await startProvider({ file, trouble: calm })
  const first = await httpGateway(before.url).charge({ ...payment, ...calling('k') })
  await before.close()
  const { gateway, totals } = await open(t, calm, file)
  assert.deepEqual(await gateway.charge({ ...payment, ...calling('k') }), first)
  assert.deepEqual(await totals(), { chargedMinor: 1250, refundedMinor: 0, declined: 0, repeats: 1 })
})

test('the same key with another request is refused for good', async (t) => {
  const { gateway, totals } = await open(t)
  await gateway.charge({ ...payment, ...calling('k') })
  await assert.rejects(gateway.charge({ ...payment, amount: 13, ...calling('k') }), (error) => isNonRetryable(error))
  assert.equal((await totals()).chargedMinor, 1250)
})

test('another key charges again: the provider is no safety net for a wrong key', async (t) => {
  const { gateway, totals } = await open(t)
  await gateway.charge({ ...payment, ...calling('k') })
  await gateway.charge({ ...payment, ...calling('l') })
  assert.equal((await totals()).chargedMinor, 2500)
})

test('a declined card is an answer, and the same one when asked again', async (t) => {
  const { gateway, totals } = await open(t, { ...calm, declines: () => true })
  const answer = await gateway.charge({ ...payment, ...calling('k') })
  assert.equal(answer.status, 'declined')
  assert.deepEqual(await gateway.charge({ ...payment, ...calling('k') }), answer)
  assert.equal((await totals()).chargedMinor, 0)
})

for (const [trouble, moved] of [
  ['refused before', 0],
  ['error after', 1250],
  ['dropped after', 1250],
] as const) {
  test(`'${trouble}': the call fails, ${moved > 0 ? 'though' : 'and'} ${moved} cents have moved, and asking again settles it`, async (t) => {
    const { gateway, totals } = await open(t, atFirst(trouble))
    await assert.rejects(gateway.charge({ ...payment, ...calling('k') }), (error) => !isNonRetryable(error))
    assert.equal((await totals()).chargedMinor, moved)
    const { chargeId } = await gateway.charge({ ...payment, ...calling('k') })
    await assert.rejects(gateway.refund({ chargeId, amount: 12.5, ...calling('r') }))
    assert.equal((await totals()).refundedMinor, moved)
    await gateway.refund({ chargeId, amount: 12.5, ...calling('r') })
    assert.deepEqual(await totals(), { chargedMinor: 1250, refundedMinor: 1250, declined: 0, repeats: 2 })
  })
}

test('a slow answer is only late; a caller who has gone away can ask again', async (t) => {
  const { gateway, totals } = await open(t, atFirst('slow'))
  const gone = AbortSignal.timeout(5)
  await assert.rejects(gateway.charge({ ...payment, idempotencyKey: 'k', signal: gone }))
  await gateway.charge({ ...payment, ...calling('k') })
  assert.equal((await totals()).chargedMinor, 1250)
})

test('a request without a key, with a wrong body or for an unknown charge is refused', async (t) => {
  const { provider, gateway } = await open(t)
  const post = (path: string, body: string, headers = {}) =>
    fetch(provider.url + path, { method: 'POST', body, headers })
  assert.equal((await post('/charges', JSON.stringify({ orderId: 'o', customerId: 'c', amountMinor: 1 }))).status, 400)
  assert.equal((await post('/charges', 'nonsense', { 'idempotency-key': 'k' })).status, 400)
  assert.equal(
    (await post('/charges', JSON.stringify({ orderId: 'o', customerId: 'c', amountMinor: 0.5 }))).status,
    400,
  )
  await assert.rejects(gateway.refund({ chargeId: 'nobody', amount: 1, ...calling('r') }), (error) =>
    isNonRetryable(error),
  )
})

test('trouble is drawn by seed: the same in every run, and of every kind', () => {
  const draws = (seed: number) =>
    Array.from({ length: 400 }, (_, i) =>
      troubleBySeed(seed).troubleOf({ operation: 'charge', subject: `o-${i}`, attempt: 1 }),
    )
  assert.deepEqual(draws(3), draws(3))
  assert.notDeepEqual(draws(3), draws(4))
  assert.deepEqual(new Set(draws(3)), new Set(['none', 'slow', 'refused before', 'error after', 'dropped after']))
  const declined = Array.from({ length: 1_000 }, (_, i) => troubleBySeed(3).declines(`o-${i}`)).filter(Boolean).length
  assert.ok(declined > 70 && declined < 130, `${declined} of 1000 were declined`)
})
