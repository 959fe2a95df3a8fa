/** The runtime is tested this way too: bugs planted under it, in a wrapped ledger, are each found on the order shop. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { simulate } from 'quadrille/simulate'
import type { Ledger } from 'quadrille'
import type { LedgerTx } from '../../src/ledger/index.ts'
import { shop, shopOptions } from './shop.ts'

/** The same ledger, with some of its methods replaced. */
function altered(ledger: Ledger, own: Partial<Ledger>): Ledger {
  return new Proxy(ledger, {
    get(target, name) {
      const value: unknown = Reflect.get(own, name) ?? Reflect.get(target, name)
      return typeof value === 'function' ? (value.bind(target) as unknown) : value
    },
  })
}

/** The same ledger, whose transactions are not quite what they should be. */
const withTx = (ledger: Ledger, change: (tx: LedgerTx) => Partial<LedgerTx>): Ledger =>
  altered(ledger, {
    transact: (work) =>
      ledger.transact((tx) =>
        work(
          new Proxy(tx, {
            get(target, name) {
              const value: unknown = Reflect.get(change(target), name) ?? Reflect.get(target, name)
              return typeof value === 'function' ? (value.bind(target) as unknown) : value
            },
          }),
        ),
      ),
  })

const planted: Readonly<Record<string, (ledger: Ledger) => Ledger>> = {
  'a message is acknowledged before it is durable: what was not handled is gone after a crash': (ledger) =>
    altered(ledger, {
      async open(env) {
        await ledger.open(env)
        const { head } = await ledger.health()
        const all = { upTo: head, eventsBefore: Infinity, idsBefore: Infinity, recordsBefore: 0, limit: 1_000 }
        if (head > 0) while ((await ledger.trim(all)) > 0);
      },
    }),
  'the checkpoint is advanced after the transaction, in one of its own': (ledger) =>
    altered(ledger, {
      async transact(work) {
        let later: Parameters<LedgerTx['hold']>[0] | undefined
        const value = await ledger.transact((tx) =>
          work(
            new Proxy(tx, {
              get(target, name) {
                if (name === 'hold')
                  return ({ position: _, ...claim }: Parameters<LedgerTx['hold']>[0]) => {
                    later = { ...claim, ...(_ === undefined ? {} : { position: _ }) }
                    return target.hold(claim)
                  }
                const member: unknown = Reflect.get(target, name)
                return typeof member === 'function' ? (member.bind(target) as unknown) : member
              },
            }),
          ),
        )
        if (later) await ledger.transact((tx) => tx.hold(later!))
        return value
      },
    }),
  'the fence is left out': (ledger) =>
    withTx(ledger, (tx) => ({
      save: (puts, removes) =>
        tx.save(
          puts.filter(({ kind }) => kind !== 'fence'),
          removes,
        ),
    })),
  'what comes later does not wait behind what is tried again': (ledger) =>
    withTx(ledger, () => ({ lanes: async () => new Set<string>() })),
  'a lease is not proved at the commit': (ledger) =>
    withTx(ledger, (tx) => ({
      async hold(claim) {
        await tx.hold(claim).catch(() => {})
      },
    })),
}

for (const [bug, wrapLedger] of Object.entries(planted)) {
  test(`found: ${bug}`, async () => {
    const options = { ...shopOptions(), wrapLedger, budget: '120s', maxFaults: 1, schedules: 500 } as const
    const report = await simulate(shop(), bug.includes('lease') ? { ...options, faults: ['takeover'] } : options)
    assert.equal(report.findings.length, 1, report.text())
    assert.notEqual(report.findings[0]!.code, 'NOT_REPEATABLE', 'it is the bug that is found, and not that it is one')
  })
}

test('without a bug, the same ledger in a wrapping is clean', async () => {
  const wrapLedger = (ledger: Ledger) => altered(ledger, {})
  const options = { ...shopOptions(), wrapLedger, budget: '120s', maxFaults: 0, schedules: 30 } as const
  for (const faults of [['duplicate', 'crash after commit'], ['takeover']] as const) {
    const report = await simulate(shop(), { ...options, faults })
    assert.equal(report.ok, true, report.text())
  }
})
