/** The brokers of this repository start, survive what tests do to them, and end with what started them. */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { it } from 'node:test'
import { realBroker, tcpProxy, type BrokerName } from '../src/index.ts'
import { commandLine, isOver } from '../src/process.ts'
import { isOpen } from '../src/tcp.ts'

// Each is started by the tests of its wire too; these are enough to try each way of starting: a program and a script; PostgreSQL, as root, by another user.
const tried: readonly BrokerName[] = ['redis', 'nats', 'postgres']

for (const name of tried) {
  const real = realBroker(name)
  it(`${name} starts, is killed, comes back on the same port, and leaves nothing behind`, real, async () => {
    const broker = await real.start()
    assert.ok(await isOpen(broker.port))
    const { pid } = broker
    await broker.kill()
    assert.ok(!(await isOpen(broker.port)))
    await broker.restart()
    assert.ok(await isOpen(broker.port))
    assert.notEqual(broker.pid, pid)
    await broker.stop()
    await broker.stop()
    assert.ok(!(await isOpen(broker.port)))
    assert.ok(!existsSync(broker.folder))
  })
}

it('a killed process is not over while threads of it still hold its port', () => {
  assert.deepEqual(['Z', 'Zs', 'Zsl', 'Zl+', 'Ssl', ''].map(isOver), [true, true, false, false, false, false])
})

const redis = realBroker('redis')

it('a frozen broker keeps its connections and does not answer until it is thawed', redis, async () => {
  const broker = await redis.start()
  const socket = connect({ port: broker.port, host: '127.0.0.1' })
  await once(socket, 'connect')
  broker.freeze()
  let answered = false
  const answer = once(socket, 'data').then(() => (answered = true))
  socket.write('PING\r\n')
  await waitFor(() => commandLine(broker.pid).state.startsWith('T'))
  assert.ok(!answered)
  broker.thaw()
  await answer
  socket.destroy()
  await broker.stop()
})

it('a broker ends with the process that started it, also when that is killed', redis, async () => {
  const script = `
    import { realBroker } from '@quadrille/brokers'
    const broker = await realBroker('redis').start()
    console.log(JSON.stringify([broker.pid, broker.folder]))
    setInterval(() => undefined, 1000)`
  const child = spawn(process.execPath, ['--input-type=module-typescript', '--eval', script], {
    cwd: import.meta.dirname,
  })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  const [pid, folder] = JSON.parse(line.toString()) as [number, string]
  assert.notEqual(commandLine(pid).text, '')
  child.kill('SIGKILL')
  await waitFor(() => commandLine(pid).text === '' || commandLine(pid).state.startsWith('Z'))
  await waitFor(() => !existsSync(folder))
})

it('the proxy freezes, thaws and cuts connections', async () => {
  const echo = createServer((socket) => socket.pipe(socket))
  await once(echo.listen(0, '127.0.0.1'), 'listening')
  const proxy = await tcpProxy((echo.address() as { port: number }).port)
  const socket = connect({ port: proxy.port, host: '127.0.0.1' })
  await once(socket, 'connect')
  socket.write('a')
  assert.equal(String(((await once(socket, 'data')) as [Buffer])[0]), 'a')
  proxy.freeze()
  let came = false
  const next = once(socket, 'data').then(() => (came = true))
  socket.write('b')
  await new Promise((resolve) => setTimeout(resolve, 100))
  assert.ok(!came)
  proxy.thaw()
  await next
  const closed = once(socket, 'close')
  proxy.cut()
  await closed
  const refused = connect({ port: proxy.port, host: '127.0.0.1' })
  refused.on('error', () => undefined)
  await once(refused, 'close')
  proxy.mend()
  await proxy.close()
  echo.close()
})

it('skips on a machine without the broker, and fails there in CI, with what to install', async () => {
  const script = `
    import { realBroker } from '@quadrille/brokers'
    const nats = realBroker('nats')
    console.log(JSON.stringify([nats.skip, await nats.start().then(() => 'started', (error) => error.message)]))`
  const run = (ci: string): unknown => {
    const env = { ...process.env, PATH: '', CI: ci, QUADRILLE_PROGRAMS: '' }
    const args = ['--input-type=module-typescript', '--eval', script]
    return JSON.parse(spawnSync(process.execPath, args, { cwd: import.meta.dirname, env, encoding: 'utf8' }).stdout)
  }
  const says =
    'no real nats here: nats-server not found; install it (Debian: apt-get install nats-server; macOS: brew install nats-server)'
  assert.deepEqual(run(''), [says, says])
  assert.deepEqual(run('true'), [false, says])
})

async function waitFor(fact: () => boolean): Promise<void> {
  const latest = Date.now() + 20_000
  while (!fact()) {
    assert.ok(Date.now() < latest, `not within 20 s: ${fact.toString()}`)
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
