// Places orders and follows one of them live. No library and no build: what you read is what runs.
import { drawStory, drawTrack, element, money, shortId, verdictOf } from './order-track.js'

const byId = (id) => document.getElementById(id)
const recentEveryMs = 2_000

// ---- The form

const form = byId('order-form')
const amounts = () => [...form.querySelectorAll('.amount input')]
const chosen = () => amounts().filter((input) => Number(input.value) > 0)

const names = new Map()
const nameOf = (productId) => names.get(productId) ?? productId

async function showProducts() {
  const { products } = await (await fetch('/products')).json()
  for (const { productId, name } of products) names.set(productId, name)
  byId('products').replaceChildren(
    ...products.map(({ productId, name, price }) => {
      const input = element('input', {
        type: 'number',
        id: `amount-${productId}`,
        min: '0',
        max: '100',
        value: '0',
        inputmode: 'numeric',
        'data-product': productId,
        'data-price': price,
      })
      const change = (by) => () => {
        input.value = Math.min(100, Math.max(0, Number(input.value) + by))
        showTotal()
      }
      const less = element('button', { type: 'button', 'aria-label': `One ${name} less` }, '−')
      const more = element('button', { type: 'button', 'aria-label': `One ${name} more` }, '+')
      less.addEventListener('click', change(-1))
      more.addEventListener('click', change(1))
      return element(
        'li',
        {},
        element('label', { class: 'name', for: input.id }, name),
        element('span', { class: 'amount' }, less, input, more),
        element('span', { class: 'price' }, money(price)),
      )
    }),
  )
}

function showTotal() {
  let cents = 0
  for (const input of amounts()) {
    cents += Math.round(input.dataset.price * 100) * Number(input.value)
    input.closest('li').classList.toggle('chosen', Number(input.value) > 0)
  }
  byId('total').value = money(cents / 100)
}

function fillIn() {
  for (const input of amounts()) input.value = Math.random() < 0.3 ? 1 + Math.floor(Math.random() * 2) : 0
  if (chosen().length === 0) amounts()[0].value = 1
  byId('customer').value = `customer-${1 + Math.floor(Math.random() * 97)}`
  showTotal()
}

/** Problems come as a list of paths and messages, and are shown where they belong. */
function showErrors(errors) {
  const box = byId('form-errors')
  byId('customer').setAttribute('aria-invalid', String(errors.some(({ path }) => path === 'customerId')))
  box.hidden = errors.length === 0
  const labels = { customerId: 'Customer', items: 'Products' }
  box.replaceChildren(
    element(
      'ul',
      {},
      ...errors.map(({ path, message }) => element('li', {}, `${labels[path] ?? 'Order'}: ${message}`)),
    ),
  )
  if (errors.length > 0) box.focus()
}

// A key for each order, not for each click: when the answer is lost, the same order is sent again, not a second one.
let orderKey = crypto.randomUUID()

async function placeOrder(event) {
  event.preventDefault()
  showErrors([])
  const button = form.querySelector('.primary')
  button.disabled = true
  try {
    const items = chosen().map((input) => ({ productId: input.dataset.product, quantity: Number(input.value) }))
    const response = await fetch('/orders', {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': orderKey },
      body: JSON.stringify({ customerId: byId('customer').value.trim(), items }),
    })
    const answer = await response.json()
    if (!response.ok) return showErrors(answer.errors ?? [{ path: '', message: answer.detail ?? answer.title }])
    orderKey = crypto.randomUUID()
    for (const input of amounts()) input.value = 0
    showTotal()
    location.hash = answer.orderId
    byId('follow').focus({ preventScroll: matchMedia('(min-width: 960px)').matches })
  } catch {
    showErrors([{ path: '', message: 'The shop does not answer. Try again: you will not order twice.' }])
  } finally {
    button.disabled = false
  }
}

// ---- The order that is followed; its number is the page's hash, so it can be bookmarked and shared

let source
let followed

function follow() {
  // The skip link leads to a place on this page, not to an order.
  if (location.hash === '#follow') return
  source?.close()
  const orderId = decodeURIComponent(location.hash.slice(1))
  followed = orderId === '' ? undefined : { orderId, events: [], notes: [], status: undefined }
  show(orderId === '' ? 'nothing' : undefined)
  showLive(undefined)
  markFollowed()
  if (orderId === '') return
  fetch(`/orders/${encodeURIComponent(orderId)}`)
    .then((response) => (response.ok ? response.json() : Promise.reject(response)))
    .then((order) => followed?.orderId === orderId && connect(order))
    .catch(() => followed?.orderId === orderId && show('missing'))
}

function connect(order) {
  followed = { ...order }
  drawOrder()
  if (order.settled) return showLive('done')
  source = new EventSource(`/orders/${encodeURIComponent(order.orderId)}/events`)
  // Everything is sent again after a lost connection, so we start again too.
  let fresh = { events: [], notes: [] }
  source.addEventListener('open', () => {
    fresh = { events: [], notes: [] }
    showLive('live')
  })
  source.addEventListener('error', () => {
    showLive('lost')
    // The browser tries again by itself when there was no answer, but not after a wrong one.
    if (source.readyState === EventSource.CLOSED) setTimeout(follow, recentEveryMs)
  })
  source.addEventListener('event', ({ data }) => fresh.events.push(JSON.parse(data)))
  source.addEventListener('note', ({ data }) => fresh.notes.push(JSON.parse(data)))
  source.addEventListener('status', ({ data }) => {
    followed = { ...followed, ...fresh, ...JSON.parse(data) }
    drawOrder()
  })
  source.addEventListener('end', () => {
    source.close()
    showLive('done')
    void showRecent()
  })
}

function drawOrder() {
  show('order')
  const { orderId, customerId, items, totalAmount, status } = followed
  const [headline, detail] = verdictOf(followed)
  const lines = items.map(({ productId, quantity }) => `${quantity} × ${nameOf(productId)}`).join(', ')
  byId('order').replaceChildren(
    element('p', { class: 'facts' }, `${shortId(orderId)} · ${customerId} · ${lines} · ${money(totalAmount)}`),
    element('p', { class: 'verdict', 'data-status': status }, element('strong', {}, headline), detail),
    drawTrack(followed),
    element(
      'div',
      { class: 'story' },
      element(
        'div',
        { class: 'head' },
        element('h3', {}, 'What happened'),
        element(
          'a',
          { class: 'small', href: `/orders/${encodeURIComponent(orderId)}/diagram` },
          'As a diagram (Mermaid)',
        ),
      ),
      drawStory(followed, nameOf),
    ),
  )
  const said = `Order ${shortId(orderId)}. ${headline} ${detail}`
  if (byId('announce').textContent !== said) byId('announce').textContent = said
}

function show(part) {
  for (const id of ['nothing', 'missing', 'order']) byId(id).hidden = id !== part
}

function showLive(state) {
  const text = { live: 'Live', lost: 'Connection lost, trying again', done: 'Finished' }
  byId('live').hidden = state === undefined
  byId('live').dataset.state = state ?? ''
  byId('live').textContent = text[state] ?? ''
}

// ---- The newest orders

const badge = { pending: ['busy', 'In progress'], completed: ['good', 'Completed'], cancelled: ['bad', 'Cancelled'] }

async function showRecent() {
  const response = await fetch('/orders').catch(() => undefined)
  byId('offline').hidden = response?.ok === true
  if (!response?.ok) return
  const { counts, orders } = await response.json()
  for (const [status, count] of Object.entries(counts)) byId(`count-${status}`).textContent = count.toLocaleString('en')
  byId('no-orders').hidden = orders.length > 0
  byId('recent').hidden = orders.length === 0
  drawRows(orders)
}

/** Rows are changed in place, so that the focus stays where it is. */
function drawRows(orders) {
  const body = byId('recent').tBodies[0]
  const rows = new Map([...body.rows].map((row) => [row.dataset.order, row]))
  orders.forEach((order, index) => {
    const row = rows.get(order.orderId) ?? newRow(order)
    const [look, text] = badge[order.status]
    const tag = row.querySelector('.tag')
    tag.dataset.look = look
    tag.textContent = text
    if (body.rows[index] !== row) body.insertBefore(row, body.rows[index] ?? null)
  })
  while (body.rows.length > orders.length) body.lastElementChild.remove()
  markFollowed()
}

function newRow({ orderId, customerId, totalAmount }) {
  const link = element('a', { href: `#${encodeURIComponent(orderId)}` }, shortId(orderId))
  return element(
    'tr',
    { 'data-order': orderId },
    element('td', {}, link),
    element('td', {}, customerId),
    element('td', { class: 'number' }, money(totalAmount)),
    element('td', {}, element('span', { class: 'tag' })),
  )
}

function markFollowed() {
  for (const row of byId('recent').tBodies[0].rows) {
    if (row.dataset.order === followed?.orderId) row.setAttribute('aria-current', 'true')
    else row.removeAttribute('aria-current')
  }
}

form.addEventListener('submit', (event) => void placeOrder(event))
form.addEventListener('input', showTotal)
byId('fill').addEventListener('click', fillIn)
addEventListener('hashchange', follow)
setInterval(() => document.hidden || void showRecent(), recentEveryMs)
void showRecent()
showProducts()
  .catch(() => (byId('offline').hidden = false))
  .finally(follow)
