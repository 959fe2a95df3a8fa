import assert from 'node:assert/strict'
import { test } from 'node:test'
import { serialize } from 'pg-protocol'
import { WireMessages, type WireConnection } from '../src/wire-messages.ts'

/** What is written, between cork and uncork. */
function connection(writable = true) {
  const pieces: Buffer[] = []
  let isCorked = false
  const stream: WireConnection['stream'] = {
    writable,
    cork: () => void (isCorked = true),
    uncork: () => void (isCorked = false),
    write: (piece) => {
      assert.ok(isCorked)
      return pieces.push(piece) > 0
    },
  }
  return { stream, pieces, isCorked: () => isCorked }
}

test('the messages of many statements are one piece, in the order of sending, with one sync', () => {
  const messages = new WireMessages()
  const expected: Buffer[] = []
  for (let n = 0; n < 100; n++) {
    messages.parse(`SELECT ${n}, $1`)
    messages.run([`a${n}`], n % 2 === 0)
    expected.push(serialize.parse({ text: `SELECT ${n}, $1` }), serialize.bind({ values: [`a${n}`] }))
    if (n % 2 === 0) expected.push(serialize.describe({ type: 'P' }))
    expected.push(serialize.execute())
  }
  const to = connection()
  messages.sendOver(to)
  assert.equal(to.pieces.length, 1)
  assert.deepEqual(to.pieces[0], Buffer.concat([...expected, serialize.sync()]))
  assert.equal(to.isCorked(), false)
})

test('a long message is a piece of its own, and no piece of several is longer than 64 KiB', () => {
  const texts = [1, 70_000, 30_000, 30_000, 30_000, 200_000, 1].map((length) => 'x'.repeat(length))
  const messages = new WireMessages()
  const expected = texts.flatMap((text) => [serialize.bind({ values: [text] }), serialize.execute()])
  for (const text of texts) messages.run([text])
  const to = connection()
  messages.sendOver(to)
  assert.deepEqual(Buffer.concat(to.pieces), Buffer.concat([...expected, serialize.sync()]))
  assert.deepEqual(
    to.pieces.map(({ length }) => length > 64 * 1024),
    [false, true, false, false, true, false],
  )
})

test('nothing is written to a connection that is over', () => {
  const messages = new WireMessages()
  messages.run([])
  const to = connection(false)
  messages.sendOver(to)
  assert.deepEqual(to.pieces, [])
})
