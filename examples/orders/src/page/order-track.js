// Draws one order: the verdict, the track of its steps, and what happened, in words.

const euros = new Intl.NumberFormat('en-IE', { style: 'currency', currency: 'EUR' })

/** 12.5 as '€12.50'. */
export const money = (amount) => euros.format(amount)

/** The first characters of an order's number, as people read it to each other. */
export const shortId = (orderId) => orderId.slice(0, 8)

/** An element with attributes and children; text is always text, never markup. */
export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children.filter((child) => child !== null))
  return made
}

const signs = {
  idle: 'M5 8h.01M8 8h.01M11 8h.01',
  busy: 'M8 2a6 6 0 1 1-5.6 3.9',
  good: 'M3 8.5 6.5 12 13 4.5',
  bad: 'M4 4l8 8M12 4l-8 8',
  undo: 'M3 6h7a3.5 3.5 0 0 1 0 7H6M6 3 3 6l3 3',
}

const payment = {
  waiting: ['busy', 'Checking'],
  retrying: ['busy', 'Asking again'],
  paid: ['good', 'Paid'],
  declined: ['bad', 'Declined'],
  refunding: ['busy', 'Giving back'],
  refunded: ['undo', 'Refunded'],
  'not charged': ['undo', 'Not charged'],
}
const stock = {
  waiting: ['busy', 'Checking'],
  retrying: ['busy', 'Trying again'],
  reserved: ['good', 'Reserved'],
  short: ['bad', 'Sold out'],
  releasing: ['busy', 'Putting back'],
  'asked to release': ['undo', 'To be put back'],
  released: ['undo', 'Put back'],
  'not reserved': ['undo', 'Not taken'],
}
const decision = {
  pending: ['idle', 'Open'],
  completed: ['good', 'Completed'],
  cancelled: ['bad', 'Cancelled'],
}
const mail = {
  waiting: ['busy', 'Sending'],
  retrying: ['busy', 'Sending again'],
  'asked to send': ['good', 'Asked to send'],
  sent: ['good', 'Sent'],
  none: ['idle', 'None'],
}
const open = ['idle', 'Waiting']

function looksOf({ status, steps }) {
  return {
    placed: ['Order', 'good', 'Placed'],
    payment: ['Payment', ...payment[steps.payment]],
    stock: ['Stock', ...stock[steps.stock]],
    decision: ['Decision', ...decision[status]],
    mail: ['Mail', ...(status === 'pending' ? open : mail[steps.mail])],
  }
}

/** The steps as a list; the grid puts payment and stock side by side. */
export function drawTrack(order) {
  const steps = Object.entries(looksOf(order)).map(([step, [name, look, state]]) => {
    const sign = element('span', { class: 'sign', 'aria-hidden': 'true' })
    sign.innerHTML = `<svg viewBox="0 0 16 16"><path d="${signs[look]}"/></svg>`
    return element(
      'li',
      { class: `step ${step}`, 'data-look': look },
      sign,
      element('span', { class: 'name' }, name),
      element('span', { class: 'state' }, state),
    )
  })
  return element('ol', { class: 'track', 'aria-label': 'Steps of this order' }, ...steps)
}

/** What the customer needs to know now, in two lines. */
export function verdictOf({ status, reason, steps, settled }) {
  if (status === 'completed')
    return [
      'Completed.',
      steps.mail === 'sent' ? 'Paid and reserved; the mail is out.' : 'Paid and reserved; the mail is on its way.',
    ]
  if (status === 'cancelled') {
    const undone = {
      refunded: 'The money was given back.',
      refunding: 'The money is being given back.',
      'not charged': 'The card was not charged.',
      declined: 'No money was taken.',
    }
    return [`Cancelled: ${reason}.`, undone[steps.payment] ?? (settled ? '' : 'Cleaning up …')]
  }
  const doing = [
    ['waiting', 'retrying'].includes(steps.payment) ? 'the payment' : null,
    ['waiting', 'retrying'].includes(steps.stock) ? 'the stock' : null,
  ].filter(Boolean)
  return [
    'Placed.',
    doing.length > 0 ? `We are checking ${doing.join(' and ')}.` : 'One moment: the decision is being made.',
  ]
}

const stories = {
  'order.created': (data) => [null, '', `took the order over ${money(data.totalAmount)}`],
  'payment.processed': (data) =>
    data.status === 'success'
      ? ['good', 'Paid', `charged ${money(data.amount)}`]
      : ['bad', 'Declined', `could not charge ${money(data.amount)}: ${data.reason}`],
  'payment.refunded': (data) => ['undo', 'Undone', `gave ${money(data.amount)} back`],
  'inventory.updated': (data, nameOf) => [
    'good',
    'Reserved',
    `took ${data.items.map((item) => `${item.quantityReserved} × ${nameOf(item.productId)}`).join(', ')} off the shelf`,
  ],
  'inventory.rejected': (data, nameOf) => [
    'bad',
    'Sold out',
    `has not enough left of ${nameOf(data.productId)}, and took nothing`,
  ],
  'order.completed': () => ['good', 'Completed', 'found it paid and reserved'],
  'order.cancelled': (data) => ['bad', 'Cancelled', `because of: ${data.reason}`],
}

const noteStories = {
  retry: (text) => ['busy', 'Retry', `asks again with the same key; ${text}`],
  'unknown-call': (text) => ['busy', 'No answer', text],
  prevented: () => ['undo', 'Prevented', 'heard of the cancellation in time, and did nothing'],
  deadline: () => ['bad', 'Deadline', 'waited long enough'],
  late: (text) => ['bad', 'Late', text],
  dead: (text) => ['bad', 'Needs a person', text],
  redriven: (text) => ['busy', 'Put back', text],
  discarded: (text) => ['bad', 'Discarded', text],
}

/** What undoing the work of a service means; undone payments tell it themselves, by an event. */
function undoneStory(service, stockWasTaken) {
  return service === 'inventory' && stockWasTaken ? ['undo', 'Undone', 'put everything back on the shelf'] : null
}

/** Events and notes in the order of time, as sentences. */
export function drawStory({ createdAt, events, notes }, nameOf) {
  const stockWasTaken = events.some(({ type }) => type === 'inventory.updated')
  const lines = [
    ...events.map(({ type, service, at, data }) => ({
      at,
      service,
      story: stories[type]?.(data, nameOf) ?? [null, '', type],
    })),
    ...notes.map(({ kind, service, at, text }) => ({
      at,
      service,
      story:
        kind === 'undone' ? undoneStory(service, stockWasTaken) : (noteStories[kind]?.(text) ?? ['busy', kind, text]),
    })),
  ].filter(({ story }) => story !== null)
  const began = Date.parse(createdAt)
  const rows = lines
    .sort((a, b) => Date.parse(a.at) - Date.parse(b.at))
    .map(({ at, service, story: [look, tag, text] }) =>
      element(
        'li',
        {},
        element('time', { datetime: at }, `+${Math.max(0, (Date.parse(at) - began) / 1000).toFixed(2)} s`),
        element('span', { class: 'who' }, service),
        element('span', {}, look ? element('span', { class: 'tag', 'data-look': look }, tag) : null, text),
      ),
    )
  return element('ol', {}, ...rows)
}
