/** S6, S7, S8, S13, S14, S21: what is done is undone, not before it was done, and not done twice. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import { service } from '../../src/service/index.ts'
import { call, codesOf, findingsOf, flow, plain, run } from './dance.ts'

const [Asked, Confirmed, Cancelled] = [plain('trip.asked'), plain('trip.confirmed'), plain('trip.cancelled')]
const [Flight, NoFlight] = [plain('flight.booked'), plain('flight.rejected')]
const Done = plain('done')
const [Hotel, NoHotel] = [plain('hotel.booked'), plain('hotel.rejected')]
const ends = [Asked, Confirmed, Cancelled] as const

const trips = () =>
  service('trips')
    .all([Flight, Hotel], { emits: [Confirmed] }, run)
    .on(NoFlight, { emits: [Cancelled] }, run)
    .on(NoHotel, { emits: [Cancelled] }, run)
    .deadline(Asked, { unless: [Confirmed, Cancelled], within: '1h', emits: [Cancelled] }, run)
const hotels = () =>
  service('hotels').on(Asked, { emits: [Hotel, NoHotel], call, undo: { on: [Cancelled], call, run } }, run)
const flights = (undo: readonly (typeof Asked)[] = [Cancelled]) =>
  service('flights').on(Asked, { name: 'book', emits: [Flight, NoFlight], call, undo: { on: undo, call, run } }, run)
const bare = () => service('flights').on(Asked, { name: 'book', emits: [Flight, NoFlight], call }, run)

test('S6: an undo that does not cover every way to fail', () => {
  assert.deepEqual(codesOf(flow([trips(), hotels(), flights()], ends)), [])
  const [finding, more] = findingsOf(flow([trips(), hotels(), flights([NoHotel])], ends))
  assert.equal(more, undefined)
  assert.equal(finding?.code, 'S6')
  assert.match(finding.message, /^flights\/book is undone by hotel\.rejected, but .* trip\.cancelled without it/)
  assert.match(finding.sequence.join('\n'), /the time of trips\/deadline of trip\.asked is over/)
})

test('S6: silent when every way to fail is covered one by one, in a row, and when failure ends it at once', () => {
  const Late = plain('trip.late')
  const each = service('trips')
    .all([Flight, Hotel], { emits: [Confirmed] }, run)
    .deadline(Asked, { unless: [Confirmed, NoFlight, NoHotel], within: '1h', emits: [Late] }, run)
  const oneByOne = flow(
    [each, hotelsOn([NoFlight, Late]), flights([NoHotel, Late])],
    [Asked, Confirmed, NoFlight, NoHotel, Late],
  )
  assert.deepEqual(codesOf(oneByOne), [])
  const inARow = service('trips')
    .on(Hotel, { emits: [Confirmed] }, run)
    .on(NoFlight, { emits: [Cancelled] }, run)
    .on(NoHotel, { emits: [Cancelled] }, run)
    .deadline(Asked, { unless: [Confirmed, Cancelled], within: '1h', emits: [Cancelled] }, run)
  const hotelAfter = service('hotels').on(Flight, { emits: [Hotel, NoHotel], undo: { on: [Cancelled], run } }, run)
  assert.deepEqual(codesOf(flow([inARow, hotelAfter, flights()], ends)), [])
})

const hotelsOn = (on: readonly (typeof Asked)[]) =>
  service('hotels').on(Asked, { emits: [Hotel, NoHotel], call, undo: { on, call, run } }, run)

test('S6: what takes something by its name, and nobody gives it back', () => {
  const [finding] = findingsOf(flow([trips(), hotels(), bare()], ends))
  assert.equal(finding?.code, 'S6')
  assert.match(finding.message, /^flights\/book takes something, by its name/)
})

test('S6: silent for what only asks, and for the last step, after which nothing fails', () => {
  const [Checked, Suspected] = [plain('fraud.checked'), plain('fraud.suspected')]
  const fraud = service('fraud').on(Asked, { name: 'check', emits: [Checked, Suspected], call }, run)
  const decide = service('trips')
    .all([Flight, Checked], { emits: [Confirmed] }, run)
    .on(NoFlight, { emits: [Cancelled] }, run)
    .on(Suspected, { emits: [Cancelled] }, run)
    .deadline(Asked, { unless: [Confirmed, Cancelled], within: '1h', emits: [Cancelled] }, run)
  assert.deepEqual(codesOf(flow([fraud, flights(), decide], ends)), [])
  const pivot = service('trips')
    .on(Flight, { emits: [Confirmed] }, run)
    .on(NoFlight, { emits: [Cancelled] }, run)
    .deadline(Asked, { unless: [Confirmed, Cancelled], within: '1h', emits: [Cancelled] }, run)
  assert.deepEqual(codesOf(flow([pivot, bare()], ends)), [])
})

test('S7 and S8: a reaction that takes back what may not have been done yet', () => {
  const local = service('seats')
    .on(Asked, { name: 'reserve', emits: [Flight, NoFlight] }, run)
    .on(NoHotel, { name: 'free' }, run)
  const [seven] = findingsOf(flow([trips(), hotels(), local], ends))
  assert.equal(seven?.code, 'S7')
  assert.match(seven.message, /^seats\/free may come before seats\/reserve \(hotel\.rejected does not wait for it\)/)
  const outside = bare().on(Cancelled, { name: 'cancel the booking', call }, run)
  assert.deepEqual(codesOf(flow([trips(), hotels(), outside], ends)), ['S8'])
})

test('S7 and S8: silent when it can only come afterwards', () => {
  // In a row: the hotel is asked only when there is a flight.
  const decide = service('trips')
    .on(Hotel, { emits: [Confirmed] }, run)
    .on(NoFlight, { emits: [Cancelled] }, run)
    .on(NoHotel, { emits: [Cancelled] }, run)
    .deadline(Asked, { unless: [Confirmed, Cancelled], within: '1h', emits: [Cancelled] }, run)
  const after = service('hotels').on(Flight, { emits: [Hotel, NoHotel], undo: { on: [Cancelled], run } }, run)
  const handed = bare().on(NoHotel, { name: 'give back', call }, run)
  assert.deepEqual(codesOf(flow([decide, after, handed], ends)), [])
  // A join of the two: it waits for the booking.
  const joined = bare().all([Flight, Cancelled], { name: 'give back', emits: [plain('refund.asked')] }, run)
  assert.deepEqual(codesOf(flow([trips(), hotels(), joined], ends)), [])
  // Asked for by a service that hears of the booking, also when it comes too late.
  const Back = plain('flight.back.asked')
  const told = service('trips')
    .all([Flight, Hotel], { emits: [Confirmed] }, run)
    .on(NoFlight, { emits: [Cancelled] }, run)
    .on(NoHotel, { emits: [Cancelled, Back] }, run)
    .deadline(Asked, { unless: [Confirmed, Cancelled], within: '1h', emits: [Cancelled, Back] }, run)
  const back = () => bare().on(Back, { name: 'give back', call }, run)
  assert.deepEqual(codesOf(flow([told, hotels(), back()], ends)), ['S8'], 'a late booking is never given back')
  const late = told.on(Flight, { name: 'too late', emits: [Back] }, run)
  assert.deepEqual(codesOf(flow([late, hotels(), back()], ends)), [])
})

test('S7 and S8: silent beside the undo, for a log, and for a view', () => {
  const logged = flights().on(Cancelled, { name: 'log it' }, run)
  assert.deepEqual(codesOf(flow([trips(), hotels(), logged], ends)), [])
  const undone = flights().on(Cancelled, { name: 'count' }, run)
  assert.deepEqual(codesOf(flow([trips(), hotels(), undone], ends)), [])
  const view = service('board').on(Asked, run).on(Flight, run).on(Cancelled, run)
  assert.deepEqual(codesOf(flow([trips(), hotels(), flights(), view], ends)), [])
  const mails = service('mails').on(Asked, { call }, run).on(Confirmed, { call }, run).on(Cancelled, { call }, run)
  assert.deepEqual(codesOf(flow([trips(), hotels(), flights(), mails], ends)), [])
})

const bank = { pay: async (order: object, key?: unknown): Promise<object> => ({ order, key }) }

test('S13: a call that hands no key on; silent with one, for a question, and for a stub', () => {
  const paying = (given: (order: { orderId: string }, context: { idempotencyKey: string }) => unknown, name = 'pay') =>
    flow([service('s').on(Asked, { name, emits: [Done], call: given }, run)], [Asked, Done])
  const [finding] = findingsOf(paying((order) => bank.pay(order)))
  assert.equal(finding?.code, 'S13')
  assert.equal(finding.severity, 'error')
  assert.deepEqual(codesOf(paying((order, { idempotencyKey }) => bank.pay(order, idempotencyKey))), [])
  assert.deepEqual(codesOf(paying((order) => bank.pay(order, { key: order.orderId }))), [])
  assert.deepEqual(codesOf(paying((order) => bank.pay(order), 'look up the price')), [])
  assert.deepEqual(codesOf(paying(async () => ({ ok: true }))), [])
  const [warning] = findingsOf(paying((order) => bank.pay(order), 'do it'))
  assert.equal(warning?.severity, 'warning')
})

test('S13: also the call of an undo', () => {
  const undo = { on: [Cancelled], call: (order: object) => bank.pay(order), run }
  const booked = service('flights').on(Asked, { name: 'book', emits: [Flight, NoFlight], call, undo }, run)
  const [finding] = findingsOf(flow([trips(), hotels(), booked], ends))
  assert.equal(finding?.code, 'S13')
  assert.match(finding.message, /^The call of the undo of flights\/book/)
})

test('S14: an error that becomes a result; silent when it is thrown on', () => {
  const charged = async (order: object, { idempotencyKey }: { idempotencyKey: string }) => {
    try {
      return await bank.pay(order, idempotencyKey)
    } catch {
      return { status: 'failed' }
    }
  }
  const careful = async (order: object, { idempotencyKey }: { idempotencyKey: string }) => {
    try {
      return await bank.pay(order, idempotencyKey)
    } catch (error) {
      if ((error as { declined?: boolean }).declined) return { status: 'failed' }
      throw error
    }
  }
  const paying = (given: typeof charged, name = 'pay') =>
    flow([service('s').on(Asked, { name, emits: [Confirmed], call: given }, run)], [Asked, Confirmed])
  assert.deepEqual(codesOf(paying(charged)), ['S14'])
  assert.deepEqual(codesOf(paying(careful)), [])
  assert.deepEqual(codesOf(paying(charged, 'check the address')), [])
})

test('S21: an undo that is tried once; silent with more attempts, or when the key waits', () => {
  const with_ = (policy: object) =>
    service('flights', policy).on(
      Asked,
      { name: 'book', emits: [Flight, NoFlight], call, undo: { on: [Cancelled], call, run } },
      run,
    )
  const codes = (policy: object) => codesOf(flow([trips(), hotels(), with_(policy)], ends))
  assert.deepEqual(codes({ retry: { attempts: 1 } }), ['S21'])
  assert.deepEqual(codes({ retry: { attempts: 3 } }), [])
  assert.deepEqual(codes({ retry: { attempts: 1 }, onDead: 'hold' }), [])
})
