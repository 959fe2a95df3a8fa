/** Leases, as the functions of the schema deal them out. Renewals of several readers go to the server in one statement. */
import type { Cancel, Env, LeaseGrant, LeaseRequest } from 'quadrille'
import type { Knowledge } from './knowledge.ts'
import type { SchemaNames } from './schema-names.ts'
import type { Rows, Statement } from './statement-group.ts'
import { floatArray, intArray, textArray, type Field } from './wire-values.ts'

/** Renewals wait so long for those of other readers, which come at the same beat. */
const gatherMs = 3

/** What {@link LeaseDesk} works with. */
export interface LeaseDeskOptions {
  readonly env: Env
  readonly names: SchemaNames
  readonly knowledge: Knowledge
  readonly run: (statement: Statement) => Promise<Rows>
  /** Told what was drawn last by anyone: who asks for leases also hears whether there is something new. */
  readonly drawn: (position: number) => void
  /** Told when partitions were given back, which others may want to know. */
  readonly released: () => void
}

interface Asked {
  readonly request: LeaseRequest
  readonly resolve: (grant: LeaseGrant) => void
  readonly reject: (error: unknown) => void
}

/** Where leases are asked for. */
export class LeaseDesk {
  readonly #options: LeaseDeskOptions
  #waiting: Asked[] = []
  #cancel: Cancel = () => {}

  constructor(options: LeaseDeskOptions) {
    this.#options = options
  }

  /** See {@link LeaseRequest}. */
  ask(request: LeaseRequest): Promise<LeaseGrant> {
    return new Promise((resolve, reject) => {
      const asked = { request, resolve, reject }
      const { release } = request
      if (release === 'all' || (release && release.length > 0))
        return void this.#run([asked]).then(this.#options.released)
      this.#waiting.push(asked)
      if (this.#waiting.length === 1) this.#cancel = this.#options.env.timer(gatherMs, () => this.#ask())
    })
  }

  /** Does not wait any more. */
  close(): void {
    this.#cancel()
    if (this.#waiting.length > 0) this.#ask()
  }

  #ask(): void {
    void this.#run(this.#waiting.splice(0))
  }

  async #run(asked: readonly Asked[]): Promise<void> {
    const { names, knowledge, run, drawn } = this.#options
    // In the same order everywhere: each reader's leases are dealt out under a lock.
    const all = asked.toSorted((a, b) => (a.request.reader < b.request.reader ? -1 : 1))
    const requests = all.map(({ request }) => request)
    const renumber = requests.map((request) => knowledge.isDoubtful(request))
    const since = knowledge.incarnation
    try {
      const rows = await run(leaseStatement(names, requests, renumber))
      for (const request of requests) knowledge.learned(request, since)
      for (const [place, { resolve }] of all.entries())
        resolve(grantOf(rows.filter((row) => row[0] === `${place + 1}`)))
      drawn(Number(rows[0]![1]))
    } catch (error) {
      for (const { reject } of all) reject(error)
    }
  }
}

/** The calls of `lease_1`, one after the other; with `renumber` what is held gets a new epoch. */
function leaseStatement(
  { quoted }: SchemaNames,
  requests: readonly LeaseRequest[],
  renumber: readonly boolean[],
): Statement {
  const partitions = (some: readonly number[] | 'all' | undefined) => `{${some === 'all' ? '' : (some ?? []).join()}}`
  return {
    text: `SELECT place, (SELECT last_value FROM ${quoted}.positions), partition, epoch, position, share, abandoned
      FROM (SELECT * FROM unnest($1::text[], $2::text[], $3::float8[], $4::text[], $5::int[], $6::text[], $7::float8[],
        $8::int[]) WITH ORDINALITY AS each(reader, owner, lease_ms, release, leaves, keep, start, renumber, place)
        ORDER BY place OFFSET 0) AS each,
      LATERAL ${quoted}.lease_1(reader, owner, lease_ms, release::int[], leaves = 1, keep::int[], start::bigint,
        renumber = 1)`,
    values: [
      textArray(requests.map(({ reader }) => reader)),
      textArray(requests.map(({ owner }) => owner)),
      floatArray(requests.map(({ leaseMs }) => leaseMs)),
      textArray(requests.map(({ release }) => partitions(release))),
      intArray(requests.map(({ release }) => Number(release === 'all'))),
      textArray(requests.map(({ keep }) => partitions(keep))),
      floatArray(requests.map(({ start = 0 }) => start)),
      intArray(renumber.map(Number)),
    ],
  }
}

/** What the rows of one request say; the first one has only the fair share. */
function grantOf(rows: readonly (readonly Field[])[]): LeaseGrant {
  const [[, , , , , share] = [], ...leases] = rows
  return {
    fairShare: Number(share),
    leases: leases.map(([, , partition, epoch, position, , abandoned]) => ({
      partition: Number(partition),
      epoch: Number(epoch),
      position: Number(position),
      ...(abandoned === 't' && { abandoned: true }),
    })),
  }
}
