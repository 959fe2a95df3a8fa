/** A broker that stalls: its connections stay open, and what is sent is neither taken nor refused. */
import assert from 'node:assert/strict'
import { event, service, silentLogger, sleep, start, systemEnv, type App, type Wire, type WireNotice } from 'quadrille'
import * as z from 'zod'
import type { Broker } from './process.ts'
import { until } from './wire-load.ts'
import { quietContext } from './wire-world.ts'

/** What stalls: the sender's wire is behind the proxy, the receiver's is not. */
export interface Stall {
  readonly sender: Wire
  readonly receiver: Wire
  readonly proxy: { freeze(): void; thaw(): void }
}

const Counted = event('counted', { key: 'key', schema: z.object({ key: z.string(), n: z.number() }) })
const keys = 5
const [before, during] = [20, 100]
const total = before + 2 * during

interface Heard {
  readonly key: string
  readonly n: number
}

/** While it stalls the rest of the app goes on, and `health()` names it; afterwards all is delivered, once and in order. */
export async function stallsAndThaws({ sender, receiver, proxy }: Stall): Promise<void> {
  const heard: Heard[] = []
  let booked = 0
  const listener = service('listener').on(Counted, (counted) => void heard.push(counted))
  const books = service('books').on(Counted, () => void (booked += 1))
  const far = await start({ services: [listener], wires: [{ wire: receiver, sends: [] }], log: silentLogger })
  const wires = [{ wire: sender, receives: [], from: 'now' as const }]
  const app = await start({ services: [books], wires, log: silentLogger })
  try {
    await until(async () => (await wireOf(far)).receiving[0]!.state === 'receiving', 'the receiver is there')
    await publish(app, 0, before)
    await until(() => heard.length === before, 'events flow')
    proxy.freeze()
    await publish(app, before, during)
    await until(() => booked === before + during, 'the reactions of the app itself go on')
    await until(async () => (await wireOf(app)).problems.length > 0, 'health() names the wire')
    await publish(app, before + during, during)
    await until(() => booked === total, 'also when the wire is given up for now')
    assert.equal(heard.length, before, 'nothing passes the proxy')
    const { sending } = await wireOf(app)
    assert.deepEqual([sending.parked, sending.dead], [0, 0], 'an outage is not counted against events')
    proxy.thaw()
    await until(() => heard.length >= total, 'all is delivered')
    await until(async () => (await wireOf(app)).sending.backlog === 0, 'the sender knows that all is sent')
    await until(async () => (await wireOf(app)).problems.length === 0, 'and health() says that all is well')
    assertEachOnce(heard)
    assert.deepEqual(await app.deadLetters.list(), [])
  } finally {
    proxy.thaw()
    await app.stop()
    await far.stop()
  }
}

const wireOf = async (app: App) => (await app.health()).wires[0]!

async function publish(app: App, from: number, count: number): Promise<void> {
  for (let n = from; n < from + count; n++) await app.publish(Counted({ key: `key-${n % keys}`, n }))
}

/** And in the order of its key. */
function assertEachOnce(heard: readonly Heard[]): void {
  for (let key = 0; key < keys; key++)
    assert.deepEqual(
      heard.filter((one) => one.key === `key-${key}`).map(({ n }) => n),
      Array.from({ length: total / keys }, (_, index) => index * keys + key),
    )
}

/** A wire that is closed while its server is frozen leaves no connection open, so that its process can end. */
export async function closesWhileFrozen(broker: Broker, connect: () => Wire): Promise<void> {
  for (const noticed of [false, true]) {
    const before = openConnections()
    const wire = connect()
    const notices: WireNotice[] = []
    await wire.open({ ...quietContext, sends: ['a'], notice: (notice) => notices.push(notice) })
    const types = [{ type: 'a', patterns: null }]
    const from = wire.capabilities.from[0]!
    const receiver = await wire.receive(
      { service: 'shop.orders', types, from, instance: systemEnv.uuid() },
      async () => {},
    )
    broker.freeze()
    try {
      if (noticed) {
        const problems = async () => [...(await receiver.health()).problems, ...(await wire.health()).problems]
        await until(async () => notices.length > 0 || (await problems()).length > 0, 'it is noticed')
        // By then a client is in the middle of connecting again; nothing tells when.
        await sleep(systemEnv, 1_000)
      }
      await wire.close()
      await until(() => openConnections() <= before, `noticed: ${noticed}; all connections are closed`)
    } finally {
      broker.thaw()
    }
  }
}

const openConnections = (): number => process.getActiveResourcesInfo().filter((type) => type === 'TCPSocketWrap').length
