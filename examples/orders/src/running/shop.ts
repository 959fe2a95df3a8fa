/** The shop's services: in this process, or in processes of their own that may be killed again and again. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { draw } from '../random.ts'
import { startChild, type Child } from './child-worker.ts'
import { databaseOf } from './databases.ts'
import { isQuiet, serviceNames, startWorker, type ServiceName, type WorkerOptions } from './worker.ts'

export interface Shop {
  /** Where orders are placed: one address for each process that runs the order service. */
  readonly apis: readonly [string, ...string[]]
  /** How often a process was killed so far. */
  kills(): number
  /** How often of it the broker. */
  brokerKills(): number
  /** No more kills from here on. Resolves when the shop is up. */
  calmDown(): Promise<void>
  /** Rejects when a process ends that should not, or can not be started; never resolves. */
  readonly broken: Promise<never>
  /** True when nobody has anything left to do. */
  isQuiet(): Promise<boolean>
  /** Every process finishes what it has in hand. Idempotent. */
  stop(): Promise<void>
}

export type ShopOptions = Omit<WorkerOptions, 'services' | 'lease'>

/** All services in this process. */
export async function openShop(options: ShopOptions): Promise<Shop> {
  const worker = await startWorker({ ...options, services: serviceNames })
  let stopping: Promise<void> | undefined
  return {
    apis: [worker.api!],
    kills: () => 0,
    brokerKills: () => 0,
    calmDown: async () => {},
    broken: new Promise(() => {}),
    isQuiet: () => isQuiet(worker.app),
    stop: () => (stopping ??= worker.stop()),
  }
}

export interface Staff {
  /** Which services each process runs. The processes share nothing but the database. */
  readonly processes: readonly (readonly ServiceName[])[]
  /** Chaos: one process after the other, drawn by this seed, is killed by SIGKILL and started again. */
  readonly chaosSeed?: number | undefined
  /** Pauses between kills are so many times as long. Default: 1. */
  readonly killsApart?: number | undefined
  /** A broker that is killed now and then, too. */
  readonly broker?: { kill(): Promise<void>; restart(): Promise<void> } | undefined
}

const killAfterMs = { min: 300, max: 1_500 }
/** A run that was hardly hurt proves little: it goes on being killed until it was hurt so often. */
const killsMin = 5
/** Every so many kills it is the broker's turn; it stays away for a moment. */
const brokerEvery = 4
const brokerAwayMs = 500
/** How soon others may take over what a killed process held. */
const leaseUnderChaos = '500ms'

/** A process's place in the shop: who works there changes with every kill. */
interface Place {
  readonly options: WorkerOptions
  child: Child | undefined
}

/** Services in processes of their own. */
export async function openShopOfProcesses(
  options: ShopOptions,
  { processes, chaosSeed, killsApart = 1, broker }: Staff,
): Promise<Shop> {
  const lease = chaosSeed === undefined ? undefined : leaseUnderChaos
  const places = await placesFor(processes, { ...options, lease })
  const { broken, fail } = breaking()
  let calm = chaosSeed === undefined
  let closing = false
  let kills = 0
  let brokerKills = 0
  const starting = new Set<Promise<void>>()

  const fill = (place: Place): Promise<void> =>
    fillPlace(place, () => !closing && fail(new Error('a process ended by itself')))
  async function killOne(seed: number): Promise<void> {
    const there = places.filter((place) => place.child)
    const place = there[Math.floor(draw(seed, 'victim', kills) * there.length)]!
    const victim = place.child!
    place.child = undefined
    await victim.kill()
    kills += 1
    const started = fill(place).finally(() => starting.delete(started))
    starting.add(started)
    if (there.length === 1) await started
    else started.catch(fail)
  }
  async function strike(seed: number): Promise<void> {
    if (!broker || kills % brokerEvery < brokerEvery - 1) return killOne(seed)
    await killBroker(broker)
    kills += 1
    brokerKills += 1
  }
  async function spread(seed: number): Promise<void> {
    while (!calm || kills < killsMin) {
      await sleep(killsApart * (killAfterMs.min + draw(seed, 'kill', kills) * (killAfterMs.max - killAfterMs.min)))
      if (closing) return
      await strike(seed)
    }
  }

  // The first one makes the tables, so that the others need not wait for each other.
  const [first, ...others] = places as [Place, ...Place[]]
  await fill(first)
  await Promise.all(others.map((place) => fill(place)))
  const spreading = chaosSeed === undefined ? Promise.resolve() : spread(chaosSeed).catch(fail)
  const children = () => places.flatMap((place) => place.child ?? [])
  let stopping: Promise<void> | undefined
  async function stop(): Promise<void> {
    closing = true
    await Promise.allSettled([spreading, ...starting])
    await Promise.all(children().map((child) => child.stop()))
  }
  return {
    apis: children().flatMap((child) => child.api ?? []) as [string, ...string[]],
    kills: () => kills,
    brokerKills: () => brokerKills,
    broken,
    async calmDown() {
      calm = true
      await spreading
      await Promise.all(starting)
    },
    async isQuiet() {
      const answers = await Promise.all(children().map((child) => child.isQuiet()))
      return answers.length === places.length && answers.every(Boolean)
    },
    stop: () => (stopping ??= stop()),
  }
}

/** A process that can not start, for example because the database is just away, is started again, as by any supervisor. */
const startsMax = 30
const startAgainMs = 500

/** Starts a process; `died` is called when it ends without having been taken out of its place. */
async function fillPlace(place: Place, died: () => unknown, tries = 1): Promise<void> {
  const child = await startChild(place.options).catch((error: unknown) => {
    if (tries === startsMax) throw error
  })
  if (!child) return sleep(startAgainMs).then(() => fillPlace(place, died, tries + 1))
  place.child = child
  void child.gone.then(() => place.child === child && died())
}

async function killBroker(broker: NonNullable<Staff['broker']>): Promise<void> {
  await broker.kill()
  await sleep(brokerAwayMs)
  await broker.restart()
}

/** Whoever comes after a kill listens where the one before did, so that customers find it again. */
function placesFor(processes: Staff['processes'], options: Omit<WorkerOptions, 'services'>): Promise<Place[]> {
  let given = options.port
  return Promise.all(
    processes.map(async (services): Promise<Place> => {
      const database = options.wire ? databaseOf(services[0]!, options.database) : options.database
      if (!services.includes('orders'))
        return { options: { ...options, database, services, port: 0 }, child: undefined }
      const wanted = given
      given = 0
      // A process that finds it taken would be started again and again.
      if (wanted) await tryPort(wanted)
      return { options: { ...options, services, port: wanted || (await findPort()) }, child: undefined }
    }),
  )
}

function breaking(): { broken: Promise<never>; fail: (error: unknown) => void } {
  const { promise, reject } = Promise.withResolvers<never>()
  // Whoever waits for it hears of it; that nobody waits any more is no reason to crash.
  promise.catch(() => {})
  return { broken: promise, fail: reject }
}

/**
 * A free port that no outgoing connection gets by itself: those have higher numbers. While the process is down,
 * customers keep knocking at its port, and one of them could end up being given that very port to knock from.
 */
async function findPort(): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 10_000)
    const isFree = await tryPort(port).then(
      () => true,
      () => false,
    )
    if (isFree) return port
  }
}

/** Rejects with EADDRINUSE when somebody else has the port. */
async function tryPort(port: number): Promise<void> {
  const server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  server.close()
  await once(server, 'close')
}
