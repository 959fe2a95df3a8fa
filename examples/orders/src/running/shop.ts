/** The shop's services, in one process, in four, or in one that is killed again and again. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { draw } from '../random.ts'
import { startChild, type Child } from './child-worker.ts'
import { serviceNames, startWorker, type WorkerOptions } from './worker.ts'

export interface Shop {
  readonly api: string
  /** How often a worker was killed so far. */
  kills(): number
  /** No more kills from here on. Resolves when the shop is up. */
  calmDown(): Promise<void>
  /** Rejects when a worker ends that should not, or can not be started; never resolves. */
  readonly broken: Promise<never>
  /** Every worker finishes what it has in hand. Idempotent. */
  stop(): Promise<void>
}

export type ShopOptions = Omit<WorkerOptions, 'services' | 'lease'>

/** All services in this process. */
export async function openShop(options: ShopOptions): Promise<Shop> {
  const worker = await startWorker({ ...options, services: serviceNames })
  let stopping: Promise<void> | undefined
  return { ...steady(worker.api!, breaking().broken), stop: () => (stopping ??= worker.stop()) }
}

/** Each service in a process of its own. They share nothing but the file. */
export async function openShopOfProcesses(options: ShopOptions): Promise<Shop> {
  const { broken, fail } = breaking()
  const children: Child[] = []
  for (const name of serviceNames) children.push(await startChild({ ...options, services: [name] }))
  let stopping: Promise<unknown> | undefined
  for (const { gone } of children) void gone.then(() => stopping ?? fail(new Error('a service ended by itself')))
  return {
    ...steady(children.find((child) => child.api)!.api!, broken),
    async stop() {
      await (stopping ??= Promise.all(children.map((child) => child.stop())))
    },
  }
}

const killAfterMs = { min: 300, max: 1_500 }
/** A run that was hardly hurt proves little: it goes on being killed until it was hurt so often. */
const killsMin = 5

/**
 * All services and the API in one child process that is killed by SIGKILL at random and started again at once. The
 * short lease is how soon the next one may take over what the dead one held.
 */
export async function openShopWithChaos(options: ShopOptions, seed: number): Promise<Shop> {
  // Every worker listens where the one before did, so that customers find it again.
  const port = options.port || (await findPort())
  const worker: WorkerOptions = { ...options, services: serviceNames, lease: '500ms', port }
  let calm = false
  let closing = false
  const { broken, fail } = breaking()
  let kills = 0
  let child = await startChild(worker)

  async function spread(): Promise<void> {
    const { min, max } = killAfterMs
    while (!calm || kills < killsMin) {
      await sleep(min + draw(seed, 'kill', kills) * (max - min))
      if (closing) return
      await child.kill()
      kills += 1
      child = await startChild(worker)
    }
  }
  const spreading = spread().catch(fail)
  const calmDown = () => {
    calm = true
    return spreading
  }
  return {
    api: child.api!,
    kills: () => kills,
    broken,
    calmDown,
    async stop() {
      closing = true
      await spreading
      await child.stop()
    },
  }
}

const steady = (api: string, broken: Promise<never>) => ({ api, broken, kills: () => 0, calmDown: async () => {} })

function breaking(): { broken: Promise<never>; fail: (error: unknown) => void } {
  const { promise, reject } = Promise.withResolvers<never>()
  // Whoever waits for it hears of it; that nobody waits any more is no reason to crash.
  promise.catch(() => {})
  return { broken: promise, fail: reject }
}

/**
 * A free port that no outgoing connection gets by itself: those have higher numbers. While the worker is down,
 * customers keep knocking at its port, and one of them could end up being given that very port to knock from.
 */
async function findPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const server = createServer()
    server.listen(port, '127.0.0.1')
    const free = await once(server, 'listening').then(
      () => true,
      () => false,
    )
    if (!free) continue
    server.close()
    await once(server, 'close')
    return port
  }
}
