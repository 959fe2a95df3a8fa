/** Cases: reading the log in order, and finding events. */
import { append, holds, idsOf, newEvent, readAll, same } from './expectation.ts'
import type { LedgerCase } from './ledger-world.ts'

const numbered = (count: number, fields: (n: number) => Parameters<typeof newEvent>[1] = () => ({})) =>
  Array.from({ length: count }, (_, n) => newEvent(`e-${String(n).padStart(3, '0')}`, fields(n)))

/** Reading by position. */
export const readCases: readonly LedgerCase[] = [
  {
    name: 'an empty log is at its end, and a page without events ends where it began',
    async run({ ledger }) {
      same(await ledger.read({ after: 0, limit: 9 }), { events: [], upTo: 0, end: true }, 'nothing to read')
      const positions = await append(ledger, newEvent('a'))
      const { upTo } = await readAll(ledger)
      holds(upTo >= positions[0]!, 'everything is looked at')
      same(await ledger.read({ after: upTo, limit: 9 }), { events: [], upTo, end: true }, 'nothing more to read')
    },
  },
  {
    name: 'pages of any size add up to the log, each once and in order',
    async run({ ledger }) {
      const events = numbered(25)
      for (let n = 0; n < events.length; n += 5) await append(ledger, ...events.slice(n, n + 5))
      for (const limit of [1, 2, 7, 25, 100]) {
        const read = await readAll(ledger, { limit })
        same(idsOf(read.events), idsOf(events), `with pages of ${limit}`)
      }
    },
  },
  {
    name: 'a page has no more than its limit and says that there is more behind it',
    async run({ ledger }) {
      await append(ledger, ...numbered(5))
      const page = await ledger.read({ after: 0, limit: 3 })
      same(idsOf(page.events), ['e-000', 'e-001', 'e-002'], 'the first three')
      same(page.end, false, 'it is not the end')
      same(page.upTo, page.events[2]!.position, 'it has been looked at up to the third')
    },
  },
  {
    name: 'a page of some types leaves out the others, and counts them as looked at',
    async run({ ledger }) {
      const type = (n: number) => ({ type: n % 4 === 1 ? 'wanted.one' : n % 4 === 2 ? 'wanted.two' : 'other.type' })
      const positions = await append(ledger, ...numbered(16, type))
      const read = await readAll(ledger, { limit: 3, types: ['wanted.one', 'wanted.two'] })
      same(
        read.events.map((event) => event.type),
        Array.from({ length: 4 }, () => ['wanted.one', 'wanted.two']).flat(),
        'only these',
      )
      holds(read.upTo >= positions[15]!, 'the last ones, of other types, have been looked at')
      const none = await readAll(ledger, { types: ['never.was'] })
      same(none.events, [], 'none of a type that is not there')
      holds(none.upTo >= positions[15]!, 'and all have been looked at')
    },
  },
  {
    name: 'reading is not at the end while another connection has appended more',
    shared: true,
    async run({ ledger, open }) {
      const other = await open()
      await append(ledger, newEvent('a'))
      let { upTo } = await readAll(ledger)
      for (let n = 0; n < 10; n++) {
        await append(other, newEvent(`b-${n}`))
        const page = await ledger.read({ after: upTo, limit: 9 })
        same(idsOf(page.events), [`b-${n}`], 'what another connection has committed is read at once')
        await append(ledger, newEvent(`c-${n}`))
        const next = await ledger.read({ after: page.upTo, limit: 9 })
        same(idsOf(next.events), [`c-${n}`], 'and what this one has committed afterwards')
        upTo = next.upTo
      }
      same((await readAll(other)).events.length, 21, 'the other one sees all')
    },
  },
  {
    name: 'events of both connections are read in the order of their commits, from anywhere',
    shared: true,
    async run({ ledger, open }) {
      const other = await open()
      await readAll(ledger)
      const ids: string[] = []
      for (let n = 0; n < 20; n++) {
        const id = `${n % 3 === 0 ? 'z' : 'a'}-${String(n).padStart(2, '0')}`
        await append(n % 2 === 0 ? ledger : other, newEvent(id))
        ids.push(id)
      }
      const { events } = await readAll(ledger, { limit: 4 })
      same(idsOf(events), ids, 'in the order of the commits')
      for (const from of [0, 7, 15, 19]) {
        const rest = await readAll(ledger, { after: events[from]!.position, limit: 6 })
        same(idsOf(rest.events), ids.slice(from + 1), `and from the ${from + 1}th on`)
      }
    },
  },
  {
    name: 'more events than are kept anywhere in memory are read from the beginning',
    async run({ ledger }) {
      await readAll(ledger)
      const events = numbered(900, (n) => ({ type: n % 2 === 0 ? 'even.type' : 'odd.type' }))
      for (let n = 0; n < events.length; n += 100) await append(ledger, ...events.slice(n, n + 100))
      const all = await readAll(ledger, { limit: 250 })
      same(idsOf(all.events), idsOf(events), 'all of them')
      const odd = await readAll(ledger, { limit: 100, types: ['odd.type'] })
      same(
        idsOf(odd.events),
        idsOf(events).filter((_, n) => n % 2 === 1),
        'and all of one type',
      )
    },
  },
]

/** Finding by id, conversation and key. */
export const findCases: readonly LedgerCase[] = [
  {
    name: 'events are found by id, in the order of the log, and unknown ids are left out',
    async run({ ledger }) {
      await append(ledger, ...numbered(6))
      const found = await ledger.find({ ids: ['e-004', 'missing', 'e-001'], limit: 9 })
      same(idsOf(found), ['e-001', 'e-004'], 'by position')
      same(found[0]?.data, '{"id":"e-001"}', 'whole')
      same(await ledger.find({ ids: [], limit: 9 }), [], 'none for no ids')
    },
  },
  {
    name: 'events are found by conversation, and no others',
    async run({ ledger }) {
      const of = (n: number) => ({ correlationId: n % 3 === 0 ? 'c-1' : 'c-2', causationId: 'c-1', key: 'c-1' })
      await append(ledger, ...numbered(9, of))
      same(idsOf(await ledger.find({ correlationId: 'c-1', limit: 9 })), ['e-000', 'e-003', 'e-006'], 'those of it')
      same(await ledger.find({ correlationId: 'c-3', limit: 9 }), [], 'none of one that is not there')
    },
  },
  {
    name: 'events are found by key, if wanted only of some types',
    async run({ ledger }) {
      const of = (n: number) => ({ key: n < 6 ? 'k-1' : 'k-2', type: ['a.one', 'b.two', 'c.three'][n % 3]! })
      await append(ledger, ...numbered(9, of))
      same((await ledger.find({ key: 'k-1', limit: 9 })).length, 6, 'all of the key')
      const some = await ledger.find({ key: 'k-1', types: ['a.one', 'c.three'], limit: 9 })
      same(idsOf(some), ['e-000', 'e-002', 'e-003', 'e-005'], 'of two types')
    },
  },
  {
    name: 'no more events are found than asked for, the first ones',
    async run({ ledger }) {
      await append(ledger, ...numbered(6))
      same(idsOf(await ledger.find({ key: 'key-1', limit: 2 })), ['e-000', 'e-001'], 'by key')
      const ids = ['e-005', 'e-003', 'e-004']
      same(idsOf(await ledger.find({ ids, limit: 2 })), ['e-003', 'e-004'], 'by id')
    },
  },
]
