/** A process that takes part: handles events on a ledger and tells what it does, one line each. Started by processes.test.ts. */
import { event, service, silentLogger, sleep, start, systemEnv } from 'quadrille'
import { pgClient, postgres } from '@quadrille/postgres'
import * as z from 'zod'

/** What a member is told, as JSON in its first argument. */
export interface MemberOptions {
  readonly url: string
  readonly schema: string
  readonly name: string
  /** How wrong its clock is. */
  readonly shiftMs: number
  readonly lease?: number
}

/** Kills the process that handles it, when it looks at it: whoever publishes it has no options, and lives. */
export const deadlyId = 'deadly'
const survived = (id: string): boolean => {
  if (id === deadlyId && process.argv[2] !== undefined) for (process.kill(process.pid, 'SIGKILL'); ;);
  return true
}
const AskedSchema = z.object({ id: z.string().refine(survived) })
export const Asked = event('asked', { key: 'id', schema: AskedSchema })
export const Answered = event('answered', { key: 'id', schema: z.object({ id: z.string() }) })

const tell = (line: string): void => void process.stdout.write(`${line}\n`)

async function run({ url, schema, name, shiftMs, lease }: MemberOptions): Promise<void> {
  const answering = service('answering', { db: pgClient() }).on(
    Asked,
    { emits: [Answered] },
    async ({ id }, { db }) => {
      await db.query(`UPDATE "${schema}_user".hot SET n = n + 1`)
      if (id.startsWith('slow') && name === 'first') {
        tell(`inside ${id}`)
        await sleep(systemEnv, 500)
      }
      await db.query(`INSERT INTO "${schema}_user".done (id, member) VALUES ($1, $2)`, [id, name])
      return Answered({ id })
    },
  )
  const app = await start({
    services: [answering],
    ledger: postgres(url, { schema }),
    policy: { retry: { attempts: 3, base: 20, max: 100 } },
    lease,
    env: { ...systemEnv, now: () => systemEnv.now() + shiftMs },
    log: silentLogger,
    hooks: {
      leases: ({ held }) => tell(`held ${held}`),
      handled: ({ event: { key } }) => tell(`handled ${key}`),
    },
  })
  tell('ready')
  process.once('SIGTERM', () => void app.stop().then(() => process.exit(0)))
}

if (process.argv[2] !== undefined) await run(JSON.parse(process.argv[2]) as MemberOptions)
