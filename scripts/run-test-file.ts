// One file of tests, as a run of its own: a run of several only limits their tests, so that one process that does not end would
// hold up everything, without a word.
import { run } from 'node:test'
import { root } from './repository.ts'

/** What a file may take, and which of its tests are wanted. */
export interface Limits {
  /** A test that takes longer than this has failed. */
  readonly testTimeoutMs: number
  /** A process that takes longer than this is ended, and its file has failed. */
  readonly fileTimeoutMs: number
  /** Of names; none wants all. */
  readonly patterns?: readonly string[]
}

/** What the runner says of a test: see `TestsStream` of node:test. */
export interface TestEvent {
  readonly type: string
  readonly data: {
    readonly name?: string
    readonly file?: string
    readonly details?: { readonly error?: { readonly failureType?: string } }
  }
}

/** Resolves to what happened, in order, once the process of the file has ended. */
export async function runTestFile(path: string, limits: Limits): Promise<TestEvent[]> {
  const { patterns = [] } = limits
  const events = run({
    files: [path],
    cwd: root,
    timeout: limits.testTimeoutMs,
    signal: AbortSignal.timeout(limits.fileTimeoutMs),
    execArgv: ['--conditions=quadrille-source'],
    ...(patterns.length > 0 ? { testNamePatterns: [...patterns] } : {}),
  })
  const all: TestEvent[] = await events.toArray()
  // What has no file is the sum of this run alone.
  return all.filter(({ data }) => data.file !== undefined)
}

/** Whether a failed file was ended because its time was over. */
export const wasCutOff = ({ details }: TestEvent['data']): boolean => details?.error?.failureType === 'testAborted'
