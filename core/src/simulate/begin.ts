/** How conversations begin: by the user's `begin`, or by publishing the first event. Known beginnings are not done again. */
import { hash } from 'node:crypto'
import type { NewEvent } from '../contracts/index.ts'
import { emittedList, newEvents } from '../runtime/emit.ts'
import type { Soon } from '../runtime/soon.ts'
import type { Returned } from '../service/index.ts'
import type { Talk } from './book.ts'
import type { Transition } from './machine-types.ts'
import { withIds } from './machine.ts'
import type { SimApp } from './options.ts'
import type { FaultKind } from './schedule-types.ts'
import type { Invocation, SimEnv } from './sim-env.ts'
import type { SimProcess } from './sim-process.ts'
import type { SimRun } from './sim-run.ts'
import type { Stage } from './stage.ts'

/** What beginning a conversation has led to. */
export interface Begun {
  readonly transitions: readonly { readonly service: string; readonly transition: Transition }[]
  readonly published: readonly NewEvent[]
}

/** Thrown into the user's `begin` when the process dies that it runs in. */
class Died {}

/** Begins conversations on a stage. */
export class Beginnings {
  readonly #stage: Stage
  readonly #known = new Map<string, Begun>()
  readonly #names = new Map<string, string>()
  /** The services in which something is done to begin a conversation. */
  readonly #touched = new Set<string>()

  constructor(stage: Stage) {
    this.#stage = stage
  }

  begin(run: SimRun, talk: Talk, fault: FaultKind | undefined): Soon<Begun> {
    const known = this.#stage.remembers ? this.#known.get(this.#keyOf(run, talk, fault)) : undefined
    return known ?? this.#really(run, talk, fault)
  }

  async #really(run: SimRun, talk: Talk, fault: FaultKind | undefined): Promise<Begun> {
    const before = new Map(run.states)
    const begun = await new Beginning(this.#stage, run, { name: this.#nameOf(talk), fault }).run(talk)
    for (const { service } of begun.transitions) this.#touched.add(service)
    const after = new Map(run.states)
    for (const [service, state] of before) run.states.set(service, state)
    this.#known.set(this.#keyOf(run, talk, fault), begun)
    for (const [service, state] of after) run.states.set(service, state)
    return begun
  }

  #keyOf(run: SimRun, talk: Talk, fault: FaultKind | undefined): string {
    let key = `${this.#nameOf(talk)}|${fault}|${run.floorMs}`
    for (const service of this.#touched) key += `|${run.states.get(service)!.name}`
    return key
  }

  #nameOf({ label, inputText }: Talk): string {
    const plain = `${label} ${inputText}`
    let name = this.#names.get(plain)
    if (name === undefined) this.#names.set(plain, (name = `begin ${label} ${hash('md5', inputText, 'base64')}`))
    return name
  }
}

class Beginning {
  readonly #stage: Stage
  readonly #run: SimRun
  readonly #name: string
  readonly #fault: FaultKind | undefined
  readonly #transitions: { service: string; transition: Transition }[] = []
  readonly #published: NewEvent[] = []

  constructor(stage: Stage, run: SimRun, how: { readonly name: string; readonly fault: FaultKind | undefined }) {
    this.#stage = stage
    this.#run = run
    this.#name = how.name
    this.#fault = how.fault
  }

  async run(talk: Talk): Promise<Begun> {
    const { begin } = this.#stage.options
    const app: SimApp = {
      services: this.#stage.choreography.services,
      transact: (service, work) => this.#transact(typeof service === 'string' ? service : service.name, work as never),
      publish: async (events) => this.#publish(events),
    }
    const { env } = this.#run
    this.#enter(env, this.#name)
    this.#stage.sandbox.env = env
    try {
      if (begin) await this.#stage.guard(env, begin(app, talk.input))
      else {
        const { contract } = this.#stage.choreography.starts[0]!
        this.#publish((contract as unknown as (data: unknown) => never)(talk.input))
      }
    } catch (error) {
      if (!(error instanceof Died)) throw error
    } finally {
      env.invocation = undefined
    }
    return { transitions: this.#transitions, published: this.#published }
  }

  #enter(env: SimEnv, name: string): void {
    const none = { service: '', reaction: '', eventId: '', eventType: '', key: '', correlationId: '' }
    env.invocation = { ...none, name, role: 'begin', timeMs: this.#run.floorMs } satisfies Invocation
  }

  #publish(returned: Returned): void {
    const where = 'publish()'
    const { settings } = this.#stage.parts[0]!
    const emitter = { where, source: 'outside', reaction: null, cause: null, declared: null }
    const { env } = this.#run
    env.floorMs = this.#run.floorMs
    this.#published.push(
      ...newEvents(
        emittedList(withIds(returned, `${this.#name}!${this.#published.length}`, env) as Returned, where),
        emitter,
        { ...settings, env },
      ),
    )
  }

  async #transact(service: string, work: Parameters<SimApp['transact']>[1]): Promise<void> {
    const machine = this.#stage.machine(service)
    const number = this.#transitions.length + 1
    const { floorMs } = this.#run
    const isFirst = number === 1
    const fault = isFirst ? this.#fault : undefined
    const input = {
      kind: 'work', key: `${this.#name}#${number}`, name: `${this.#name}#${number}`, floorMs, fault,
      work: (process: SimProcess, env: SimEnv) => transaction(process, env, work),
    } as const // prettier-ignore
    const outer = this.#stage.sandbox.env
    const transition = await machine.step(this.#run.states.get(service)!, input, true)
    this.#stage.sandbox.env = outer
    this.#run.states.set(service, transition.to)
    this.#transitions.push({ service, transition })
    if (transition.crashed) throw new Died()
  }
}

async function transaction(process: SimProcess, env: SimEnv, work: Parameters<SimApp['transact']>[1]): Promise<void> {
  const { service, settings } = process.part
  const { invocation } = env
  await process.ledger.transact(async (tx) => {
    const context = {
      get db(): never {
        return service.db?.open(tx.handle) as never
      },
      now: () => new Date(env.now()),
      random: () => env.random(),
      uuid: () => env.uuid(),
    }
    const returned = await work(context)
    env.invocation = invocation
    const where = `transact() of ${service.name}`
    const emitter = { where, source: service.name, reaction: null, cause: null, declared: null }
    const identified = withIds(returned, invocation!.name, env) as Returned
    await tx.append(newEvents(emittedList(identified, where), emitter, { ...settings, env }))
  })
}
