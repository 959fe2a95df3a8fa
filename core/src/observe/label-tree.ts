/** Finds the series of a metric by its label values without building a string, and bounds how many there can be. */
import { QuadrilleError } from '../base/index.ts'

/** How many series a metric may have; what comes later is counted under {@link otherLabel}. */
export interface CardinalityLimits {
  /** The most different values of one label. Default {@link labelValuesMax}. */
  readonly labelValuesMax?: number
  /** The most series of one metric, the one for `other` left out. Default {@link seriesMax}. */
  readonly seriesMax?: number
}

/** The most different values of one label of one metric, unless the registry is told otherwise. */
export const labelValuesMax = 200
/** The most series of one metric, unless the registry is told otherwise. */
export const seriesMax = 2_000
/** The value that stands for all label values beyond the limits. */
export const otherLabel = 'other'
/** A longer label value is cut. Characters. */
export const labelCharsMax = 200

/** One series: its label values, in the order of the metric's label names, and what counts it. */
export interface Series<Child> {
  readonly values: readonly string[]
  readonly child: Child
}

type Level<Child> = Map<string, Level<Child> | Series<Child>>

/** The series of one metric. */
export class LabelTree<Child> {
  readonly #names: readonly string[]
  readonly #limits: Required<CardinalityLimits>
  readonly #make: () => Child
  #root: Level<Child> = new Map()
  #seen: Set<string>[]
  #count = 0

  constructor(names: readonly string[], limits: Required<CardinalityLimits>, make: () => Child) {
    this.#names = names
    this.#limits = limits
    this.#make = make
    this.#seen = names.map(() => new Set())
  }

  /** The series with these label values, made when it is new. */
  get(values: readonly string[]): Child {
    if (values.length !== this.#names.length) this.#refuse(values)
    // A metric without labels has one series, under the empty text.
    const path = this.#names.length === 0 ? onlyPath : values
    const found = this.#find(path)
    return found ? found.child : this.#add(values)
  }

  /** Forgets every series. */
  clear(): void {
    this.#root = new Map()
    this.#seen = this.#names.map(() => new Set())
    this.#count = 0
  }

  /** Every series, sorted by its label values. */
  all(): readonly Series<Child>[] {
    const found: Series<Child>[] = []
    const visit = (level: Level<Child>): void => {
      for (const next of level.values()) {
        if (next instanceof Map) visit(next)
        else found.push(next)
      }
    }
    visit(this.#root)
    return found.sort((a, b) => compareLists(a.values, b.values))
  }

  #find(path: readonly string[]): Series<Child> | undefined {
    let at: Level<Child> | Series<Child> | undefined = this.#root
    for (let i = 0; i < path.length && at instanceof Map; i++) at = at.get(path[i]!)
    return at instanceof Map ? undefined : at
  }

  #add(values: readonly string[]): Child {
    const names = this.#names
    let kept = values.map((value, index) => this.#bounded(value, index))
    const same = this.#find(kept)
    if (same) return same.child
    if (this.#count >= this.#limits.seriesMax) {
      kept = names.map(() => otherLabel)
      const other = this.#find(kept)
      if (other) return other.child
    }
    this.#count += 1
    const series = { values: kept, child: this.#make() }
    this.#put(names.length === 0 ? onlyPath : kept, series)
    return series.child
  }

  #refuse(values: readonly string[]): never {
    const expected = `a value for each label (${this.#names.join(', ')})`
    throw new QuadrilleError('OPTION_INVALID', { option: 'labels', value: JSON.stringify(values), expected })
  }

  #put(path: readonly string[], series: Series<Child>): void {
    let level = this.#root
    for (const value of path.slice(0, -1)) {
      const next: Level<Child> = (level.get(value) as Level<Child> | undefined) ?? new Map()
      level.set(value, next)
      level = next
    }
    level.set(path[path.length - 1]!, series)
  }

  #bounded(value: string, index: number): string {
    const text = value.length > labelCharsMax ? `${value.slice(0, labelCharsMax - 1)}…` : value
    const seen = this.#seen[index]!
    if (seen.has(text) || text === otherLabel) return text
    if (seen.size >= this.#limits.labelValuesMax) return otherLabel
    seen.add(text)
    return text
  }
}

const onlyPath: readonly string[] = ['']

function compareLists(a: readonly string[], b: readonly string[]): number {
  for (let i = 0; i < a.length; i++) {
    if (a[i]! < b[i]!) return -1
    if (a[i]! > b[i]!) return 1
  }
  return 0
}
