/**
 * Stands for the world outside when nobody has said what it is like. Whatever is called answers, with an object that has
 * every field one asks for: `status` is 'succeeded', `ok` is true, everything else a text of its own. It never declines;
 * for that, give `outside`.
 */
import type { DoorContext } from './instrument.ts'
import type { Sim } from './outside.ts'
import type { Invocation } from './sim-env.ts'
import { blockedIo } from './sandbox.ts'

/** Marks an answer on its way through the ledger. */
const mark = 'quadrille.simulated'

const positive: Readonly<Record<string, unknown>> = {
  ok: true, success: true, succeeded: true, accepted: true, approved: true, paid: true, valid: true,
  status: 'succeeded', state: 'succeeded', result: 'succeeded', outcome: 'succeeded',
} // prettier-ignore

/** An object with every field. */
function everything(name: string): unknown {
  return new Proxy(
    { [mark]: name },
    {
      get(target, field) {
        // To JSON it is its mark and nothing else.
        if (typeof field === 'symbol' || field === 'then' || field === 'toJSON') return undefined
        if (field === mark) return target[mark]
        if (field in positive) return positive[field]
        if (/amount|total|price|count|quantity|cents|minor/i.test(field)) return 1
        if (/At$|date|time/i.test(field)) return '2026-01-01T00:00:00.000Z'
        return `${field}-${name}`
      },
      has: (_, field) => field !== 'toJSON',
    },
  )
}

/** Fakes of everything: whatever is taken from it can be called. */
export function autoOutside(sim: Sim, answers: AutoAnswers): unknown {
  const callable = (path: string): unknown =>
    new Proxy(function fake() {}, {
      get: (_, name) =>
        typeof name === 'symbol' || name === 'then' ? undefined : callable(path ? `${path}.${name}` : name),
      apply: () => Promise.resolve(answers.made(path, sim)),
      construct: () => callable(path) as object,
    })
  return callable('')
}

/** Answers of calls that have no fake. */
export class AutoAnswers {
  /** Calls that tried to reach the real world, by reaction, with what they tried. */
  readonly blocked = new Map<string, string>()
  /** An answer of something that stands for everything. */
  made(path: string, sim: Sim): unknown {
    return everything(`${path}-${sim.uuid().slice(-8)}`)
  }

  /** Makes a call; if it tries to get out into the real world, there is an answer that stands for it. */
  async answer(by: Invocation, make: () => Promise<unknown>): Promise<unknown> {
    const name = `${by.service}/${by.reaction}`
    const answer = () => everything(by.eventId.slice(-8))
    if (this.blocked.has(name)) return answer()
    blockedIo.last = undefined
    try {
      return await make()
    } catch (error) {
      if (blockedIo.last === undefined) throw error
      this.blocked.set(name, blockedIo.last)
      return answer()
    }
  }

  /** The answers that a handler gets have every field again, after their way through the ledger. */
  unwrap(context: DoorContext): void {
    for (const field of ['result', 'done'] as const) {
      const value = Reflect.get(context, field) as { readonly [mark]?: string } | undefined
      const name = value?.[mark]
      if (name !== undefined) Object.defineProperty(context, field, { value: everything(name) })
    }
  }
}
