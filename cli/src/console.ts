/** Where a command reads and writes, so that tests can stand in for the terminal. */
import { styleText } from 'node:util'

/** The surroundings of one run. */
export interface Console {
  /** Paths are relative to it. */
  readonly cwd: string
  /** Whether somebody looks: colours then. */
  readonly colour: boolean
  /** How many characters fit into a line. */
  readonly columns: number
  readonly out: (text: string) => void
  readonly err: (text: string) => void
}

/** Where the output goes to a file; and the widest that is still good to read. */
const defaultColumns = 100
const columnsMax = 120

/** The terminal of this process. */
export const terminal = (): Console => ({
  cwd: process.cwd(),
  colour: wantsColour(),
  columns: Math.min(process.stdout.columns ?? defaultColumns, columnsMax),
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
})

function wantsColour(): boolean {
  const { NO_COLOR, FORCE_COLOR } = process.env
  if (NO_COLOR) return false
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== '0'
  return process.stdout.isTTY
}

type Style = Parameters<typeof styleText>[0]

/** Paints text where colours are wanted. */
export const painter =
  ({ colour }: Pick<Console, 'colour'>) =>
  (style: Style, text: string): string =>
    colour ? styleText(style, text, { validateStream: false }) : text
