/** Understands the command line, and says what there is when it does not. */
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'

/** The command line makes no sense; the message says what does. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** What an option takes: nothing, a text, or a number. */
export interface OptionKind {
  readonly takes: 'nothing' | 'text' | 'number'
  readonly says: string
}

export type OptionKinds = Readonly<Record<string, OptionKind>>

export interface Given {
  readonly flags: ReadonlySet<string>
  readonly texts: ReadonlyMap<string, string>
  /** The number given, or the default. @throws UsageError when it is not a number above zero. */
  number(name: string, otherwise: number): number
}

/** Options as lines for people. */
export function listed(kinds: OptionKinds): string {
  const lines = Object.entries(kinds).map(([name, { takes, says }]) => {
    const shown = takes === 'nothing' ? `--${name}` : `--${name} <${takes}>`
    return `  ${shown.padEnd(24)}${says}`
  })
  return lines.join('\n')
}

/** @throws UsageError for what is not among the options. */
export function parse(argv: readonly string[], kinds: OptionKinds): Given {
  const options: ParseArgsOptionsConfig = Object.fromEntries(
    Object.entries(kinds).map(([name, { takes }]) => [name, { type: takes === 'nothing' ? 'boolean' : 'string' }]),
  )
  let values: Readonly<Record<string, unknown>>
  try {
    values = parseArgs({ args: [...argv], options, strict: true, allowPositionals: false }).values
  } catch (error) {
    throw new UsageError(`${(error as Error).message.split('. ')[0]}. There is:\n${listed(kinds)}`)
  }
  const entries = Object.entries(values)
  const texts = new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'))
  return {
    flags: new Set(entries.filter(([, value]) => value === true).map(([name]) => name)),
    texts,
    number(name, otherwise) {
      const text = texts.get(name)
      if (text === undefined) return otherwise
      const value = countOf(text)
      if (value === undefined) throw new UsageError(`--${name} takes a number above zero, not ${JSON.stringify(text)}`)
      return value
    },
  }
}

/** A number as `250`, `10k` or `1.5m`; undefined for anything else. */
export function countOf(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([km]?)$/i.exec(text.trim())
  if (!match) return undefined
  const value = Number(match[1]) * { '': 1, k: 1_000, m: 1_000_000 }[match[2]!.toLowerCase() as '' | 'k' | 'm']
  return value > 0 ? value : undefined
}
