/** Correct choreographies of many kinds: nothing may be found in any of them. */
import { test } from 'node:test'
import assert from 'node:assert/strict'
import * as z from 'zod'
import * as v from 'valibot'
import { type } from 'arktype'
import { event, type AnyContract } from '../../src/contracts/index.ts'
import { choreography, service, type Choreography } from '../../src/service/index.ts'
import { check } from '../../src/check/index.ts'

const run = () => {}
const call = async (_: unknown, { idempotencyKey }: { idempotencyKey: string }) => ({ id: idempotencyKey })
const keyed = (key: string) => (name: string) =>
  event(name, { key: key as 'id', schema: z.object({ [key]: z.string() }) as never }) as AnyContract

const controls: Record<string, () => Choreography> = {
  'a pipeline whose services end it themselves'() {
    const e = keyed('orderId')
    const [Placed, Reserved, Short, Shipped, TimedOut] = [
      'order.placed',
      'stock.reserved',
      'stock.short',
      'order.shipped',
      'order.timed-out',
    ].map(e)
    const Payment = event('payment.taken', {
      key: 'orderId',
      schema: z.object({ orderId: z.string(), ok: z.boolean() }),
    })
    const [Paid, Declined] = [Payment.where({ ok: true }), Payment.where({ ok: false })]
    const stock = service('stock').on(
      Placed!,
      { name: 'reserve', emits: [Reserved!, Short!], undo: { on: [Declined, TimedOut!], run } },
      run,
    )
    const payments = service('payments').on(
      Reserved!,
      { name: 'take', emits: [Payment], call, undo: { on: [TimedOut!], call, run } },
      run,
    )
    const shipping = service('shipping').on(Paid, { name: 'pack', emits: [Shipped!] }, run)
    const watch = service('watch').deadline(
      Placed!,
      { unless: [Shipped!, Short!, Declined], within: '1h', emits: [TimedOut!] },
      run,
    )
    return choreography('pipeline', {
      services: [stock, payments, shipping, watch],
      starts: [Placed!],
      ends: { success: [Shipped!], failure: [Short!, Declined, TimedOut!] },
    })
  },

  'commands that are sent together, and joined'() {
    const e = keyed('tripId')
    const [Asked, BookFlight, BookHotel, Flight, Hotel, NoFlight, NoHotel, Booked, Failed] = [
      'trip.asked',
      'book.flight',
      'book.hotel',
      'flight.booked',
      'hotel.booked',
      'flight.full',
      'hotel.full',
      'trip.booked',
      'trip.failed',
    ].map(e)
    const trips = service('trips')
      .on(Asked!, { emits: [BookFlight!, BookHotel!] }, run)
      .all([Flight!, Hotel!], { emits: [Booked!] }, run)
      .on(NoFlight!, { emits: [Failed!] }, run)
      .on(NoHotel!, { emits: [Failed!] }, run)
      .deadline(Asked!, { unless: [Booked!, Failed!], within: '30m', emits: [Failed!] }, run)
    const flights = service('flights').on(
      BookFlight!,
      { emits: [Flight!, NoFlight!], call, undo: { on: [Failed!], call, run } },
      run,
    )
    const hotels = service('hotels').on(
      BookHotel!,
      { emits: [Hotel!, NoHotel!], call, undo: { on: [Failed!], call, run } },
      run,
    )
    return choreography('trip', {
      services: [trips, flights, hotels],
      starts: [Asked!],
      ends: { success: [Booked!], failure: [Failed!] },
      within: '30m',
    })
  },

  'a retry that counts, and gives up'() {
    const e = keyed('orderId')
    const [Placed, Again, Completed, Cancelled] = [
      'order.placed',
      'payment.retry',
      'order.completed',
      'order.cancelled',
    ].map(e)
    const Payment = event('payment.processed', {
      key: 'orderId',
      schema: v.object({ orderId: v.string(), status: v.picklist(['success', 'failed']), attempt: v.number() }),
    })
    const charge = { emits: [Payment], call, undo: { on: [Cancelled!], call, run } } as const
    const payments = service('payments').on(Placed!, charge, run).on(Again!, charge, run)
    const orders = service('orders')
      .on(Payment.where({ status: 'success' }), { emits: [Completed!] }, run)
      .on(Payment.where({ status: 'failed' }), { emits: [Again!, Cancelled!] }, run)
      .deadline(Placed!, { unless: [Completed!, Cancelled!], within: '1h', emits: [Cancelled!] }, run)
    return choreography('retries', {
      services: [payments, orders],
      starts: [Placed!],
      ends: { success: [Completed!], failure: [Cancelled!] },
    })
  },

  'signing up, with a link that is clicked later'() {
    const e = keyed('userId')
    const [SignedUp, Clicked, Active, Expired] = ['user.signed-up', 'link.clicked', 'user.active', 'user.expired'].map(
      e,
    )
    const users = service('users')
      .all([SignedUp!, Clicked!], { name: 'activate', emits: [Active!] }, run)
      .deadline(SignedUp!, { unless: [Active!], within: '7d', emits: [Expired!] }, run)
    const mails = service('mails')
      .on(SignedUp!, { name: 'send the confirmation link', call }, run)
      .on(Active!, { name: 'welcome', call }, run)
    return choreography('sign-up', {
      services: [users, mails],
      starts: [SignedUp!, Clicked!],
      ends: { success: [Active!], failure: [Expired!] },
      within: '7d',
    })
  },

  'the same with a reaction instead of a join'() {
    const e = keyed('userId')
    const [SignedUp, Clicked, Active, Expired] = ['user.signed-up', 'link.clicked', 'user.active', 'user.expired'].map(
      e,
    )
    const users = service('users')
      .on(Clicked!, { name: 'activate', emits: [Active!] }, run)
      .deadline(SignedUp!, { unless: [Active!], within: '7d', emits: [Expired!] }, run)
    const mails = service('mails').on(SignedUp!, { call }, run)
    return choreography('sign-up', {
      services: [users, mails],
      starts: [SignedUp!, Clicked!],
      ends: { success: [Active!], failure: [Expired!] },
      within: '7d',
    })
  },

  'a person who decides, and a partner who answers'() {
    const e = keyed('claimId')
    const [Filed, ReviewAsked, Approved, Rejected, PayAsked, Paid, Closed] = [
      'claim.filed',
      'review.asked',
      'claim.approved',
      'claim.rejected',
      'payout.asked',
      'payout.done',
      'claim.closed',
    ].map(e)
    const claims = service('claims')
      .on(Filed!, { emits: [ReviewAsked!] }, run)
      .on(Approved!, { emits: [PayAsked!] }, run)
      .on(Paid!, { emits: [Closed!] }, run)
      .deadline(Filed!, { unless: [Closed!, Rejected!], within: '30d', emits: [Rejected!] }, run)
    return choreography('claim', {
      services: [claims],
      starts: [Filed!],
      ends: { success: [Closed!], failure: [Rejected!] },
      external: [
        { name: 'clerk', consumes: [ReviewAsked!], emits: [Approved!, Rejected!] },
        { name: 'bank', consumes: [PayAsked!], emits: [Paid!] },
      ],
    })
  },

  'polling with a pause'() {
    const e = keyed('jobId')
    const [Submitted, Pending, Due, Done, Failed] = [
      'job.submitted',
      'job.pending',
      'poll.due',
      'job.done',
      'job.failed',
    ].map(e)
    const poll = { emits: [Pending!, Done!], call } as const
    const jobs = service('jobs')
      .on(Submitted!, { name: 'ask for the first time', ...poll }, run)
      .on(Due!, { name: 'ask again', ...poll }, run)
      .deadline(Pending!, { name: 'pause', unless: [Done!, Failed!], within: '1m', emits: [Due!] }, run)
      .deadline(Submitted!, { name: 'give up', unless: [Done!], within: '1h', emits: [Failed!] }, run)
    return choreography('jobs', {
      services: [jobs],
      starts: [Submitted!],
      ends: { success: [Done!], failure: [Failed!] },
      within: '1h',
    })
  },

  'authorise first, capture at the end'() {
    const e = keyed('orderId')
    const [Placed, Authorised, Refused, Packed, Missing, Completed, Cancelled, Captured] = [
      'order.placed',
      'card.authorised',
      'card.refused',
      'parcel.packed',
      'parcel.missing',
      'order.completed',
      'order.cancelled',
      'card.captured',
    ].map(e)
    const cards = service('cards')
      .on(
        Placed!,
        { name: 'authorise', emits: [Authorised!, Refused!], call, undo: { on: [Cancelled!], call, run } },
        run,
      )
      .on(Completed!, { name: 'capture', emits: [Captured!], call }, run)
    const warehouse = service('warehouse').on(
      Authorised!,
      { name: 'pack', emits: [Packed!, Missing!], undo: { on: [Cancelled!], run } },
      run,
    )
    const orders = service('orders')
      .on(Packed!, { emits: [Completed!] }, run)
      .on(Refused!, { emits: [Cancelled!] }, run)
      .on(Missing!, { emits: [Cancelled!] }, run)
      .deadline(Placed!, { unless: [Completed!, Cancelled!], within: '2h', emits: [Cancelled!] }, run)
    return choreography('cards', {
      services: [cards, warehouse, orders],
      starts: [Placed!],
      ends: { success: [Completed!], failure: [Cancelled!] },
      within: '2h',
    })
  },

  'sensors, in batches, with nothing that can fail'() {
    const Read = event('sensor.read', { key: 'sensorId', schema: type({ sensorId: 'string', value: 'number' }) })
    const Stored = event('reading.stored', { key: 'sensorId', schema: type({ sensorId: 'string' }) })
    const store = service('store').on(Read, { batch: { size: 100, within: '1s' }, emits: [Stored] }, run)
    const view = service('view').on(Read, { coalesce: { within: '5s' } }, run)
    const alarm = service('alarm').on(Read, { filter: ({ value }) => value > 100, call }, run)
    return choreography('sensors', { services: [store, view, alarm], starts: [Read], ends: { success: [Stored] } })
  },

  'two ways to succeed, and narrowed ends'() {
    const Ended = event('visit.ended', {
      key: 'visitId',
      schema: z.object({ visitId: z.string(), how: z.enum(['bought', 'left', 'banned']) }),
    })
    const e = keyed('visitId')
    const [Entered, Asked] = ['visit.entered', 'help.asked'].map(e)
    const shop = service('shop')
      .on(Entered!, { emits: [Asked!, Ended] }, run)
      .on(Asked!, { emits: [Ended] }, run)
      .deadline(Entered!, { unless: [Ended], within: '1h', emits: [Ended] }, run)
    return choreography('visit', {
      services: [shop],
      starts: [Entered!],
      ends: {
        success: [Ended.where({ how: 'bought' }), Ended.where({ how: 'left' })],
        failure: [Ended.where({ how: 'banned' })],
      },
    })
  },

  'a subscription that renews itself'() {
    const e = keyed('subscriptionId')
    const [Started, Renewed, Ended] = ['subscription.started', 'subscription.renewed', 'subscription.ended'].map(e)
    const subscriptions = service('subscriptions')
      .on(Started!, { emits: [Renewed!] }, run)
      .deadline(Renewed!, { name: 'next month', unless: [Ended!], within: '30d', emits: [Renewed!, Ended!] }, run)
    return choreography('subscription', { services: [subscriptions], starts: [Started!], ends: { success: [Ended!] } })
  },

  'placed over the web or by telephone, through app.transact'() {
    const e = keyed('orderId')
    const [Web, Phone, Accepted, Refused, Shipped] = [
      'web.ordered',
      'phone.ordered',
      'order.accepted',
      'order.refused',
      'order.shipped',
    ].map(e)
    const orders = service('orders')
      .on(Web!, { emits: [Accepted!, Refused!] }, run)
      .on(Phone!, { emits: [Accepted!] }, run)
      .on(Accepted!, { emits: [Shipped!] }, run)
      .deadline(Web!, { unless: [Shipped!, Refused!], within: '1d', emits: [Refused!] }, run)
      .deadline(Phone!, { unless: [Shipped!, Refused!], within: '1d', emits: [Refused!] }, run)
    return choreography('ordering', {
      services: [orders],
      starts: [Web!, Phone!],
      ends: { success: [Shipped!], failure: [Refused!] },
      within: '1d',
    })
  },

  'outcomes as one type with a status, and views and mails beside'() {
    const e = keyed('loanId')
    const Scored = event('loan.scored', {
      key: 'loanId',
      schema: z.object({ loanId: z.string(), grade: z.enum(['a', 'b', 'c']) }),
    })
    const [Applied, Granted, Denied] = ['loan.applied', 'loan.granted', 'loan.denied'].map(e)
    const scoring = service('scoring').on(Applied!, { name: 'score', emits: [Scored], call }, run)
    const loans = service('loans')
      .on(Scored.where({ grade: 'a' }), { emits: [Granted!] }, run)
      .on(Scored.where({ grade: 'b' }), { emits: [Granted!, Denied!] }, run)
      .on(Scored.where({ grade: 'c' }), { emits: [Denied!] }, run)
      .deadline(Applied!, { unless: [Granted!, Denied!], within: '1d', emits: [Denied!] }, run)
    const mails = service('mails')
      .on(Applied!, { name: 'we have it', call }, run)
      .on(Granted!, { call }, run)
      .on(Denied!, { call }, run)
    const view = service('loan-view').on(Applied!, run).on(Scored, run).on(Granted!, run).on(Denied!, run)
    const stats = service('statistics').on(Scored, { emits: [e('grade.counted')] }, run)
    return choreography('loan', {
      services: [scoring, loans, mails, view, stats],
      starts: [Applied!],
      ends: { success: [Granted!], failure: [Denied!] },
      within: '1d',
    })
  },
}

for (const [name, make] of Object.entries(controls)) {
  test(`silent: ${name}`, () => {
    const said = check(make()).findings.map(({ code, message }) => `${code}: ${message}`)
    assert.deepEqual(said, [])
  })
}
