/** Records a CPU profile of one stretch of work, and sums up where its time went. */
import { readFileSync, writeFileSync } from 'node:fs'
import { Session } from 'node:inspector/promises'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { round } from './statistics.ts'

const samplingMicros = 200
const repository = fileURLToPath(new URL('../../', import.meta.url))

/** Runs `work`; with a file, under the profiler, and writes there what Chrome DevTools and others can open. */
export async function profiled<T>(file: string | undefined, work: () => Promise<T>): Promise<T> {
  if (file === undefined) return work()
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.setSamplingInterval', { interval: samplingMicros })
  await session.post('Profiler.start')
  try {
    return await work()
  } finally {
    const { profile } = await session.post('Profiler.stop')
    writeFileSync(file, JSON.stringify(profile))
    session.disconnect()
  }
}

interface Profile {
  readonly nodes: readonly {
    readonly id: number
    readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number }
    readonly children?: readonly number[]
  }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

/** Time spent in a function itself, or in a file. */
export interface SelfTime {
  readonly name: string
  readonly microsPerOrder: number
  readonly share: number
}

/** Self time by function and by room of the repository (or module), dearest first. */
export function summarizeProfile(file: string, orders: number): { functions: SelfTime[]; places: SelfTime[] } {
  const profile = JSON.parse(readFileSync(file, 'utf8')) as Profile
  const nodes = new Map(profile.nodes.map((node) => [node.id, node.callFrame]))
  const functions = new Map<string, number>()
  const places = new Map<string, number>()
  let total = 0
  profile.samples.forEach((id, index) => {
    const micros = profile.timeDeltas[index + 1] ?? 0
    const { functionName, url, lineNumber } = nodes.get(id)!
    const place = placeOf(url, functionName)
    const name = url === '' ? functionName : `${functionName || '(anonymous)'} ${place}:${lineNumber + 1}`
    functions.set(name, (functions.get(name) ?? 0) + micros)
    places.set(place, (places.get(place) ?? 0) + micros)
    total += micros
  })
  const list = (found: ReadonlyMap<string, number>): SelfTime[] =>
    [...found]
      .map(([name, micros]) => ({ name, microsPerOrder: round(micros / orders, 2), share: round(micros / total, 4) }))
      .toSorted((a, b) => b.microsPerOrder - a.microsPerOrder)
  return { functions: list(functions), places: list(places) }
}

function placeOf(url: string, functionName: string): string {
  if (url === '') return functionName.startsWith('(') ? functionName : '(native)'
  if (!url.startsWith('file:')) return url
  const path = relative(repository, fileURLToPath(url))
  const dependency = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)
  return dependency ? dependency[1]! : path
}
