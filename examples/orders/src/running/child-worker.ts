/** A worker as a process of its own: how main starts one, and what happens inside it. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { isQuiet, startWorker, type WorkerOptions } from './worker.ts'

/** What main asks of a child. */
type Wish = 'stop' | 'are you quiet?'

/** What a child says when it can be used. */
interface Ready {
  readonly ready: true
  readonly api: string | null
}

export interface Child {
  readonly api: string | undefined
  /** Resolves when the process is gone, for whatever reason. */
  readonly gone: Promise<void>
  /** SIGKILL: nothing in it gets a chance to tidy up. Resolves when the process is gone. */
  kill(): Promise<void>
  /** True when it has nothing left to do; false also when it does not answer any more. */
  isQuiet(): Promise<boolean>
  /** Asks it to finish what it has in hand. */
  stop(): Promise<void>
}

export async function startChild(options: WorkerOptions): Promise<Child> {
  const child = fork(new URL('./child-main.ts', import.meta.url), [JSON.stringify(options)])
  const exited = once(child, 'exit') as Promise<[number | null]>
  const [first] = (await Promise.race([once(child, 'message'), exited])) as [Ready | number | null]
  if (typeof first !== 'object' || first === null) throw new Error(`a worker ended with ${first} before it was ready`)
  const gone = exited.then(() => {})
  const wish = (what: Wish) => child.send(what, () => {})
  const end = async (how: (child: ChildProcess) => void) => {
    if (child.exitCode === null && child.signalCode === null) how(child)
    await exited
  }
  return {
    api: first.api ?? undefined,
    gone,
    kill: () => end((process) => process.kill('SIGKILL')),
    async isQuiet() {
      if (!child.connected) return false
      const answer = Promise.race([once(child, 'message'), gone]) as Promise<[boolean] | undefined>
      wish('are you quiet?')
      return (await answer)?.[0] === true
    },
    async stop() {
      await end(() => wish('stop'))
      if (child.exitCode !== 0)
        throw new Error(`a worker did not stop in good order: ${child.exitCode ?? child.signalCode}`)
    },
  }
}

/** Runs in the child. It stops when main says so, and when main is gone. */
export async function runChild(options: WorkerOptions): Promise<void> {
  // Ctrl-C reaches the whole group, as does whatever stops a service or a container; main decides when its children stop.
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => {})
  const worker = await startWorker(options)
  const stop = async () => {
    await worker.stop()
    process.exit(0)
  }
  process.on('message', (wish: Wish) => {
    if (wish === 'stop') void stop()
    else void isQuiet(worker.app).then((quiet) => process.send?.(quiet))
  })
  process.once('disconnect', () => void stop())
  process.send?.({ ready: true, api: worker.api ?? null } satisfies Ready)
}
