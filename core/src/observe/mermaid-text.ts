/** Puts any text into a Mermaid drawing so that it parses and is shown as it is. */

/** Longer texts are cut in drawings. Characters. */
export const mermaidCharsMax = 120

/** Everything else is written as a character code: what Mermaid reads as syntax, comment, directive or markup is among it. */
const unsafe = /[^\p{L}\p{M}\p{N} .,_+=(){}/…×'*-]/gu

/**
 * The text for a label, message, note or title: on one line, cut to `charsMax` characters, special characters as
 * codes (`#35;`). An empty text becomes `(none)`.
 *
 * @example
 * ```ts run
 * import { mermaidText } from 'quadrille/observe'
 *
 * mermaidText('charge #7; "declined"') // => 'charge #35;7#59; #34;declined#34;'
 * ```
 */
export function mermaidText(text: string, charsMax: number = mermaidCharsMax): string {
  const line = oneLine(text, charsMax)
  return line === '' ? '(none)' : line.replace(unsafe, (character) => `#${character.codePointAt(0)};`)
}

/** The text without line breaks and control characters, cut to `charsMax` characters. */
export function oneLine(text: string, charsMax: number = mermaidCharsMax): string {
  const line = text
    .toWellFormed()
    .replace(/[\s\p{Cc}\p{Cf}]+/gu, ' ')
    .trim()
  // A cut must not leave half of a character behind.
  return line.length > charsMax ? `${line.slice(0, charsMax - 1).replace(/[\ud800-\udbff]$/, '')}…` : line
}

/** Who takes part in a sequence diagram, in the order in which they are first named. */
export class Participants {
  readonly #ids = new Map<string, { readonly id: string; readonly kind: 'actor' | 'participant' }>()

  /** The id of a service in the drawing. */
  service(name: string): string {
    return this.#idOf('participant', name)
  }

  /** The id of someone outside in the drawing, who is drawn as a person. */
  outside(name: string): string {
    return this.#idOf('actor', name)
  }

  /** The lines that declare them. */
  get lines(): readonly string[] {
    return [...this.#ids].map(
      ([key, { id, kind }]) => `${kind} ${id} as ${mermaidText(key.slice(key.indexOf(' ') + 1))}`,
    )
  }

  #idOf(kind: 'actor' | 'participant', name: string): string {
    const key = `${kind} ${name}`
    const known = this.#ids.get(key)
    if (known) return known.id
    const id = `p${this.#ids.size}`
    this.#ids.set(key, { id, kind })
    return id
  }
}

/** Lines of a drawing, indented under its first line. */
export function drawing(head: string, lines: readonly string[]): string {
  return `${[head, ...lines.map((line) => `  ${line}`)].join('\n')}\n`
}
