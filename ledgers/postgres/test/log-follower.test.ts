/** When the log in memory asks the database, and when it need not. */
import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import type { Line } from '../src/connections.ts'
import { eventAt } from 'quadrille/ledger-kit'
import { LogFollower } from '../src/log-follower.ts'
import { schemaNames } from '../src/schema-names.ts'
import type { Rows, Statement } from '../src/statement-group.ts'
import type { Field } from '../src/wire-values.ts'
import { newEvent } from './database.ts'

const record = (position: number) => eventAt(position, newEvent(`e-${position}`))

/** A row of `log_2`. */
const rowOf = (position: number): Field[] => {
  const { id, type, version, source, key, correlationId, hops, time, data } = record(position)
  const texts = [
    position,
    id,
    type,
    version,
    source,
    key,
    correlationId,
    null,
    null,
    hops,
    time,
    null,
    null,
    data,
    null,
  ]
  return ['0', ...texts.map((each) => (each === null ? null : String(each)))]
}

/** Stands for the connection: a log that ends at `head`, of which `foreign` are events that others have appended. */
class FakeLine {
  head = 0
  foreign: number[] = []
  looks = 0
  /** Runs while a look is under way. */
  meanwhile = (): void => {}

  async run({ text, values = [] }: Statement): Promise<readonly Rows[]> {
    if (text.includes('head_1')) return [[[String(this.head)]]]
    this.looks += 1
    const after = Number(values[0])
    const { head } = this
    const events = this.foreign.filter((position) => position > after && position <= head)
    this.meanwhile()
    return [[[String(head), String(head), 'since'], ...events.map(rowOf)]]
  }
}

describe('the log in memory', () => {
  let line: FakeLine
  let log: LogFollower
  const commit = (...positions: number[]) => {
    line.head = Math.max(line.head, ...positions)
    log.committed(positions.map(record))
  }
  const read = async (after = 0, atHand = true) => {
    const { events, end } = await log.read({ after, limit: 100, atHand })
    return { positions: events.map(({ position }) => position), end }
  }

  beforeEach(async () => {
    line = new FakeLine()
    log = new LogFollower({
      names: schemaNames('quadrille'),
      line: line as unknown as Line,
      limits: { events: 1_000, bytes: 1e6 },
      restarted: () => assert.fail('restarted'),
    })
    await log.begin()
    await read()
    line.looks = 0
  })

  it('gives own events that follow each other, and their end, without asking', async () => {
    commit(1, 2)
    assert.deepEqual(await read(), { positions: [1, 2], end: false })
    commit(3)
    assert.deepEqual(await read(2), { positions: [3], end: false })
    assert.deepEqual(await read(3), { positions: [], end: true })
    assert.equal(line.looks, 0)
  })

  it('asks who stands in a gap before it gives what is behind', async () => {
    commit(1)
    line.foreign = [2]
    commit(3)
    assert.deepEqual(await read(), { positions: [1], end: false })
    assert.deepEqual(await read(1), { positions: [2, 3], end: true })
    assert.equal(line.looks, 1)
  })

  it('waits for an own commit that is under way instead of asking for its events', async () => {
    const under = Promise.withResolvers<void>()
    const during = log.during(() => under.promise)
    commit(2)
    assert.deepEqual(await read(), { positions: [], end: true })
    under.resolve()
    await during
    commit(1)
    assert.deepEqual(await read(), { positions: [1, 2], end: false })
    assert.equal(line.looks, 0)
  })

  it('asks when a commit that was under way has failed', async () => {
    const during = log.during(() => Promise.reject(new RangeError('wanted')))
    commit(2)
    await assert.rejects(during, RangeError)
    assert.deepEqual(await read(), { positions: [2], end: true })
    assert.equal(line.looks, 1)
  })

  it('asks after it was told of others, and whenever everything is wanted', async () => {
    line.foreign = [1]
    line.head = 1
    assert.deepEqual(await read(), { positions: [], end: true })
    log.expect()
    assert.deepEqual(await read(), { positions: [1], end: true })
    line.foreign = [1, 2]
    line.head = 2
    assert.deepEqual(await read(1, false), { positions: [2], end: true })
    assert.equal(line.looks, 2)
  })

  it('takes no event twice that was committed while it asked', async () => {
    line.foreign = [1, 2]
    line.head = 2
    line.meanwhile = () => commit(1, 2, 3)
    log.expect()
    assert.deepEqual(await read(), { positions: [1, 2, 3], end: true })
  })

  it('asks again when it was told of others while it asked', async () => {
    log.expect()
    line.meanwhile = () => log.expect()
    await read()
    line.meanwhile = () => {}
    await read()
    assert.equal(line.looks, 2)
  })
})
