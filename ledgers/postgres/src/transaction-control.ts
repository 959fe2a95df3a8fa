/** Finds statements that would begin or end a transaction in SQL that is not ours. */

/** First words that begin or end a transaction as a whole. Savepoints inside it are the handler's own business. */
const control = new Set(['BEGIN', 'COMMIT', 'END', 'ABORT', 'START'])

/**
 * One token: space or a comment (they nest one level here, which is more than SQL in practice does), a string in any of
 * PostgreSQL's forms or a quoted name, a word, or a single character.
 */
const token =
  /(\s+|--[^\n]*|\/\*(?:[^*/]|\*(?!\/)|\/(?!\*)|\/\*[\s\S]*?\*\/)*(?:\*\/|$))|([eE]'(?:[^'\\]|\\[\s\S]|'')*'?|'(?:[^']|'')*'?|"(?:[^"]|"")*"?|\$([A-Za-z_]\w*)?\$[\s\S]*?(?:\$\3\$|$))|([A-Za-z_][\w$]*)|([\s\S])/g

/** The first statement of `sql` that controls the transaction, by its first words; undefined when there is none. */
export function transactionControl(sql: string): string | undefined {
  let words: string[] = []
  for (const [, space, , , word, other] of sql.matchAll(token)) {
    if (space !== undefined) continue
    if (other === ';') {
      if (isControl(words)) return words[0]
      words = []
    } else if (words.length < 4) words.push(word?.toUpperCase() ?? other ?? '')
  }
  return isControl(words) ? words[0] : undefined
}

function isControl([first = '', second, third]: readonly string[]): boolean {
  if (control.has(first)) return true
  // ROLLBACK TO [SAVEPOINT] name and ROLLBACK WORK TO ... undo to a savepoint; any other ROLLBACK ends it all.
  if (first === 'ROLLBACK') return second !== 'TO' && third !== 'TO'
  return first === 'PREPARE' && second === 'TRANSACTION'
}
