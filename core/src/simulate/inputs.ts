/** What conversations start with: given as a list, a function or an arbitrary, or made from the start event's JSON Schema. */
import { QuadrilleError } from '../base/index.ts'
import type { AnyContract } from '../contracts/index.ts'
import { FastCheckRandom } from './fast-check-random.ts'
import type { ArbitraryLike, Generated, SimulationOptions } from './options.ts'
import { Randomness } from '../base/randomness.ts'
import { sampleOf } from './schema-sample.ts'
import type { Stage } from './stage.ts'

/** Makes inputs; the same seed and place give the same. */
export class Inputs {
  readonly #given: SimulationOptions['inputs']
  readonly #stage: Stage
  /** What an arbitrary has made, as it knows how to make it smaller. */
  readonly #generated = new Map<string, Generated<unknown>>()

  /** Of the start event; schema libraries make it anew each time. */
  #schema: Record<string, unknown> | undefined

  constructor(options: SimulationOptions, stage: Stage) {
    this.#given = options.inputs
    this.#stage = stage
  }

  /** How many different ones are worth an exhaustive search of their own. */
  get distinct(): number {
    return Array.isArray(this.#given) ? this.#given.length : 1
  }

  /** How many conversations there can be at once: of a list, each input only once, as two of one key would be one. */
  get togetherMax(): number {
    return Array.isArray(this.#given) ? this.#given.length : Infinity
  }

  /** The input of one conversation. `variety` 0 is the plainest. */
  make(variety: number, index: number): unknown {
    const given = this.#given
    if (given === undefined) return this.#fromSchema(variety, index)
    if (Array.isArray(given)) {
      if (given.length === 0) throw new QuadrilleError('SIMULATION_INVALID', { problem: '`inputs` is empty' })
      return (given as readonly unknown[])[(variety + index) % given.length]
    }
    const random = new Randomness(variety * 31 + index)
    if (typeof given === 'function') return given(() => random.next(), index)
    return this.#know((given as ArbitraryLike<unknown>).generate(new FastCheckRandom(random) as never, undefined))
  }

  /** Simpler inputs than this one, of which an arbitrary knows many; of inputs made from a schema there is the plainest. */
  *smaller(input: unknown, index: number): Iterable<unknown> {
    const given = this.#given
    if (given === undefined) yield this.make(0, index)
    const made = this.#generated.get(JSON.stringify(input))
    if (made === undefined) return
    const arbitrary = given as ArbitraryLike<unknown>
    for (const smaller of arbitrary.shrink?.(made.value, made.context) ?? []) yield this.#know(smaller)
  }

  #know(made: Generated<unknown>): unknown {
    this.#generated.set(JSON.stringify(made.value), made)
    return made.value
  }

  #fromSchema(variety: number, index: number): unknown {
    const { starts } = this.#stage.choreography
    const { contract, pattern } = starts[0]!
    const schema = (this.#schema ??= schemaOf(contract))
    const hints = (field: string) => this.#seeded(field)
    const made = sampleOf(schema, { random: new Randomness(variety * 31 + index), plain: variety === 0, hints })
    return { ...(made as object), ...(pattern as object | undefined), [contract.key]: `${contract.key}-${index + 1}` }
  }

  /** What the services' first rows hold in a column of this name: an id that exists is a better input than any text. */
  #seeded(field: string): readonly unknown[] {
    const name = field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    for (const { tables } of this.#stage.parts) {
      for (const table of tables.tables()) {
        const column = table.columns.findIndex((each) => each === name || each === field)
        if (column < 0) continue
        const values = tables.contents(table).map((row) => row[column])
        if (values.length > 0) return values
      }
    }
    return []
  }
}

function schemaOf(contract: AnyContract): Record<string, unknown> {
  try {
    return contract.jsonSchema()
  } catch {
    throw new QuadrilleError('SIMULATION_INVALID', {
      problem: `${contract.type} has no JSON Schema to make inputs from; give \`inputs\``,
    })
  }
}
