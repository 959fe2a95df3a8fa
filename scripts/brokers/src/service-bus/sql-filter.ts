/**
 * SQL filters of the test server: comparisons of application properties and of the label with texts, EXISTS, NOT, AND, OR
 * and parentheses. What is compared with a property that is missing is unknown, as in SQL, and lets nothing in.
 */
import type { Message } from 'rhea'

type Truth = boolean | null
type Predicate = (message: Message) => Truth

const tokenPattern = /\s*(?:'((?:[^']|'')*)'|\[((?:[^\]]|\]\])*)\]|([A-Za-z_][\w.]*|\d+)|([=()]))/y

interface Token {
  readonly kind: 'text' | 'property' | 'word' | 'sign'
  readonly text: string
}

function tokensOf(sql: string): Token[] {
  const tokens: Token[] = []
  const end = sql.trimEnd().length
  tokenPattern.lastIndex = 0
  while (tokenPattern.lastIndex < end) {
    const match = tokenPattern.exec(sql)
    if (!match) throw new SyntaxError(`not understood: ${sql}`)
    const [, text, property, word, sign] = match
    if (text !== undefined) tokens.push({ kind: 'text', text: text.replaceAll("''", "'") })
    else if (property !== undefined) tokens.push({ kind: 'property', text: property.replaceAll(']]', ']') })
    else if (word !== undefined) tokens.push({ kind: 'word', text: word })
    else tokens.push({ kind: 'sign', text: sign! })
  }
  return tokens
}

const valueOf = ({ kind, text }: Token, message: Message): unknown => {
  if (kind === 'text' || (kind === 'word' && /^\d/.test(text))) return text
  if (kind === 'word' && /^sys\.label$/i.test(text)) return message.subject
  return (message.application_properties as Record<string, unknown> | undefined)?.[text]
}

const both = (one: Truth, other: Truth): Truth =>
  one === false || other === false ? false : one === null || other === null ? null : true
const not = (one: Truth): Truth => (one === null ? null : !one)

/** @throws SyntaxError for SQL that this server does not understand. */
export function sqlFilter(sql: string): (message: Message) => boolean {
  const tokens = tokensOf(sql)
  let at = 0
  const is = (text: string): boolean =>
    /^(word|sign)$/.test(tokens[at]?.kind ?? '') && tokens[at]!.text.toUpperCase() === text
  const take = (text?: string): Token => {
    const token = tokens[at]
    if (!token || (text !== undefined && !is(text))) throw new SyntaxError(`not understood: ${sql}`)
    at += 1
    return token
  }
  const either = (): Predicate => {
    const parts = [all()]
    while (is('OR')) parts.push((take(), all()))
    return (message) => not(parts.map((part) => not(part(message))).reduce(both))
  }
  const all = (): Predicate => {
    const parts = [one()]
    while (is('AND')) parts.push((take(), one()))
    return (message) => parts.map((part) => part(message)).reduce(both)
  }
  const inParentheses = <T>(what: () => T): T => {
    take('(')
    const inside = what()
    take(')')
    return inside
  }
  const one = (): Predicate => {
    if (is('(')) return inParentheses(either)
    if (is('NOT')) {
      take()
      const denied = one()
      return (message) => not(denied(message))
    }
    if (is('EXISTS')) {
      take()
      const property = inParentheses(() => take())
      return (message) => valueOf(property, message) !== undefined
    }
    const left = take()
    take('=')
    const right = take()
    return (message) => {
      const values = [valueOf(left, message), valueOf(right, message)]
      return values.includes(undefined) ? null : values[0] === values[1]
    }
  }
  const whole = either()
  if (at < tokens.length) throw new SyntaxError(`not understood: ${sql}`)
  return (message) => whole(message) === true
}
