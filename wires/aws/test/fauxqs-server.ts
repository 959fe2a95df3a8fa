/** fauxqs, which speaks for SNS and SQS, as a process of its own that can be killed. */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { freePort } from '@quadrille/brokers'
import type { Server } from './aws-setup.ts'

const answersWithinMs = 20_000

export interface Fauxqs extends Server {
  stop(): Promise<void>
}

/** With `durable`, what it has is on disk and survives a kill; that is many times slower. */
export async function startFauxqs({ durable = false } = {}): Promise<Fauxqs> {
  const folder = mkdtempSync(join(tmpdir(), 'quadrille-fauxqs-'))
  const port = await freePort()
  const start = () => run(port, durable ? { FAUXQS_DATA_DIR: folder, FAUXQS_PERSISTENCE: 'true' } : {})
  let child = await start()
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  return {
    port,
    kill,
    restart: async () => void (child = await start()),
    async stop() {
      await kill()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function run(port: number, settings: Readonly<Record<string, string>>): Promise<ChildProcess> {
  const program = fileURLToPath(new URL('server.js', import.meta.resolve('fauxqs')))
  const env = { ...process.env, FAUXQS_PORT: String(port), FAUXQS_LOGGER: 'false', ...settings }
  const child = spawn(process.execPath, [program], { env, stdio: 'ignore' })
  const latest = Date.now() + answersWithinMs
  for (;;) {
    const answered = await fetch(`http://127.0.0.1:${port}/health`).then(
      (response) => response.ok,
      () => false,
    )
    if (answered) return child
    if (child.exitCode !== null || Date.now() > latest) throw new Error('fauxqs does not start')
    await new Promise((done) => setTimeout(done, 20))
  }
}
