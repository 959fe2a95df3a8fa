/** Finds where in the user's source a declaration stands. */

/** This folder as it is written in stacks: sources and published files are modules, so it is an address. */
const own = new URL('.', import.meta.url).href

/** The first place on the stack outside this folder, as `file:line`; empty when the engine gives no stack. */
export function callerPlace(): string {
  const lines = new Error().stack?.split('\n').slice(1) ?? [] // eslint-disable-line -- only its stack is read
  const outside = lines.find((line) => !line.includes(own) && !line.includes('node:internal'))
  const match = outside && /(?:\(|at (?:async )?)((?:file:\/\/)?[^()]+):(\d+):\d+\)?$/.exec(outside)
  return match ? `${pathOf(match[1]!)}:${match[2]}` : ''
}

function pathOf(file: string): string {
  if (!file.startsWith('file://')) return file
  return decodeURIComponent(new URL(file).pathname).replace(/^\/(?=[A-Za-z]:)/, '')
}
