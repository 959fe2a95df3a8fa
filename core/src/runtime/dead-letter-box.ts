/** Dead letters: listing, redriving and discarding. Works on any process; readers notice what has become due. */
import { Buffer } from 'node:buffer'
import { QuadrilleError, refuseOption, refuseUnknown } from '../base/index.ts'
import { partitionOf } from '../contracts/index.ts'
import type { Ledger, LedgerRecord, LedgerTx } from '../ledger/index.ts'
import type { Attempt, DeadLetter, DeadLetterFilter, DeadLetters } from './app.ts'
import { noteRecord } from './batch-tx.ts'
import { checkFilter, checkListing, isMatch } from './dead-letter-filter.ts'
import type { DeadBody } from './failure-step.ts'
import { expiresUnlessHeld, withoutLetter, type Held } from './held-memory.ts'
import { joinKind } from './join-step.ts'
import { fenceKind } from './on-step.ts'
import type { Publishing } from './publishing.ts'
import { deadKind, waitingKinds } from './record-kinds.ts'
import type { Settings } from './settings.ts'
import { laneOf, waitsForTurn, workId, type FailedTry, type WorkBody, type WorkPlace } from './work.ts'
import { receiveScope } from './wires/intake.ts'

const pageSize = 200
const listDefault = 100

interface Found {
  readonly record: LedgerRecord
  readonly body: DeadBody
}

/** What the box works with. */
export interface DeadLetterContext {
  readonly ledger: Ledger
  readonly settings: Settings
  readonly publishing: Publishing
  /** Refuses what can not be done now. */
  readonly check: (operation: string) => void
  readonly readers: () => readonly string[]
  readonly redriven: () => void
}

/** The dead letters of all readers of an app. */
export class DeadLetterBox implements DeadLetters {
  readonly #ledger: Ledger
  readonly #settings: Settings
  readonly #publishing: Publishing
  readonly #check: (operation: string) => void
  readonly #readers: () => readonly string[]
  readonly #redriven: () => void

  constructor(context: DeadLetterContext) {
    this.#ledger = context.ledger
    this.#settings = context.settings
    this.#publishing = context.publishing
    this.#check = context.check
    this.#readers = context.readers
    this.#redriven = context.redriven
  }

  async list(filter: DeadLetterFilter & { readonly limit?: number } = {}): Promise<readonly DeadLetter[]> {
    this.#check('deadLetters.list()')
    checkListing('deadLetters.list()', filter)
    const limit = filter.limit ?? listDefault
    const found: Found[] = []
    for (const scope of this.#scopes()) {
      let taken = 0
      for await (const each of this.#find(filter, [scope])) if (found.push(each) && ++taken === limit) break
    }
    return found
      .sort((a, b) => a.body.at - b.body.at)
      .slice(0, limit)
      .map(letterOf)
  }

  async show(id: string): Promise<DeadLetter> {
    this.#check('deadLetters.show()')
    for await (const found of this.#find({ id })) return letterOf(found)
    throw new QuadrilleError('DEAD_LETTER_UNKNOWN', { id })
  }

  async groups(): ReturnType<DeadLetters['groups']> {
    this.#check('deadLetters.groups()')
    const groups = new Map<string, { service: string; reaction: string; code: string; count: number }>()
    for await (const { body } of this.#find({})) {
      const { service, reaction, code } = body
      const name = JSON.stringify([service, reaction, code])
      const group = groups.get(name) ?? { service, reaction, code, count: 0 }
      groups.set(name, { ...group, count: group.count + 1 })
    }
    return [...groups.values()]
  }

  async redrive(...[filter, options = {}]: Parameters<DeadLetters['redrive']>): ReturnType<DeadLetters['redrive']> {
    checkFilter('a redrive', filter)
    refuseUnknown(options, { rate: true, dryRun: true }, { of: 'a redrive' })
    const { rate, dryRun: isDry = false } = options
    if (rate !== undefined && !(rate > 0)) refuseOption(rate, 'rate', 'a number above 0')
    const spacingMs = rate === undefined ? 0 : 1_000 / rate
    this.#check('a redrive')
    const startMs = this.#settings.env.now()
    const ids: string[] = []
    for (const found of await this.#all(filter)) {
      const due = startMs + Math.floor(ids.length * spacingMs)
      if (await this.#redrive(found, { due, isDry })) ids.push(found.record.id)
    }
    if (!isDry) this.#redriven()
    return { matched: ids.length, ids }
  }

  /** False for what is gone meanwhile, and for what can not be read now either. */
  async #redrive(found: Found, { due, isDry }: { due: number; isDry: boolean }): Promise<boolean> {
    const { record, body } = found
    if (body.event !== null) return isDry || this.#change('a redrive', found, (tx) => this.#redriveOne(tx, found, due))
    // To try a mapping would be to run code of the user.
    if (isDry && body.from?.channel !== undefined) return true
    const events = this.#publishing.intake.again(body)
    return events !== undefined && (isDry || this.#publishing.receiveAgain(events, record))
  }

  async discard(filter: DeadLetterFilter, reason: string): ReturnType<DeadLetters['discard']> {
    checkFilter('a discard', filter)
    this.#check('a discard')
    const all = await this.#all(filter)
    if (typeof reason !== 'string' || reason.trim() === '')
      throw new QuadrilleError('DISCARD_REASON_NEEDED', { matched: all.length })
    let matched = 0
    for (const found of all)
      if (await this.#change('a discard', found, (tx) => this.#discardOne(tx, found, reason))) matched += 1
    this.#redriven()
    return { matched }
  }

  async #all(filter: DeadLetterFilter): Promise<readonly Found[]> {
    const all: Found[] = []
    for await (const found of this.#find(filter)) all.push(found)
    return all
  }

  /** A letter a transaction: what is killed half-way has moved some and left the others. False when it is gone already. */
  #change(operation: string, found: Found, act: (tx: LedgerTx) => Promise<void>): Promise<boolean> {
    return this.#publishing.transaction(operation, async (tx) => {
      const [still] = await tx.load([found.record])
      if (still) await act(tx)
      return still !== undefined
    })
  }

  async #redriveOne(tx: LedgerTx, { record, body }: Found, due: number): Promise<void> {
    const { role, index, called, result, undone, unseen, reaction } = body
    const event = body.event!
    const work: WorkBody = {
      role: role as WorkBody['role'],
      index,
      event,
      failed: 0,
      tries: [],
      redrives: body.redrives + 1,
      called,
      result,
      undone,
      unseen,
    }
    const put = {
      scope: record.scope,
      kind: waitingKinds(reaction).work,
      id: workId(work),
      partition: partitionOf(event.key),
      lane: laneOf(reaction, event.key),
      seq: event.position,
      due,
      expires: null,
      body: JSON.stringify(work),
    }
    await tx.save([put, this.#note(body, 'redriven', `redrive ${work.redrives}`)], [record])
  }

  async #discardOne(tx: LedgerTx, { record, body }: Found, reason: string): Promise<void> {
    const { event } = body
    if (event === null) return tx.save([], [record])
    const place = { event, role: body.role as WorkBody['role'], index: body.index }
    const work = { scope: record.scope, kind: waitingKinds(body.reaction).work, id: workId(place) }
    const lane = laneOf(body.reaction, event.key)
    const waiting = await tx.query({ scope: work.scope, kind: work.kind, order: 'seq', lane, limit: 2 })
    const next = body.holds ? waiting.find((each) => each.id !== work.id) : undefined
    const puts = [this.#note(body, 'discarded', reason)]
    if (next && waitsForTurn(next)) puts.push({ ...next, due: this.#settings.env.now() })
    const kept = await tx.load([fenceKind, joinKind].map((kind) => ({ scope: record.scope, kind, id: lane })))
    for (const memory of kept) if (memory) puts.push(this.#released(memory, place))
    await tx.save(puts, body.holds ? [record, work] : [record])
  }

  /** A memory without the letter that held it. */
  #released(record: LedgerRecord, work: WorkPlace): LedgerRecord {
    const { env, retention } = this.#settings
    const memory = withoutLetter(JSON.parse(record.body) as Held, work)
    return {
      ...record,
      expires: expiresUnlessHeld(memory, env.now() + retention.memoryMs),
      body: JSON.stringify(memory),
    }
  }

  #note(body: DeadBody, kind: 'redriven' | 'discarded', text: string): LedgerRecord {
    const { env, retention } = this.#settings
    const at = env.now()
    const { service, reaction } = body
    return noteRecord({
      service,
      reaction,
      event: body.event!,
      kind,
      text,
      at,
      id: env.uuid(),
      expires: at + retention.memoryMs,
    })
  }

  #scopes(): readonly string[] {
    return [...new Set([...this.#readers(), receiveScope])]
  }

  async *#find(filter: DeadLetterFilter, scopes = this.#scopes()): AsyncGenerator<Found> {
    for (const scope of scopes) {
      let afterId: string | undefined
      for (;;) {
        const page = await this.#ledger.query({
          scope,
          kind: deadKind,
          limit: pageSize,
          ...(afterId ? { afterId } : {}),
        })
        for (const record of page) {
          const body = JSON.parse(record.body) as DeadBody
          if (isMatch(filter, record.id, body)) yield { record, body }
        }
        if (page.length < pageSize) break
        afterId = page[page.length - 1]!.id
      }
    }
  }
}

function letterOf({ record, body }: Found): DeadLetter {
  const { service, reaction, role, code, message, event, tries, at, redrives, holds } = body
  const bytes = body.bytes === undefined ? Buffer.from(event?.data ?? '') : Buffer.from(body.bytes, 'base64')
  const attempts = tries.map(attemptOf)
  const shown = shownRoles.find((each) => each === role) ?? 'run'
  return {
    id: record.id,
    service,
    reaction,
    role: shown,
    code,
    message,
    event,
    bytes: new Uint8Array(bytes),
    attempts,
    at: new Date(at),
    redrives,
    holds,
  }
}

const shownRoles = ['undo', 'late', 'deadline', 'receive', 'send'] as const

const attemptOf = ({ at, name, code, message, stack }: FailedTry): Attempt => ({
  at: new Date(at),
  name,
  code,
  message,
  stack,
})
