/**
 * A server that speaks as much of the protocol of Azure Service Bus as the wire uses, over plain AMQP 1.0 on loopback:
 * tokens, sending to topics, accepting sessions (a named one, or the next), receiving with locks, settling and renewing;
 * and, over HTTP on the same port, its administration. It proves the wire against the SDK, not against Azure.
 */
import { randomBytes } from 'node:crypto'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer, type AddressInfo, type Server as NetServer, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import rhea, { type Connection, type Delivery, type EventContext, type Message, type Sender } from 'rhea'
import { administer, type Topics } from './admin-api.ts'
import { connectionStringFor } from './connection-string.ts'
import type { SessionLink, Stored, Subscription } from './entities.ts'

const sessionFilter = 'com.microsoft:session-filter'
const batchFormat = 0x80013700
const messageBytesMax = 262_144
const ticksOf1970 = 621_355_968_000_000_000n

/** A running test server. */
export interface ServiceBusServer {
  readonly port: number
  readonly connectionString: string
  readonly topics: Topics
  /** Ends every connection and the listener; topics and messages stay, as on the disks of Azure. */
  kill(): Promise<void>
  /** Listens again on the same port. */
  restart(): Promise<void>
}

/** What a link to a session has: a lock, and what was handed out over it. */
interface OpenSession {
  readonly subscription: Subscription
  readonly id: string
  readonly link: SessionLink
  draining: boolean
}

/** The delivery of a message, and which it was. */
const sequences = new WeakMap<Delivery, number>()
const sessions = new WeakMap<Sender, OpenSession>()
/** What a connection has open: where replies go by address, and the links to sessions. */
const replies = new WeakMap<Connection, Map<string, Sender>>()
const links = new WeakMap<Connection, Set<Sender>>()

/** What the typings of rhea leave out. */
const outcomes = rhea.message as unknown as Record<'accepted' | 'rejected', (fields?: object) => { described(): never }>

const ticks = (ms: number) => rhea.types.wrap_long(Number(BigInt(ms) * 10_000n + ticksOf1970))

/** The SDK recognises these words. */
const notFound = (name: string): string => `The messaging entity '${name}' could not be found.`

const nameIn = (address: unknown): string => {
  const text = typeof address === 'string' ? address : ''
  return (/^sb:\/\/[^/]*\/(.*)$/.exec(text)?.[1] ?? text).toLowerCase()
}

/** @param port - 0 for any free one. */
export async function startServiceBus(port = 0): Promise<ServiceBusServer> {
  const topics: Topics = new Map()
  const sockets = new Set<Socket>()
  const container = containerFor(topics)
  const http = createHttpServer((request, response) => void answerHttp(topics, request, response))
  let server: NetServer | undefined
  const listen = async () => {
    server = createServer((socket) => {
      sockets.add(socket)
      socket.on('close', () => sockets.delete(socket)).on('error', () => {})
      socket.once('data', (first: Buffer) => {
        socket.pause()
        socket.unshift(first)
        if (first.toString('latin1', 0, 4) !== 'AMQP') http.emit('connection', socket)
        else container.create_connection({ treat_modified_as_released: false } as never).accept(socket)
        socket.resume()
      })
    })
    server.listen(port, '127.0.0.1')
    await new Promise<void>((done) => server!.once('listening', done))
    port = (server.address() as AddressInfo).port
  }
  await listen()
  return {
    port,
    connectionString: connectionStringFor(port),
    topics,
    async kill() {
      const ended = server
      if (!ended) return
      server = undefined
      const closed = new Promise((done) => ended.close(done))
      for (const socket of sockets) {
        socket.destroy()
        // rhea would not notice, and go on with its heartbeats.
        socket.emit('end')
      }
      for (const topic of topics.values()) for (const each of topic.subscriptions.values()) each.drop()
      await closed
    },
    restart: listen,
  }
}

async function answerHttp(topics: Topics, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname, searchParams } = new URL(request.url ?? '/', 'http://127.0.0.1')
  const about = { path: pathname.slice(1), skip: Number(searchParams.get('$skip') ?? 0), body: await text(request) }
  const { status, body } = administer(topics, { method: request.method ?? 'GET', ...about })
  response.writeHead(status, { 'content-type': 'application/atom+xml' }).end(body)
}

function containerFor(topics: Topics) {
  const container = rhea.create_container({ id: 'service-bus' })
  container.sasl_server_mechanisms.enable_anonymous()
  container.on('connection_open', ({ connection }: EventContext) => {
    replies.set(connection, new Map())
    links.set(connection, new Set())
  })
  container.on('disconnected', ({ connection }: EventContext) => {
    for (const link of links.get(connection) ?? []) leave(link)
  })
  for (const failed of ['connection_error', 'session_error', 'error', 'protocol_error']) container.on(failed, () => {})
  container.on('sender_open', (context: EventContext) => void openSender(topics, context.connection, context.sender!))
  container.on('receiver_open', ({ receiver }: EventContext) => {
    receiver!.set_target(receiver!.target)
    ;(receiver as unknown as { local: { attach: { max_message_size: number } } }).local.attach.max_message_size =
      messageBytesMax
    const name = nameIn(receiver!.target?.address)
    const special = name === '$cbs' || name.endsWith('$management')
    if (!special && !topics.has(name)) receiver!.close({ condition: 'amqp:not-found', description: notFound(name) })
  })
  const pump = ({ sender }: EventContext) => {
    const open = sender && sessions.get(sender)
    if (open) flow(sender, open)
  }
  container.on('sender_flow', pump)
  container.on('sendable', pump)
  container.on('sender_draining', (context: EventContext) => {
    const open = sessions.get(context.sender!)
    if (open) open.draining = true
    pump(context)
  })
  for (const outcome of ['accepted', 'released', 'rejected', 'modified'])
    container.on(outcome, (context: EventContext) => settle(context, outcome === 'accepted'))
  container.on('sender_close', ({ sender }: EventContext) => leave(sender!))
  container.on('message', (context: EventContext) => received(topics, context))
  return container
}

/** Hands out what there is credit for, and says when there is no more. */
function flow(sender: Sender, open: OpenSession): void {
  open.subscription.pump(open.id)
  if (!open.draining) return
  open.draining = false
  sender.set_drained(true)
}

function leave(sender: Sender): void {
  const open = sessions.get(sender)
  if (!open) return
  sessions.delete(sender)
  open.subscription.unlock(open.id, open.link)
}

/** `topic/subscriptions/name`, and what may follow. */
function subscriptionAt(topics: Topics, name: string): Subscription | undefined {
  const [topic = '', , subscription = ''] = name.split('/')
  return topics.get(topic)?.subscriptions.get(subscription)
}

/** The client receives from us: replies, or a session. */
async function openSender(topics: Topics, connection: Connection, sender: Sender): Promise<void> {
  const name = nameIn(sender.source?.address)
  if (name === '$cbs' || name.endsWith('$management')) {
    sender.set_source(sender.source)
    sender.set_target(sender.target)
    for (const address of [sender.name, sender.target?.address])
      if (address) replies.get(connection)?.set(address, sender)
    return
  }
  const subscription = subscriptionAt(topics, name)
  if (!subscription) return sender.close({ condition: 'amqp:not-found', description: notFound(name) })
  const filter = (sender.source.filter as Record<string, { value?: unknown } | string> | undefined)?.[sessionFilter]
  const asked = typeof filter === 'string' ? filter : filter?.value
  const properties = (sender as unknown as { properties?: Record<string, unknown> }).properties
  const waitMs = Number(properties?.['com.microsoft:timeout'] ?? 2_000)
  const link = linkOf(sender)
  const answer = holdBack(sender)
  const isNamed = typeof asked === 'string'
  const id = isNamed ? (subscription.lock(asked, link) ? asked : null) : await subscription.next(link, waitMs)
  if (id === null || !link.isAlive) {
    if (id !== null) subscription.unlock(id, link)
    answer()
    const condition = isNamed ? 'com.microsoft:session-cannot-be-locked' : 'com.microsoft:timeout'
    return sender.close({ condition, description: 'no session can be locked' })
  }
  sender.set_target(sender.target)
  sender.set_source({ address: sender.source.address, filter: { [sessionFilter]: id } } as never)
  ;(sender as unknown as { local: { attach: { properties: object } } }).local.attach.properties = {
    'com.microsoft:locked-until-utc': ticks(subscription.lockedUntilMs(id)),
  }
  const open = { subscription, id, link, draining: false }
  sessions.set(sender, open)
  links.get(connection)?.add(sender)
  answer()
  flow(sender, open)
}

/** rhea answers a new link at once. Here the answer waits, until the returned function is called. */
function holdBack(sender: Sender): () => void {
  const { state } = sender as unknown as { state: { local_open: boolean; open_requests: number } }
  state.local_open = false
  state.open_requests = 0
  return () => (sender as unknown as { open(): void }).open()
}

/** What the typings of rhea leave out. */
const creditOf = (sender: Sender): number => (sender as unknown as { credit: number }).credit

/** What rhea has been given and not sent yet: it takes the credit for a message only when it goes out. */
function unsentOf({ session }: Sender): number {
  const { outgoing } = session as unknown as { outgoing: Record<'next_delivery_id' | 'next_pending_delivery', number> }
  return outgoing.next_delivery_id - outgoing.next_pending_delivery
}

function linkOf(sender: Sender): SessionLink {
  return {
    give(stored, lockedUntilMs) {
      if (!sender.is_open() || !sender.sendable() || creditOf(sender) <= unsentOf(sender)) return false
      sequences.set(sender.send(annotated(stored, lockedUntilMs), randomBytes(16) as never), stored.sequence)
      return true
    },
    lose() {
      sessions.delete(sender)
      const description = 'the lock of the session has ended'
      if (sender.is_open()) sender.close({ condition: 'com.microsoft:session-lock-lost', description })
    },
    get isAlive() {
      return sender.connection.is_open() && sender.is_remote_open()
    },
  }
}

const annotated = (stored: Stored, lockedUntilMs: number): Message => ({
  ...stored.message,
  delivery_count: stored.deliveries,
  message_annotations: {
    ...stored.message.message_annotations,
    'x-opt-sequence-number': rhea.types.wrap_long(stored.sequence),
    'x-opt-enqueued-time': rhea.types.wrap_timestamp(stored.enqueuedMs),
    'x-opt-locked-until': rhea.types.wrap_timestamp(lockedUntilMs),
  },
})

/** The server settles every disposition itself; rhea's own window never frees otherwise. */
function settle({ sender, delivery }: EventContext, complete: boolean): void {
  const open = sender && sessions.get(sender)
  const sequence = delivery && sequences.get(delivery)
  if (!delivery || delivery.settled) return
  const done =
    open && sequence !== undefined && open.subscription.settle(open.id, { link: open.link, sequence, complete })
  const lost = { condition: 'com.microsoft:session-lock-lost', description: 'the lock supplied is invalid' }
  const state = done ? outcomes.accepted() : outcomes.rejected({ error: lost })
  delivery.update(true, state.described())
  ;(delivery as unknown as { remote_settled: boolean }).remote_settled = true
  if (done) open.subscription.pump(open.id)
}

function received(topics: Topics, { receiver, message, delivery, connection }: EventContext): void {
  const name = nameIn(receiver!.target?.address)
  if (name === '$cbs') return reply(connection, message!, { status: 202 })
  if (name.endsWith('/$management')) return manage(connection, subscriptionAt(topics, name), message!)
  const topic = topics.get(name)
  if (!topic) return
  if ((delivery as unknown as { format?: number }).format !== batchFormat) return topic.send(message!)
  const { body } = rhea.message.decode(message as never) as unknown as {
    body: { multiple?: boolean; content: Buffer | Buffer[] }
  }
  for (const part of [body.content].flat()) topic.send(rhea.message.decode(part) as unknown as Message)
}

interface Reply {
  readonly status: number
  readonly body?: object
  readonly condition?: string
}

function reply(connection: Connection, request: Message, { status, body = {}, condition }: Reply): void {
  const text = status < 300 ? 'OK' : 'error'
  const codes = { statusCode: status, 'status-code': status, statusDescription: text, 'status-description': text }
  replies
    .get(connection)
    ?.get(request.reply_to!)
    ?.send({
      correlation_id: request.message_id!,
      body: rhea.types.wrap_map(body as never),
      application_properties: { ...codes, ...(condition ? { errorCondition: condition } : {}) },
    })
}

/** The operations of the management node: of those, the wire renews the locks of sessions. */
function manage(connection: Connection, subscription: Subscription | undefined, request: Message): void {
  const operation = String(request.application_properties?.['operation'])
  if (operation !== 'com.microsoft:renew-session-lock') return reply(connection, request, { status: 501 })
  const id = String((request.body as Record<string, unknown>)['session-id'])
  const open = [...(links.get(connection) ?? [])]
    .map((link) => sessions.get(link))
    .find((each) => each?.id === id && each.subscription === subscription)
  const untilMs = open ? open.subscription.renew(id, open.link) : null
  if (untilMs === null) return reply(connection, request, { status: 410, condition: 'com.microsoft:session-lock-lost' })
  reply(connection, request, { status: 200, body: { expiration: rhea.types.wrap_timestamp(untilMs) } })
}
