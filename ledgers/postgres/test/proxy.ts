/** Stands between the ledger and its server: counts what is asked, and cuts connections at the worst moment. */
import { createServer, connect, type AddressInfo, type Socket } from 'node:net'

/**
 * Where a connection is cut: before the server gets the message; the same, but the server gets it when we try again; after it
 * has answered and before we hear of it.
 */
export type Cut = 'before' | 'late' | 'after'

/** A proxy that runs. */
export interface Proxy {
  readonly url: string
  /** Statements that were sent so far: parsed by name or without one, or as simple queries. */
  readonly statements: number
  /** Statements that were sent and are not answered yet, counted in groups. */
  readonly unanswered: number
  /** Cuts the next connection that sends a message in which this is found. Resolves when it is cut. */
  cutAt(text: string, cut: Cut): Promise<void>
  /** Lets nothing more pass on the connections that there are, and tells nobody, as a router that has forgotten them. */
  forget(): void
  close(): Promise<void>
}

interface Plan {
  readonly text: string
  readonly cut: Cut
  readonly done: () => void
}

/** Before the server at this address. */
export async function startProxy(serverUrl: string): Promise<Proxy> {
  const target = new URL(serverUrl)
  const sockets = new Set<Socket>()
  const counts = { statements: 0, asked: 0, answered: 0 }
  let plan: Plan | undefined
  const pairs = new Set<{ forgotten: boolean }>()
  /** What the server has still to get. */
  let late: { readonly text: string; deliver(): void } | undefined
  const server = createServer((client) => {
    const upstream = connect(Number(target.port || 5432), target.hostname)
    for (const socket of [client, upstream]) sockets.add(socket.on('error', () => {}))
    const pair = { forgotten: false }
    pairs.add(pair)
    client.on('close', () => doomed?.cut !== 'late' && upstream.destroy())
    upstream.on('close', () => pair.forgotten || client.destroy())
    // The first message has no type.
    const sent = messages(true)
    const answers = messages(false)
    /** Set from the message on after whose answer the connection is cut. */
    let doomed: Plan | undefined
    client.on('data', (chunk: Buffer) => {
      if (pair.forgotten) return
      for (const { type, body } of sent(chunk)) {
        if (type === 'P' || type === 'Q') counts.statements += 1
        if (type === '' || type === 'S' || type === 'Q') counts.asked += 1
        if (late && body.includes(late.text)) late.deliver()
        if (!plan || !body.includes(plan.text)) continue
        doomed = plan
        plan = undefined
      }
      if (!doomed || doomed.cut === 'after') return void upstream.write(chunk)
      client.destroy()
      if (doomed.cut === 'late') {
        const deliver = () => {
          late = undefined
          if (upstream.writable) upstream.write(chunk)
        }
        late = { text: doomed.text, deliver }
      }
      doomed.done()
    })
    upstream.on('data', (chunk: Buffer) => {
      if (pair.forgotten) return
      const ready = [...answers(chunk)].filter(({ type }) => type === 'Z').length
      counts.answered += ready
      if (!doomed || ready === 0) return void client.write(chunk)
      client.destroy()
      doomed.done()
    })
  }).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const url = new URL(serverUrl)
  url.hostname = '127.0.0.1'
  url.port = String((server.address() as AddressInfo).port)
  return {
    url: url.href,
    get statements() {
      return counts.statements
    },
    get unanswered() {
      return counts.asked - counts.answered
    },
    cutAt: (text, cut) => new Promise((done) => (plan = { text, cut, done })),
    forget() {
      for (const pair of pairs) pair.forgotten = true
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** Takes a stream of PostgreSQL's messages apart. */
function messages(untypedFirst: boolean) {
  let rest: Buffer = Buffer.alloc(0)
  let untyped = untypedFirst
  return function* (chunk: Buffer): Generator<{ readonly type: string; readonly body: Buffer }> {
    rest = Buffer.concat([rest, chunk])
    for (;;) {
      const head = untyped ? 0 : 1
      if (rest.length < head + 4) return
      const end = head + rest.readInt32BE(head)
      if (rest.length < end) return
      const type = untyped ? '' : String.fromCharCode(rest[0]!)
      yield { type, body: rest.subarray(head + 4, end) }
      untyped = false
      rest = rest.subarray(end)
    }
  }
}
