/** Places in the user's source as a reader wants them. */
import { relative, sep } from 'node:path'

/** `file:line` relative to the folder where the command runs, when it is below it. */
export function shownPlace(at: string, cwd: string): string {
  if (at === '') return ''
  const near = relative(cwd, at)
  return near.startsWith('..') ? at : near.split(sep).join('/')
}

export function splitPlace(at: string): { file: string; line: string } {
  const colon = at.lastIndexOf(':')
  return { file: at.slice(0, colon), line: at.slice(colon + 1) }
}
