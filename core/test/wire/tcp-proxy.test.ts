/** The proxy of the conformance suite leaves nothing open, whatever state its connections are in. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, it } from 'node:test'
import { reset } from '../../src/wire/conformance/tcp-proxy.ts'

describe('tcp proxy', () => {
  for (const ended of [false, true])
    it(`resets a connection whose end is ${ended ? '' : 'not '}on its way: the other side sees it closed`, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      const other = connect((server.address() as AddressInfo).port, '127.0.0.1')
      const [[socket]] = (await Promise.all([once(server, 'connection'), once(other, 'connect')])) as [
        [Socket],
        unknown,
      ]
      // It reads nothing by itself: nobody but the one who resets ends this connection.
      const closed = new Promise<string>((resolve) => {
        other.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''))
        other.on('end', () => resolve('end'))
        other.resume()
      })
      const failures: unknown[] = []
      socket.on('error', (error) => failures.push(error))
      if (ended) socket.end()
      reset(socket)
      assert.equal(await closed, ended ? 'end' : 'ECONNRESET')
      assert.deepEqual(failures, [])
      other.destroy()
      server.close()
      await once(server, 'close')
    })
})
