/** What the SDK leaves pending is ended by close(): a process whose wire is closed ends by itself. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { startServiceBus } from '@quadrille/brokers/service-bus'

/** Receives, with accepts that wait; closes when it is told to; and tells what then keeps the process. */
const script = `
  import { once } from 'node:events'
  import { serviceBus } from '@quadrille/azure'
  import { silentLogger, systemEnv } from 'quadrille'
  const wire = serviceBus({ connectionString: process.argv[1], timeout: '2s' })
  await wire.open({ env: systemEnv, log: silentLogger, sends: [], notice() {} })
  const types = [{ type: 'a', patterns: null }]
  await wire.receive({ service: 's', types, from: 'now', instance: 'i' }, async () => {})
  console.log('receiving')
  await once(process.stdin, 'data')
  process.stdin.destroy()
  await wire.close()
  for (let turn = 0; turn < 5; turn++) await new Promise(setImmediate)
  const left = process.getActiveResourcesInfo().filter((kind) => ['Timeout', 'TCPSocketWrap'].includes(kind))
  console.log(JSON.stringify(left))`

for (const lost of [false, true])
  test(`nothing keeps a process whose wire is closed${lost ? ' when its connection is lost' : ''}`, async (t) => {
    const server = await startServiceBus()
    t.after(() => server.kill())
    const options = ['--conditions=quadrille-source', '--input-type=module', '--eval', script]
    const child = spawn(process.execPath, [...options, server.connectionString], { cwd: import.meta.dirname })
    t.after(() => child.kill('SIGKILL'))
    let out = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text))
    child.stderr.pipe(process.stderr)
    while (!out.includes('receiving')) await once(child.stdout, 'data')
    while ([...server.topics.values()].every(({ subscriptions }) => subscriptions.get('s')!.waiting < 4))
      await new Promise((done) => setTimeout(done, 5))
    if (lost) await server.kill()
    child.stdin.write('close\n')
    await once(child, 'close')
    assert.equal(out, 'receiving\n[]\n')
  })
