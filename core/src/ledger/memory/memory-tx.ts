/** One transaction of a ledger in memory: writes are kept aside until it commits. */
import { QuadrilleError, type TxHandle } from '../../base/index.ts'
import type { EventRecord, NewEvent } from '../../contracts/index.ts'
import type { Claim, LedgerRecord, LedgerTx, RecordKey, RecordQuery } from '../ledger.ts'
import { selected, type MemoryStore } from './memory-store.ts'
import { noTables } from './memory-tables.ts'

const nameOf = ({ scope, kind, id }: RecordKey): string => `${scope}\n${kind}\n${id}`

/** See {@link LedgerTx}. After {@link end} every method throws `HANDLE_CLOSED`. */
export class MemoryTx implements LedgerTx {
  readonly #store: MemoryStore
  readonly #appended: EventRecord[] = []
  /** Records as they will be; null for removed. */
  readonly #changed = new Map<string, { readonly key: RecordKey; readonly record: LedgerRecord | null }>()
  readonly #claims: Claim[] = []
  #handle: TxHandle | undefined
  #open = true

  constructor(store: MemoryStore) {
    this.#store = store
  }

  get handle(): TxHandle {
    this.#handle ??= this.#store.tables?.begin() ?? noTables
    return this.#handle
  }

  async hold(claim: Claim): Promise<void> {
    this.#check()
    this.#store.prove(claim.reader, claim.owner, claim.epochs)
    if (claim.position !== undefined) this.#claims.push(claim)
  }

  /** Nothing that fails here ends the transaction. */
  readonly broken = undefined

  async append(events: readonly NewEvent[]): Promise<readonly (number | null)[]> {
    return this.#append(events)
  }

  appendLast(events: readonly NewEvent[]): () => readonly (number | null)[] {
    const positions = this.#append(events)
    return () => positions
  }

  #append(events: readonly NewEvent[]): readonly (number | null)[] {
    this.#check()
    return events.map((event) => {
      if (this.#store.knows(event.id) || this.#appended.some(({ id }) => id === event.id)) return null
      const position = this.#store.head + this.#appended.length + 1
      this.#appended.push({ ...event, position })
      return position
    })
  }

  async load(keys: readonly RecordKey[]): Promise<readonly (LedgerRecord | undefined)[]> {
    this.#check()
    return keys.map((key) => {
      const changed = this.#changed.get(nameOf(key))
      return changed ? (changed.record ?? undefined) : this.#store.get(key)
    })
  }

  async query(query: RecordQuery): Promise<readonly LedgerRecord[]> {
    this.#check()
    return selected(this.#shelf(query.scope, query.kind), query)
  }

  async lanes(query: {
    readonly scope: string
    readonly kind: string
    readonly lanes: readonly string[]
  }): Promise<ReadonlySet<string>> {
    this.#check()
    const wanted = new Set(query.lanes)
    const found = new Set<string>()
    for (const { lane } of this.#shelf(query.scope, query.kind)) if (lane !== null && wanted.has(lane)) found.add(lane)
    return found
  }

  async save(puts: readonly LedgerRecord[], removes: readonly RecordKey[] = []): Promise<void> {
    this.#check()
    for (const record of puts) this.#changed.set(nameOf(record), { key: record, record })
    for (const key of removes) this.#changed.set(nameOf(key), { key, record: null })
  }

  /** Makes everything visible. */
  commit(): readonly EventRecord[] {
    const { watch, tables } = this.#store
    watch.committing?.()
    this.#open = false
    if (this.#handle && this.#handle !== noTables) tables!.end('commit')
    this.#store.version += 1
    this.#store.push(this.#appended)
    for (const { key, record } of this.#changed.values()) {
      if (record) this.#store.put(record)
      else this.#store.remove(key)
    }
    for (const { reader, epochs, position } of this.#claims) this.#store.advance(reader, epochs.keys(), position!)
    return this.#appended
  }

  rollback(): void {
    if (!this.#open) return
    this.#open = false
    if (this.#handle && this.#handle !== noTables) this.#store.tables!.end('rollback')
  }

  /** The records of a kind as this transaction sees them. */
  *#shelf(scope: string, kind: string): Iterable<LedgerRecord> {
    for (const record of this.#store.shelf(scope, kind)?.values() ?? [])
      if (this.#changed.size === 0 || !this.#changed.has(nameOf(record))) yield record
    for (const { record } of this.#changed.values()) if (record?.scope === scope && record.kind === kind) yield record
  }

  #check(): void {
    if (!this.#open) throw new QuadrilleError('HANDLE_CLOSED', { what: 'the transaction' })
  }
}
