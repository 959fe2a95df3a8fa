/** Load for the tests of wires: numbered events, sending as the relay does, and a ledger that remembers what it took. */
import assert from 'node:assert/strict'
import { fromBinaryEvent, sleep, systemEnv } from 'quadrille'
import type { EventRecord, IncomingMessage, Wire } from 'quadrille'

const patienceMs = 60_000
const resendMs = 50
const keys = 5

const plain = {
  type: 'a',
  version: 1,
  source: 'test',
  causationId: null,
  reaction: null,
  hops: 0,
  time: 0,
  traceparent: null,
  tracestate: null,
  extensions: null,
}

/** Events with the numbers from `from` on, over five keys. */
export function numbered(count: number, from = 0, fields: Partial<EventRecord> = {}): EventRecord[] {
  return Array.from({ length: count }, (_, index) => {
    const n = from + index
    const id = systemEnv.uuid()
    const data = JSON.stringify({ n })
    return { ...plain, id, key: `key-${n % keys}`, correlationId: id, position: n + 1, data, ...fields }
  })
}

/** Waits for a fact. */
export async function until(fact: () => boolean | Promise<boolean>, what: string): Promise<void> {
  const began = systemEnv.elapsed()
  while (!(await fact())) {
    assert.ok(systemEnv.elapsed() - began < patienceMs, `not within ${patienceMs} ms: ${what}`)
    await sleep(systemEnv, 10)
  }
}

/** Sends as the relay does: again and again, in the order of each key, until every event is taken. */
export async function sendSurely(wire: Wire, events: readonly EventRecord[]): Promise<void> {
  let left = events
  const began = systemEnv.elapsed()
  while (left.length > 0) {
    try {
      const results = await wire.send(left.map((event) => ({ event, dedupeId: event.id })))
      left = left.filter((_, index) => results[index] !== null)
    } catch {
      // Unreachable: all are sent again.
    }
    if (left.length === 0) return
    assert.ok(systemEnv.elapsed() - began < patienceMs, `everything is taken in the end; ${left.length} are not`)
    await sleep(systemEnv, resendMs)
  }
}

/** A ledger for numbered events. */
export class Taken {
  /** Every number that was delivered, duplicates included. */
  readonly all: number[] = []
  readonly #seen = new Set<number>()
  readonly #keys = new Map<string, number[]>()

  readonly deliver = async (messages: readonly IncomingMessage[]): Promise<void> => {
    for (const { attributes, body } of messages) {
      assert.ok(attributes, 'it came in binary mode')
      const { key, data } = fromBinaryEvent(attributes, body)
      const { n } = JSON.parse(data) as { n: number }
      this.all.push(n)
      if (this.#seen.has(n)) continue
      this.#seen.add(n)
      const inKey = this.#keys.get(key)
      if (inKey) inKey.push(n)
      else this.#keys.set(key, [n])
    }
  }

  /** How many different ones. */
  get distinct(): number {
    return this.#seen.size
  }

  /** Each key in ascending order, first arrivals only. */
  assertInOrder(): void {
    for (const [key, numbers] of this.#keys)
      for (const [at, n] of numbers.entries())
        assert.ok(at === 0 || numbers[at - 1]! < n, `${key}: ${n} came after ${numbers[at - 1]}`)
  }
}
