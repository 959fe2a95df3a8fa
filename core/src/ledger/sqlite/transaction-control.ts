/** Finds statements that would begin or end a transaction in SQL that is not ours. */

const control = new Set(['BEGIN', 'COMMIT', 'END', 'ROLLBACK', 'SAVEPOINT', 'RELEASE'])

/** One token: a comment or space, a string or quoted name, a word, or a single character. */
const token =
  /(\s+|--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|('(?:[^']|'')*'?|"(?:[^"]|"")*"?|`(?:[^`]|``)*`?|\[[^\]]*\]?)|([A-Za-z_][\w$]*)|([\s\S])/g

/** What is known of the statement that is being scanned. */
interface Scan {
  /** Its first words, as many as are needed to recognise CREATE TEMP TRIGGER. */
  words: string[]
  isTrigger: boolean
  /** The last token that was not space, upper case when a word. */
  last: string
}

const fresh = (): Scan => ({ words: [], isTrigger: false, last: '' })

function see(scan: Scan, word: string): void {
  if (scan.words.length < 3) {
    scan.words.push(word)
    scan.isTrigger = scan.words[0] === 'CREATE' && scan.words.slice(1).includes('TRIGGER')
  }
  scan.last = word
}

/**
 * The first statement of `sql` that controls the transaction, as its first word; undefined when there is none.
 * The statements inside CREATE TRIGGER ... END are no statements of their own (as in sqlite3_complete).
 */
export function transactionControl(sql: string): string | undefined {
  let scan = fresh()
  for (const [, space, quoted, word, other] of sql.matchAll(token)) {
    if (space !== undefined) continue
    if (other === ';') {
      if (!scan.isTrigger || scan.last === 'END') scan = fresh()
      else scan.last = ';'
      continue
    }
    const text = word?.toUpperCase() ?? quoted ?? other ?? ''
    if (scan.words.length === 0 && control.has(text)) return text
    see(scan, text)
  }
  return undefined
}
