/** The world of one schedule as invariants see it. */
import type { ConversationView, SimDb, WorldView } from './options.ts'
import type { SimRun } from './sim-run.ts'

/** See the top of this file. */
export class RunView implements WorldView {
  readonly #run: SimRun
  readonly #dbs = new Map<string, SimDb>()

  constructor(run: SimRun) {
    this.#run = run
  }

  get conversations(): readonly ConversationView[] {
    return this.#run.book.talks.map(({ label, input, outcome, told }) => ({
      label,
      input,
      outcome,
      events: told.map(({ event }) => ({ type: event.type, key: event.key, data: JSON.parse(event.data) as unknown })),
    }))
  }

  readonly db = (service: { readonly name: string } | string): SimDb => {
    const name = typeof service === 'string' ? service : service.name
    let db = this.#dbs.get(name)
    if (!db) this.#dbs.set(name, (db = this.#dbOf(name)))
    return db
  }

  get outside(): unknown {
    return this.#run.stage.outside.look(this.#run.outside)
  }

  readonly hasDead = (reaction?: string): boolean =>
    this.#run.dead.some((letter) => reaction === undefined || letter.reaction === reaction)

  #dbOf(name: string): SimDb {
    const { stage, states } = this.#run
    const machine = stage.machine(name)
    const all: SimDb['all'] = (sql, ...params) =>
      machine.look(states.get(name)!, `${sql} ${JSON.stringify(params)}`, (tables) => tables.rows(sql, ...params))
    return { all, get: (sql, ...params) => all(sql, ...params)[0] }
  }
}
