/** Runs an app for as long as somebody invokes it: for functions whose process is frozen or ended between invocations. */
import { QuadrilleError, sleep } from '../base/index.ts'
import type { App } from './app.ts'

/** What an invocation reserves at its end for stopping the app, milliseconds. */
const stopMs = 2_000

/** See {@link invocations}. */
export interface Invocations {
  /**
   * Starts the app, or shares the one of an invocation that is under way; does `work`; waits until everything that can be
   * done now is done, or little is left of the time; and stops the app when it is the last. What is not done then is in
   * the ledger, and goes on with the next invocation, here or elsewhere.
   *
   * @param leftMs - How much time the invocation still has, milliseconds.
   * @throws what starting throws, what `work` throws, or what stopping throws when `work` has not: it is done then.
   */
  run<T>(work: (app: App) => Promise<T>, leftMs: () => number): Promise<T>
}

/**
 * An app for a function that runs on invocation (AWS Lambda, Azure Functions, HTTP push). Between invocations nothing of
 * it runs: a process that is frozen with a transaction open or a lease in hand would be in the way of others. So its
 * ledger must outlive it, and be shared by all instances: PostgreSQL, or SQLite on a disk that is mounted.
 *
 * Retries, timers and deadlines that fall due between invocations need one: invoke it on a schedule, too.
 *
 * @param start - Starts the app: called anew after each pause, so it makes its ledger itself.
 *
 * @example
 * ```ts run
 * import { event, invocations, service, start } from 'quadrille'
 * import { sqlite } from 'quadrille/sqlite'
 * import { mkdtempSync, rmSync } from 'node:fs'
 * import { tmpdir } from 'node:os'
 * import { join } from 'node:path'
 * import * as z from 'zod'
 *
 * const folder = mkdtempSync(join(tmpdir(), 'quadrille-'))
 * const Greeted = event('greeted', { key: 'name', schema: z.object({ name: z.string() }) })
 * const seen: string[] = []
 * const greeter = service('greeter').on(Greeted, ({ name }) => void seen.push(name))
 *
 * const app = invocations(() => start({ services: [greeter], ledger: sqlite(join(folder, 'greeter.db')) }))
 * await app.run((running) => running.publish(Greeted({ name: 'Ada' })), () => 10_000)
 * seen // => ['Ada']
 * rmSync(folder, { recursive: true })
 * ```
 */
export function invocations(start: () => Promise<App>): Invocations {
  let users = 0
  let started: Promise<App> | undefined
  let stopped: Promise<void> | undefined

  const enter = async (): Promise<App> => {
    for (let stopping = stopped; stopping !== undefined; stopping = stopped) {
      await stopping
      if (stopped === stopping) stopped = undefined
    }
    users += 1
    started ??= start()
    try {
      return await started
    } catch (error) {
      users -= 1
      if (users === 0) started = undefined
      throw error
    }
  }

  const leave = async (app: App, leftMs: () => number): Promise<void> => {
    users -= 1
    if (users > 0) return
    started = undefined
    const stopping = app.stop({ deadline: Math.max(0, Math.min(stopMs, leftMs())) })
    stopped = stopping.catch(() => {})
    await stopping
  }

  return {
    async run(work, leftMs) {
      const app = await enter()
      let result
      try {
        result = await work(app)
        await untilQuiet(app, leftMs() - stopMs)
      } catch (error) {
        // What went wrong first is what the caller has to know.
        await leave(app, leftMs).catch(() => {})
        throw error
      }
      await leave(app, leftMs)
      return result
    },
  }
}

/** Resolves when the app is quiet, or after the time. */
async function untilQuiet(app: App, forMs: number): Promise<void> {
  if (forMs <= 0) return
  const ended = new AbortController()
  const late = sleep(app.env, forMs, ended.signal)
  try {
    await Promise.race([app.quiet(), late])
  } catch (error) {
    // Another invocation has stopped the app: then there was nothing left to wait for.
    if (!(error instanceof QuadrilleError)) throw error
  } finally {
    ended.abort()
  }
}
