import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BatchSize } from '../../src/runtime/batch-size.ts'

test('batches grow while they are full and short, up to the most that is allowed', () => {
  const size = new BatchSize(200)
  assert.equal(size.next, 64)
  size.took(64, 14)
  assert.equal(size.next, 128)
  size.took(127, 14)
  assert.equal(size.next, 128, 'not full')
  size.took(128, 14)
  assert.equal(size.next, 200)
})

test('with one writer at a time a long batch is halved, down to a single event', () => {
  const size = new BatchSize(1_000)
  for (let i = 0; i < 10; i++) size.took(64, 41)
  assert.equal(size.next, 1)
})

test('on a server a batch that waits for it is not long so soon, and stays worth its round trips', () => {
  const size = new BatchSize(1_000, true)
  size.took(64, 99)
  assert.equal(size.next, 128)
  size.took(128, 250)
  assert.equal(size.next, 128)
  for (let i = 0; i < 10; i++) size.took(128, 251)
  assert.equal(size.next, 32)
  const small = new BatchSize(10, true)
  for (let i = 0; i < 10; i++) small.took(10, 251)
  assert.equal(small.next, 10)
})

test('a batch that has collided is followed by a smaller one, down to a single event, and they grow again', () => {
  const size = new BatchSize(1_000, true)
  size.collided()
  assert.equal(size.next, 32)
  for (let i = 0; i < 9; i++) size.collided()
  assert.equal(size.next, 1)
  size.took(1, 5)
  assert.equal(size.next, 2)
})
