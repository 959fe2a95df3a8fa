/** Cases: when an appended event counts as new, and where it stands. */
import { append, failing, gate, holds, idsOf, newEvent, readAll, refused, same, soon, wanted } from './expectation.ts'
import type { LedgerCase } from './ledger-world.ts'

/** Appending: an id counts once. */
export const appendCases: readonly LedgerCase[] = [
  {
    name: 'an id that comes twice in one call counts once, and the first one stays',
    async run({ ledger }) {
      const events = [newEvent('a', { data: '1' }), newEvent('b'), newEvent('a', { data: '2' }), newEvent('c')]
      const positions = await append(ledger, ...events)
      same(
        positions.map((position) => position !== null),
        [true, true, false, true],
        'only the second one is a duplicate',
      )
      const read = (await readAll(ledger)).events
      same(idsOf(read), ['a', 'b', 'c'], 'in the order given')
      same(read[0]?.data, '1', 'the first one stays')
    },
  },
  {
    name: 'an id of an earlier transaction is a duplicate, and the rest of its batch is kept',
    async run({ ledger }) {
      await append(ledger, newEvent('a'), newEvent('b'))
      const positions = await append(ledger, newEvent('c'), newEvent('a'), newEvent('d'))
      same(
        positions.map((position) => position === null),
        [false, true, false],
        'only the known one is dropped',
      )
      same(idsOf((await readAll(ledger)).events), ['a', 'b', 'c', 'd'], 'all are there once')
    },
  },
  {
    name: 'the same ids appended over two connections at the same time are kept once',
    shared: true,
    async run({ ledger, open }) {
      const other = await open()
      const ids = Array.from({ length: 40 }, (_, n) => `e-${String(n).padStart(2, '0')}`)
      const all = await Promise.all(ids.flatMap((id) => [ledger, other].map((each) => append(each, newEvent(id)))))
      same(all.filter(([position]) => position !== null).length, ids.length, 'each was new once')
      same(idsOf((await readAll(ledger)).events).sort(), ids, 'each is there once')
    },
  },
  {
    name: 'an id of a transaction that was rolled back is not known',
    async run({ ledger }) {
      await failing(ledger, (tx) => tx.append([newEvent('a')]))
      const [position] = await append(ledger, newEvent('a'))
      holds(typeof position === 'number', 'it is new')
    },
  },
  {
    name: 'an event appended twice by one transaction is a duplicate the second time',
    async run({ ledger }) {
      const second = await ledger.transact(async (tx) => {
        await tx.append([newEvent('a')])
        return tx.append([newEvent('a'), newEvent('b')])
      })
      same(
        second.map((position) => position === null),
        [true, false],
        'what the transaction itself has appended counts',
      )
    },
  },
  {
    name: 'what is appended last is there with the commit, behind all else, each id once',
    async run({ ledger }) {
      await append(ledger, newEvent('old'))
      const { first, last, more } = await ledger.transact(async (tx) => {
        const last = tx.appendLast([newEvent('b'), newEvent('old'), newEvent('a')])
        const first = await tx.append([newEvent('first')])
        return { first, last, more: tx.appendLast([newEvent('c'), newEvent('b')]) }
      })
      const positions = [...first, ...last(), ...more()]
      same(
        positions.map((position) => position !== null),
        [true, true, false, true, true, false],
        'only what was known is a duplicate',
      )
      const given = new Map(
        [first[0]!, last()[0]!, last()[2]!, more()[0]!].map((at, n) => [at, ['first', 'b', 'a', 'c'][n]]),
      )
      const { events } = await readAll(ledger)
      same(
        events.slice(1).map(({ position, id }) => given.get(position) === id),
        [true, true, true, true],
        'each has the position that was told',
      )
      const ids = idsOf(events)
      holds(ids.indexOf('b') < ids.indexOf('a') && ids.indexOf('a') < ids.indexOf('c'), 'in the order given')
    },
  },
  {
    name: 'what is appended last is gone with a work that fails, also when it fails itself',
    async run({ ledger, rows }) {
      await failing(ledger, async (tx) => {
        await rows.put(tx.handle, 'row-1')
        tx.appendLast([newEvent('e-1')])
      })
      same((await readAll(ledger)).events, [], 'no event stays')
      same(await rows.all(), [], 'no row stays')
      const kept = await ledger.transact(async (tx) => ({ tx }))
      await refused(
        async () => kept.tx.appendLast([newEvent('late')]),
        'HANDLE_CLOSED',
        'it is closed with the transaction',
      )
    },
  },
  {
    name: 'positions grow with every commit, whoever appends and whatever is rolled back',
    shared: true,
    async run({ ledger, open }) {
      const other = await open()
      let last = 0
      for (let round = 0; round < 12; round++) {
        const [writer, loser] = round % 2 === 0 ? [ledger, other] : [other, ledger]
        await failing(loser, (tx) => tx.append([newEvent(`lost-${round}`), newEvent(`gone-${round}`)]))
        const positions = await append(writer, newEvent(`a-${round}`), newEvent(`b-${round}`))
        for (const position of positions) {
          holds(position !== null && position > last, 'each is greater than the one before')
          last = position!
        }
      }
    },
  },
  {
    name: 'no event is skipped by a reader that follows writers on two connections',
    shared: true,
    async run({ ledger, open, env }) {
      const other = await open()
      const third = await open()
      const expected: string[] = []
      let writing = true
      const write = async (each: typeof ledger, name: string) => {
        for (let n = 0; n < 40; n++) {
          const event = newEvent(`${name}-${String(n).padStart(2, '0')}`, { key: name })
          const work = async () => {
            await each.transact(async (tx) => {
              await tx.append([event])
              await env.breathe()
              if (n % 5 === 0) throw wanted
            })
            expected.push(event.id)
          }
          await work().catch((error: unknown) => {
            if (error !== wanted) throw error
          })
        }
      }
      const seen: string[] = []
      const follow = async (each: typeof ledger) => {
        for (let after = 0; ;) {
          const stopping = !writing
          const { events, upTo, end } = await each.read({ after, limit: 3 })
          seen.push(...idsOf(events))
          after = upTo
          if (end && stopping) return
          await env.breathe()
        }
      }
      const readers = [follow(ledger), follow(third)]
      await Promise.all([write(ledger, 'a'), write(other, 'b')])
      writing = false
      await Promise.all(readers)
      same(seen.sort(), [...expected, ...expected].sort(), 'each reader sees each committed event exactly once')
    },
  },
  {
    name: 'a transaction that stays open holds up nobody who reads',
    shared: true,
    async run({ ledger, open, env }) {
      const other = await open()
      await append(other, newEvent('a'))
      const entered = gate()
      const leave = gate()
      const long = ledger.transact(async (tx) => {
        await tx.append([newEvent('b')])
        entered.open()
        await leave.opened
      })
      await entered.opened
      let seen: readonly string[] | undefined
      const reading = readAll(other).then(({ events }) => (seen = idsOf(events)))
      await soon({ env }, () => seen !== undefined, 'reading does not wait for it').finally(leave.open)
      same(await reading, ['a'], 'what was committed before is read meanwhile')
      await long
      same(idsOf((await readAll(other)).events), ['a', 'b'], 'and the rest afterwards')
    },
  },
]
