/** The records of one batch transaction: loaded together, changed in memory as often as the steps like, written together. */
import type { LedgerRecord, LedgerTx, RecordKey } from '../ledger/index.ts'
import { whenThere, type Soon } from './soon.ts'

/** A record that is made text only when it is written: its content may change again in the same transaction. */
export interface Draft<Content extends object> extends Omit<LedgerRecord, 'body'> {
  readonly content: Content
  /** The content as it is kept. Default: as JSON. */
  readonly text?: ((content: Content) => string) | undefined
}

type Change = { readonly put: LedgerRecord } | { readonly keep: Draft<object> } | { readonly remove: RecordKey }

/** What is known of one record. */
interface Slot {
  readonly kind: string
  readonly id: string
  wanted: boolean
  /** Set when it was loaded or put: what this transaction sees. */
  seen: { readonly record: LedgerRecord | undefined } | undefined
  /** Set when it was asked for or kept as content. */
  content: { readonly value: object | undefined } | undefined
  change: Change | undefined
}

/** Reads and changes of one transaction; all of one scope, but for what is only put. */
export class BatchRecords {
  readonly #tx: LedgerTx
  readonly #scope: string
  /** By kind, then by id: a name made of both would be made anew for each look. */
  readonly #slots = new Map<string, Map<string, Slot>>()
  #wanted: Slot[] = []
  readonly #changed: Slot[] = []

  constructor(tx: LedgerTx, scope: string) {
    this.#tx = tx
    this.#scope = scope
  }

  /** Notes that this record will be asked for. */
  want(kind: string, id: string): void {
    const slot = this.#slot(kind, id)
    if (slot.wanted) return
    slot.wanted = true
    this.#wanted.push(slot)
  }

  /** Loads what was wanted, in one go. */
  async load(): Promise<void> {
    const slots = this.#wanted
    if (slots.length === 0) return
    this.#wanted = []
    const records = await this.#tx.load(slots.map(({ kind, id }) => ({ scope: this.#scope, kind, id })))
    for (let i = 0; i < slots.length; i++) slots[i]!.seen = { record: records[i] }
  }

  /** A record as this transaction sees it. */
  get(kind: string, id: string): Soon<LedgerRecord | undefined> {
    return this.#get(this.#slot(kind, id))
  }

  /** The content of a record that is kept with {@link keep}. Not to be changed: keep another one. */
  content<Content extends object>(kind: string, id: string): Soon<Content | undefined> {
    const slot = this.#slot(kind, id)
    if (slot.content) return slot.content.value as Content | undefined
    return whenThere(this.#get(slot), (record) => {
      slot.content = { value: record && (JSON.parse(record.body) as Content) }
      return slot.content.value as Content | undefined
    })
  }

  /** Keeps a record that may change again in this transaction. */
  keep<Content extends object>(draft: Draft<Content>): void {
    const slot = this.#slot(draft.kind, draft.id)
    slot.content = { value: draft.content }
    this.#change(slot, { keep: draft as unknown as Draft<object> })
  }

  put(record: LedgerRecord): void {
    const slot = this.#slot(record.kind, record.id)
    slot.seen = { record }
    this.#change(slot, { put: record })
  }

  remove(key: RecordKey): void {
    const slot = this.#slot(key.kind, key.id)
    slot.seen = { record: undefined }
    slot.content = { value: undefined }
    this.#change(slot, { remove: key })
  }

  /** The first so many of a lane by `seq`, as this transaction sees them; sometimes more. */
  async firstInLane({ scope, kind, lane }: LedgerRecord, most: number): Promise<readonly LedgerRecord[]> {
    const limit = this.#changed.length + most
    const stored = await this.#tx.query({ scope, kind, order: 'seq', lane: lane!, limit })
    const unchanged = stored.filter(({ id }) => this.#slots.get(kind)?.get(id)?.change === undefined)
    const changed = this.#changed
      .filter((slot) => slot.kind === kind)
      .map(({ change }) => written(change!))
      .filter((record) => record?.lane === lane)
    return [...(changed as LedgerRecord[]), ...unchanged].sort(byPlace)
  }

  /** Writes all changes. */
  async save(): Promise<void> {
    if (this.#changed.length === 0) return
    const puts: LedgerRecord[] = []
    const removes: RecordKey[] = []
    for (const { change } of this.#changed) {
      const record = written(change!)
      if (record) puts.push(record)
      else if ('remove' in change!) removes.push(change.remove)
    }
    await this.#tx.save(puts, removes)
  }

  #slot(kind: string, id: string): Slot {
    let ofKind = this.#slots.get(kind)
    if (!ofKind) this.#slots.set(kind, (ofKind = new Map()))
    let slot = ofKind.get(id)
    if (!slot)
      ofKind.set(id, (slot = { kind, id, wanted: false, seen: undefined, content: undefined, change: undefined }))
    return slot
  }

  #get(slot: Slot): Soon<LedgerRecord | undefined> {
    if (slot.seen) return slot.seen.record
    return this.#tx.load([{ scope: this.#scope, kind: slot.kind, id: slot.id }]).then(([record]) => {
      slot.seen = { record }
      return record
    })
  }

  #change(slot: Slot, change: Change): void {
    if (slot.change === undefined) this.#changed.push(slot)
    slot.change = change
  }
}

/** The record that a change leaves; undefined when it removes one. */
function written(change: Change): LedgerRecord | undefined {
  if ('put' in change) return change.put
  if ('remove' in change) return undefined
  const { scope, kind, id, partition, lane, seq, due, expires, content, text = JSON.stringify } = change.keep
  return { scope, kind, id, partition, lane, seq, due, expires, body: text(content) }
}

const byPlace = (one: LedgerRecord, other: LedgerRecord): number =>
  one.seq - other.seq || (one.id < other.id ? -1 : Number(one.id > other.id))
