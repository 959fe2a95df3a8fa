/** What the source of a `call` tells about it. The source is read as text: good enough for a warning, not for a proof. */

/** What the source of a `call` tells. It is read as text, so it is a hint and no proof. */
export interface CallDescription {
  /** Whether it takes the idempotency key, or makes one of its own; null when the source does not tell. */
  readonly usesKey: boolean | null
  /** True when it makes a result of every error: it has a `catch` that never throws. */
  readonly swallowsErrors: boolean
}

type Callable = (...parameters: never[]) => unknown

/** The name of a function as its author wrote it; empty when there is none. */
export function nameOf({ name }: Callable): string {
  // An arrow function in an options object is called after its option.
  return ['run', 'call', 'late', 'handler', 'anonymous'].includes(name) ? '' : name
}

/** Null without a `call`. */
export function describeCall(call: Callable | undefined): CallDescription | null {
  if (call === undefined) return null
  const source = withoutComments(Function.prototype.toString.call(call))
  return { usesKey: usesKey(source, call.length), swallowsErrors: swallowsErrors(source) }
}

const withoutComments = (source: string): string =>
  source.replace(/\/\*[\s\S]*?\*\/|(^|[^:])\/\/.*$/gm, (_, before: string | undefined) => before ?? '')

/** What is something else at every try. */
const changing = /\battempt\b|randomUUID|\buuid\w*\(|nanoid|Math\.random|Date\.now|new Date\(\)|\bnow\(\)/
/** A key, and what it is made of. */
const keyMade = /\b(?:idempoten\w*|dedup\w*|request_?id|message_?id|\w*key)\s*:\s*(`[^`]*`|[^,}\n]*)/gi

/** A call that asks nobody, such as a stub, needs no key; what hands its whole context on may use it there. */
function usesKey(source: string, parameters: number): boolean | null {
  if (source.includes('[native code]') || parameters === 0) return null
  // A key that is made anew for every try is none.
  if (parameters === 1 && changing.test(source)) return false
  const keys = [...source.matchAll(keyMade)].map(([, value = '']) => value)
  if (keys.some((value) => changing.test(value))) return false
  if (/idempoten|dedup|request_?id|message_?id|key/i.test(source)) return true
  const arrow = source.indexOf('=>')
  const body = source.slice(arrow < 0 ? source.indexOf('{') : arrow + 2)
  if (!/[\w$\])]\s*\(/.test(body.replace(/\b(if|return|for|while|switch|await|catch|typeof|throw)\b/g, ' ;')))
    return null
  if (parameters === 1) return false
  const named = /^[^(]*\((?:[^{},()]+|\{[^}]*\})(?::[^,()]+)?,\s*([\w$]+)\s*\)/.exec(source)?.[1]
  if (named !== undefined) return usesOnly(body, named) ? false : null
  const second = /^[^(]*\((?:[^{},]+|\{[^}]*\}),\s*(\{[^}]*\})/.exec(source)?.[1]
  return second === undefined || second.includes('...') ? null : false
}

function swallowsErrors(source: string): boolean {
  return /\bcatch\b\s*[({]/.test(source) && !/\bthrow\b|Promise\.reject/.test(source)
}

/** Whether nothing but fields of the context is used: handed on as a whole, its key may be used there. */
function usesOnly(body: string, name: string): boolean {
  const uses = body.split(new RegExp(`\\b${name.replaceAll('$', '\\$')}\\b`)).slice(1)
  return uses.every((rest) => /^\s*\??\.\s*\w/.test(rest))
}
