/** How a run is doing: one line that is drawn again and again on a terminal, or a line now and then elsewhere. */
import type { WriteStream } from 'node:tty'

export interface Progress {
  /** Shows the line; on a terminal it replaces the one before. */
  show(line: string): void
  /** Prints something that stays. */
  say(text: string): void
}

const plainEveryMs = 2_000

/** Says nothing at all. */
export const silent: Progress = { show: () => {}, say: () => {} }

export function progressOn(out: WriteStream): Progress {
  if (!out.isTTY) return plainProgress(out)
  let drawn = false
  const clear = () => {
    if (drawn) out.write('\r\x1b[2K')
    drawn = false
  }
  return {
    show(line) {
      clear()
      out.write(line.slice(0, out.columns - 1))
      drawn = true
    },
    say(text) {
      clear()
      out.write(`${text}\n`)
    },
  }
}

function plainProgress(out: WriteStream): Progress {
  let last = { line: '', at: -Infinity }
  return {
    show(line) {
      if (line === last.line || performance.now() - last.at < plainEveryMs) return
      last = { line, at: performance.now() }
      out.write(`${line}\n`)
    },
    say: (text) => void out.write(`${text}\n`),
  }
}
