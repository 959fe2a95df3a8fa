/** Structured logs in pino's call shape, so that a pino logger can be handed in as it is. */

/** What the runtime logs to: the four levels of pino, each `(facts, message)`. */
export interface Logger {
  debug(facts: object, message: string): void
  info(facts: object, message: string): void
  warn(facts: object, message: string): void
  error(facts: object, message: string): void
}

const line = (level: string) => (facts: object, message: string) => {
  console.error(`quadrille ${level} ${message} ${factsText(facts)}${stackOf(facts)}`)
}

/** Where pino's loggers look for an error, too. */
function stackOf({ err }: { readonly err?: unknown }): string {
  return err instanceof Error && err.stack ? `\n${err.stack}` : ''
}

/** A log line must never be what fails: facts that are not JSON are left out, and the line says so. */
function factsText(facts: object): string {
  try {
    return JSON.stringify(facts, errorAsText)
  } catch (error) {
    return `(facts that are not JSON: ${(error as Error).message.split('\n')[0]})`
  }
}

function errorAsText(_name: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  return value instanceof Error ? value.message : value
}

/** The default: warnings and errors as one line each on standard error, followed by the stack of `err`; nothing else. */
export const consoleLogger: Logger = { debug: () => {}, info: () => {}, warn: line('warn'), error: line('error') }

/** Says nothing. */
export const silentLogger: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
