import assert from 'node:assert/strict'
import { test } from 'node:test'
import { QuadrilleError, sendByKey, type OutgoingMessage } from 'quadrille'

const message = (id: string, key: string) => ({ event: { id, key }, dedupeId: id }) as unknown as OutgoingMessage
const failed = (id: string) => new QuadrilleError('WIRE_SEND_FAILED', { wire: 'test', type: 't', message: id })
const refused = () => new QuadrilleError('WIRE_MESSAGE_REFUSED', { wire: 'test', type: 't', problem: 'too large' })

test('messages of one key are sent one after the other, keys at the same time', async () => {
  const log: string[] = []
  const open = new Map<string, () => void>()
  const sending = sendByKey([message('a1', 'a'), message('b1', 'b'), message('a2', 'a')], ({ event }) => {
    log.push(event.id)
    return new Promise((resolve) => open.set(event.id, () => resolve(null)))
  })
  assert.deepEqual(log, ['a1', 'b1'])
  open.get('a1')!()
  await Promise.resolve()
  await Promise.resolve()
  assert.deepEqual(log, ['a1', 'b1', 'a2'])
  open.get('b1')!()
  open.get('a2')!()
  assert.deepEqual(await sending, [null, null, null])
})

test('behind a message that is to be sent again, the later ones of its key are held, and no others', async () => {
  const sent: string[] = []
  const messages = [message('a1', 'a'), message('a2', 'a'), message('b1', 'b'), message('a3', 'a'), message('b2', 'b')]
  const results = await sendByKey(messages, async ({ event }) => {
    sent.push(event.id)
    return event.id === 'a2' ? failed('a2') : null
  })
  assert.deepEqual(sent.toSorted(), ['a1', 'a2', 'b1', 'b2'])
  assert.deepEqual(
    results.map((error) => error?.code ?? null),
    [null, 'WIRE_SEND_FAILED', null, 'WIRE_SEND_HELD', null],
  )
})

test('behind a message that can never be sent, the later ones of its key go on', async () => {
  const messages = [message('a1', 'a'), message('a2', 'a')]
  const results = await sendByKey(messages, async ({ event }) => (event.id === 'a1' ? refused() : null))
  assert.deepEqual(
    results.map((error) => error?.code ?? null),
    ['WIRE_MESSAGE_REFUSED', null],
  )
})
