/** Whatever a broker answers, and whichever relay dies or loses its leases: nothing is lost, and each key is in order. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { QuadrilleError, service, silentLogger, start, type App, type Ledger, type OutgoingMessage, type Wire } from 'quadrille' // prettier-ignore
import { sqlite } from 'quadrille/sqlite'
import { Asked, ledgerFile } from './setup.ts'
import { memoryHub, until } from './wire-setup.ts'

const asker = service('asker')
const poison = 13

interface Turn {
  readonly keys: readonly string[]
  readonly next: 'nothing' | 'poison' | 'crash' | 'lose leases' | 'outage'
  readonly waitMs: number
}

const turn: fc.Arbitrary<Turn> = fc.record({
  keys: fc.array(fc.constantFrom('a', 'b', 'c', 'new', 'new'), { minLength: 1, maxLength: 6 }),
  next: fc.constantFrom('nothing', 'nothing', 'poison', 'crash', 'lose leases', 'outage'),
  waitMs: fc.constantFrom(0, 0, 1, 5, 30),
})

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

/** Takes, refuses, takes and does not answer, or is away, at random. */
class Broker {
  readonly accepted: OutgoingMessage[] = []
  away = false
  calm = false
  /** Keys that one process had in the air twice, or events that it sent under a new id. */
  readonly broken: string[] = []
  readonly #random: () => number

  constructor(random: () => number) {
    this.#random = random
  }

  wire(process: Process): Wire {
    const good = memoryHub().wire()
    const inAir = new Set<string>()
    return {
      name: 'broker',
      capabilities: good.capabilities,
      open: (context) => good.open(context),
      close: () => good.close(),
      receive: (subscription, deliver) => good.receive(subscription, deliver),
      health: () => good.health(),
      send: async (messages) => {
        const keys = new Set(messages.map(({ event }) => event.key))
        for (const key of keys) if (inAir.has(key)) this.broken.push(`${key} is in the air already`)
        for (const { event, dedupeId } of messages)
          if (event.id !== dedupeId) this.broken.push(`${event.id} under the id ${dedupeId}`)
        for (const key of keys) inAir.add(key)
        try {
          return await this.#take(messages, process)
        } finally {
          for (const key of keys) inAir.delete(key)
        }
      },
    }
  }

  async #take(messages: readonly OutgoingMessage[], process: Process): Promise<readonly (QuadrilleError | null)[]> {
    const chance = this.calm ? 1 : this.#random()
    await wait(this.#random() * 6)
    const unreachable = () => new QuadrilleError('WIRE_UNREACHABLE', { wire: 'broker', message: 'not there' })
    if (process.dead || this.away || chance < 0.1) throw unreachable()
    const held = new Set<string>()
    const answers = messages.map((message) => {
      const { key, type, id, data } = message.event
      if (held.has(key)) return new QuadrilleError('WIRE_SEND_HELD', { behind: id })
      if (data.includes(`"n":${poison}}`))
        return new QuadrilleError('WIRE_MESSAGE_REFUSED', { wire: 'broker', type, problem: 'poison' })
      if (!this.calm && this.#random() < 0.15) {
        held.add(key)
        return new QuadrilleError('WIRE_SEND_FAILED', { wire: 'broker', type, message: 'not now' })
      }
      this.accepted.push(message)
      return null
    })
    await wait(this.#random() * 3)
    if (process.dead || chance < 0.2) throw unreachable()
    return answers
  }
}

/** One process: an app whose ledger and broker are out of its reach from one instant to the next. */
class Process {
  dead = false
  leaseless = false
  app!: App

  async start(path: string, broker: Broker): Promise<this> {
    const wire = { wire: broker.wire(this), receives: [], from: 'beginning', retry } as const
    const common = { log: silentLogger, poll: '20ms', lease: '100ms' } as const
    this.app = await start({ services: [asker], ledger: this.#ledger(path), wires: [wire], ...common })
    return this
  }

  #ledger(path: string): Ledger {
    const unreachable = async () => {
      throw new QuadrilleError('LEDGER_UNREACHABLE', { ledger: path, message: 'dead' })
    }
    return new Proxy(sqlite(path, { synchronous: 'NORMAL' }), {
      get: (ledger, name: keyof Ledger) => {
        const value = ledger[name]
        if (typeof value !== 'function') return value
        const isOut = () => (this.dead && name !== 'close') || (this.leaseless && name === 'lease')
        const act = value.bind(ledger) as (...args: unknown[]) => unknown
        return (...args: unknown[]) => (isOut() && name !== 'onAppend' ? unreachable() : act(...args))
      },
    })
  }
}

const retry = { attempts: 1_000, base: '10ms', max: '80ms' } as const

/** mulberry32 */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

test('random answers, outages, deaths and lost leases: nothing is lost, keys are in order, ids stay the same', async (t) => {
  const property = fc.asyncProperty(
    fc.array(turn, { minLength: 5, maxLength: 30 }),
    fc.integer(),
    async (turns, seed) => {
      const path = ledgerFile(t)
      const broker = new Broker(seeded(seed))
      const ends: Promise<void>[] = []
      const processes = [await new Process().start(path, broker), await new Process().start(path, broker)]
      const made: { id: string; key: string; position: number; n: number }[] = []
      for (const [index, { keys, next, waitMs }] of turns.entries()) {
        const chosen = index % 2
        const { app } = processes[1 - chosen]!
        const n = next === 'poison' ? poison : 0
        const { events } = await app.transact(asker, () =>
          keys.map((key, at) => Asked({ id: key === 'new' ? `new-${index}-${at}` : key, n })),
        )
        made.push(...events.map(({ id, key, position }) => ({ id, key, position: position!, n })))
        await wait(waitMs)
        broker.away = next === 'outage'
        if (next === 'lose leases') processes[chosen]!.leaseless = true
        else for (const process of processes) process.leaseless = false
        if (next !== 'crash') continue
        processes[chosen]!.dead = true
        ends.push(processes[chosen]!.app.stop({ deadline: '1ms' }))
        processes[chosen] = await new Process().start(path, broker)
      }
      for (const process of processes) process.leaseless = false
      broker.away = false
      broker.calm = true
      const good = made.filter(({ n }) => n !== poison)
      const missing = () => {
        const ids = new Set(broker.accepted.map(({ event }) => event.id))
        return good.filter(({ id }) => !ids.has(id))
      }
      const { app } = processes[0]!
      await until('all is sent', async () => {
        const { parked, dead } = await sending(app)
        return missing().length === 0 && parked === 0 && dead >= made.length - good.length
      })
      const letters = await app.deadLetters.list({ limit: 1_000 })
      for (const process of processes) await process.app.stop()
      await Promise.all(ends)

      assert.deepEqual(broker.broken, [])
      const dead = new Set(letters.map(({ event }) => event!.id))
      assert.deepEqual([...dead].toSorted(), made.filter(({ n }) => n === poison).map(({ id }) => id).toSorted()) // prettier-ignore
      const firsts = [...new Map(broker.accepted.map(({ event }) => [event.id, event])).values()]
      for (const [key, events] of Map.groupBy(firsts, (event) => event.key))
        assert.deepEqual(
          events.map(({ position }) => position),
          good.filter((one) => one.key === key).map(({ position }) => position),
          key,
        )
    },
  )
  await fc.assert(property, { numRuns: 25, endOnFailure: true })
})

const sending = async (app: App) => (await app.health()).wires[0]!.sending
