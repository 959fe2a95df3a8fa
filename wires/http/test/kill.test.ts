/** Senders and receivers of webhooks are killed at random. */
import { test } from 'node:test'
import { freePort } from '@quadrille/brokers'
import { killAtRandom } from '@quadrille/brokers/wire-kills'

const secret = `whsec_${Buffer.alloc(32, 3).toString('base64')}`

for (const mode of ['structured', 'batch'])
  test(
    `nothing is lost, doubled or turned round when processes are killed at random, or fall asleep, ${mode}`,
    { timeout: 240_000 },
    async (t) => {
      const options = { port: await freePort(), mode, secret }
      await killAtRandom(t, { wires: new URL('./kill-wires.ts', import.meta.url), options })
    },
  )
