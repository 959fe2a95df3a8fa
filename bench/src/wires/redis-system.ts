/** Redis Streams: the wire, and ioredis by itself with the same entries. */
import { Redis } from 'ioredis'
import { redis } from '@quadrille/redis'
import type { WireSystem } from './wire-systems.ts'

const count = 256
const group = 'raw'

export const redisSystem: WireSystem = {
  broker: 'redis',
  goal: 0.7,
  wire: async (url, place) => redis({ url, prefix: place }),
  async rawSender(url, topic) {
    const client = new Redis(url, { protocol: 2 })
    return {
      async send(messages) {
        const transaction = client.multi()
        for (const { attributes, body } of messages) {
          const { type } = attributes
          transaction.xadd(topic, '*', 'type', type!, 'data', Buffer.from(body), 'ce', JSON.stringify(attributes))
        }
        await transaction.exec()
      },
      async close() {
        client.disconnect()
      },
    }
  },
  async rawReceiver({ url, topic }, got) {
    const reader = new Redis(url, { protocol: 2 })
    const client = new Redis(url, { protocol: 2 })
    await client.xgroup('CREATE', topic, group, '0', 'MKSTREAM')
    let closed = false
    void (async () => {
      const args = ['GROUP', group, 'c', 'COUNT', count, 'BLOCK', 500, 'STREAMS', topic, '>']
      while (!closed) {
        const reply = (await reader.callBuffer('XREADGROUP', args).catch(() => null)) as [
          Buffer,
          [Buffer, Buffer[]][],
        ][]
        const entries = reply?.[0]?.[1] ?? []
        for (const [, fields] of entries) got(fields[3]!)
        if (entries.length > 0) await client.xack(topic, group, ...entries.map(([id]) => id))
      }
    })()
    return {
      async close() {
        closed = true
        reader.disconnect()
        client.disconnect()
      },
    }
  },
}
