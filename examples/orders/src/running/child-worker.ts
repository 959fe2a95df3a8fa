/** A worker as a process of its own: how main starts one, and what happens inside it. */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { startWorker, type WorkerOptions } from './worker.ts'

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
  /** Asks it to finish what it has in hand. */
  stop(): Promise<void>
}

export async function startChild(options: WorkerOptions): Promise<Child> {
  const child = fork(new URL('./child-main.ts', import.meta.url), [JSON.stringify(options)])
  const exited = once(child, 'exit') as Promise<[number | null]>
  const [first] = (await Promise.race([once(child, 'message'), exited])) as [Ready | number | null]
  if (typeof first !== 'object' || first === null) throw new Error(`a worker ended with ${first} before it was ready`)
  const end = async (how: (child: ChildProcess) => void) => {
    if (child.exitCode === null && child.signalCode === null) how(child)
    await exited
  }
  return {
    api: first.api ?? undefined,
    gone: exited.then(() => {}),
    kill: () => end((process) => process.kill('SIGKILL')),
    async stop() {
      await end((process) => process.send('stop'))
      if (child.exitCode !== 0)
        throw new Error(`a worker did not stop in good order: ${child.exitCode ?? child.signalCode}`)
    },
  }
}

/** Runs in the child. It stops when main says so, and when main is gone. */
export async function runChild(options: WorkerOptions): Promise<void> {
  // Ctrl-C reaches the whole group; main decides when its children stop.
  process.on('SIGINT', () => {})
  const worker = await startWorker(options)
  const stop = async () => {
    await worker.stop()
    process.exit(0)
  }
  process.once('message', () => void stop())
  process.once('disconnect', () => void stop())
  process.send?.({ ready: true, api: worker.api ?? null } satisfies Ready)
}
