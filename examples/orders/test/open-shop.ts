/** For tests over HTTP: the whole shop in this process, with a provider and a mailbox of its own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { startMailbox } from '../src/mailbox/mailbox-server.ts'
import { startProvider } from '../src/payment-provider/provider-server.ts'
import { calm, type TroublePlan } from '../src/payment-provider/trouble.ts'
import { serviceNames, startWorker, type ServiceName } from '../src/running/worker.ts'

export async function openShop(
  t: TestContext,
  { trouble = calm, services = serviceNames }: { trouble?: TroublePlan; services?: readonly ServiceName[] } = {},
) {
  const data = await mkdtemp(join(tmpdir(), 'quadrille-api-'))
  const provider = await startProvider({ file: ':memory:', trouble })
  const mailbox = await startMailbox()
  const worker = await startWorker({
    database: join(data, 'orders.db'),
    services,
    provider: provider.url,
    mailbox: mailbox.url,
    port: 0,
  })
  t.after(async () => {
    try {
      await worker.stop()
    } finally {
      await Promise.all([mailbox.close(), provider.close()])
      await rm(data, { recursive: true })
    }
  })
  const api = worker.api!
  const post = (body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${api}/orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
  return { api, mailbox, post }
}

export const lampOrder = { customerId: 'ada', items: [{ productId: 'lamp', quantity: 2 }] }

/** Reads a stream of server-sent events to its end, or until `until` says it is enough. */
export async function readEvents(
  response: Response,
  until: (event: string) => boolean = () => false,
): Promise<{ event: string; data: Record<string, unknown> }[]> {
  const events: { event: string; data: Record<string, unknown> }[] = []
  let rest = ''
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream())) {
    const frames = (rest + chunk).split('\n\n')
    rest = frames.pop()!
    for (const frame of frames) {
      const event = /^event: (.*)$/m.exec(frame)![1]!
      events.push({ event, data: JSON.parse(/^data: (.*)$/m.exec(frame)![1]!) as Record<string, unknown> })
      if (until(event)) return events
    }
  }
  return events
}
