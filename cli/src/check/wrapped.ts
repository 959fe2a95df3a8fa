/** Text for a terminal: lines no longer than it is wide. */

/** The text in lines of at most `width` characters, broken between words; a longer word stands alone. */
export function wrapped(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line]
}

/** A paragraph: the first line begins with `head`, the others are indented as far. */
export const paragraph = (head: string, text: string, width: number): string[] =>
  wrapped(text, Math.max(20, width - head.length)).map((line, index) =>
    index === 0 ? head + line : ' '.repeat(head.length) + line,
  )
