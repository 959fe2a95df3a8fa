/** A ledger in memory: nothing of it survives the process, and nothing of it waits for anything. Simulations run on it. */
import { QuadrilleError, invariant, type Env } from '../../base/index.ts'
import type { EventRecord } from '../../contracts/index.ts'
import type {
  FindQuery,
  LeaseGrant,
  LeaseRequest,
  Ledger,
  LedgerHealth,
  LedgerRecord,
  LedgerTx,
  Pending,
  PendingQuery,
  ReadPage,
  ReadQuery,
  RecordQuery,
  TrimRequest,
} from '../ledger.ts'
import { MemoryStore } from './memory-store.ts'
import { MemoryTx } from './memory-tx.ts'

/** See {@link Ledger}. Several may be open on one store, as several processes are on one database. */
export class MemoryLedger implements Ledger {
  readonly name = 'memory'
  readonly store: MemoryStore
  #env: Env | undefined
  #closed = false

  constructor(store: MemoryStore = new MemoryStore()) {
    this.store = store
  }

  async open(env: Env): Promise<void> {
    invariant(this.#env === undefined && !this.#closed, 'a ledger is opened once')
    this.#env = env
  }

  async close(): Promise<void> {
    this.#closed = true
    while (this.store.tail) await this.store.tail
  }

  async transact<T>(work: (tx: LedgerTx) => Promise<T>): Promise<T> {
    const { store } = this.#open('transact')
    const before = store.tail
    const { promise, resolve } = Promise.withResolvers<void>()
    store.tail = promise
    if (before) await before
    const tx = new MemoryTx(store)
    let appended: readonly EventRecord[]
    try {
      const value = await work(tx)
      appended = tx.commit()
      return value
    } catch (error) {
      tx.rollback()
      throw error
    } finally {
      if (store.tail === promise) store.tail = undefined
      resolve()
      if (appended! !== undefined) {
        store.watch.committed?.(appended)
        if (appended.length > 0) for (const wake of store.listeners) wake()
      }
    }
  }

  isConflict(): boolean {
    return false
  }

  async read(query: ReadQuery): Promise<ReadPage> {
    return this.#open('read').store.read(query)
  }

  async find(query: FindQuery): Promise<readonly EventRecord[]> {
    return this.#open('find').store.find(query)
  }

  async query(query: RecordQuery): Promise<readonly LedgerRecord[]> {
    return this.#open('query').store.query(query)
  }

  async count({ scope, kind, partitions }: Parameters<Ledger['count']>[0]): Promise<number> {
    const shelf = this.#open('count').store.shelf(scope, kind)
    if (!shelf || partitions === undefined) return shelf?.size ?? 0
    return [...shelf.values()].filter((record) => partitions.includes(record.partition)).length
  }

  async pending({ scope, kinds, counted, partitions }: PendingQuery): Promise<readonly Pending[]> {
    const { store } = this.#open('pending')
    return kinds.map((kind, index) => {
      const [first] = store.query({ scope, kind, order: 'due', partitions, limit: 1 })
      const records = counted[index] ? [...(store.shelf(scope, kind)?.values() ?? [])] : []
      return { due: first?.due ?? null, count: records.filter((each) => partitions.includes(each.partition)).length }
    })
  }

  async lease(request: LeaseRequest): Promise<LeaseGrant> {
    const { store, env } = this.#open('lease')
    return store.lease(request, env.now())
  }

  async positions(reader: string): Promise<readonly number[]> {
    return this.#open('positions').store.positions(reader)
  }

  async readers(): Promise<readonly string[]> {
    return this.#open('readers').store.readers()
  }

  onAppend(wake: () => void): () => void {
    const { listeners } = this.#open('onAppend').store
    // A listener of its own, as the same function may be given twice.
    const listener = () => wake()
    listeners.add(listener)
    return () => listeners.delete(listener)
  }

  async trim(request: TrimRequest): Promise<number> {
    const { store, env } = this.#open('trim')
    return store.trim(request, env.now())
  }

  async health(): Promise<LedgerHealth> {
    const { store } = this.#open('health')
    return { ok: true, head: store.head, problems: [], facts: { events: store.events.length } }
  }

  #open(operation: string): { readonly store: MemoryStore; readonly env: Env } {
    if (this.#env && !this.#closed) return { store: this.store, env: this.#env }
    throw new QuadrilleError('LEDGER_CLOSED', { ledger: this.name, operation })
  }
}
