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

test('where few events are for the reader more are looked at, up to the most, and no more once a batch is full before the end', () => {
  const size = new BatchSize(300)
  assert.equal(size.page, 64)
  size.looked({ events: 64, concerned: 33, isFull: true })
  assert.equal(size.page, 64, 'half of a batch and more is enough')
  size.looked({ events: 20, concerned: 0, isFull: false })
  assert.equal(size.page, 64, 'there are no more')
  size.looked({ events: 64, concerned: 32, isFull: true })
  assert.equal(size.page, 128)
  for (let i = 0; i < 3; i++) size.looked({ events: size.page, concerned: 0, isFull: true })
  assert.equal(size.page, 300)
  assert.equal(size.next, 64, 'what was passed over says nothing of how long handling takes')
  size.looked({ events: 90, concerned: 64, isFull: false })
  assert.equal(size.page, 90)
  size.looked({ events: 64, concerned: 64, isFull: false })
  size.took(64, 5)
  assert.equal(size.page, 128, 'never less than a batch')
})
