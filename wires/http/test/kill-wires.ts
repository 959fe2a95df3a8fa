/** The wire of the processes of kill.test.ts: those who hear share one port, over which the kernel spreads connections. */
import { createServer } from 'node:http'
import type { KillWires } from '@quadrille/brokers/wire-kills'
import { http, nodeListener } from '@quadrille/http'

export const wiresOf: KillWires['wiresOf'] = async ({ role, options }) => {
  const { port, mode, secret } = options as { port: number; mode: 'structured' | 'batch'; secret: string }
  if (role === 'counts') return [http({ target: { url: `http://127.0.0.1:${port}/`, mode, secret, timeout: '2s' } })]
  const wire = http({ endpoint: { secret } })
  createServer(nodeListener(wire)).listen({ port, host: '127.0.0.1', reusePort: true })
  return [wire]
}
