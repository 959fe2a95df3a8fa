/** TLS and passwords, by nothing but the connection string, on a cluster that takes nobody without. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { isQuadrilleError, service, silentLogger, start, systemEnv } from 'quadrille'
import { postgres } from '@quadrille/postgres'
import { Cluster, clusterMissing } from './cluster.ts'
import { onServer } from './database.ts'
import { Answered, Asked } from './member.ts'

const noOpenssl = existsSync('/usr/bin/openssl') ? false : 'no openssl on this machine'
const skip = clusterMissing() || noOpenssl
const password = 'päß/word@1'

/** A certificate that vouches for itself, and its key. */
function certificate(folder: string, name: string): { readonly cert: string; readonly key: string } {
  const [cert, key] = [join(folder, `${name}.crt`), join(folder, `${name}.key`)]
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost']
  const flags = [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '1',
    '-keyout',
    key,
    '-out',
    cert,
    ...subject,
  ]
  execFileSync('openssl', flags, { stdio: 'ignore' })
  chmodSync(key, 0o600)
  return { cert, key }
}

describe('a server that wants TLS and a password', { skip, concurrency: false }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'quadrille-tls-'))
  let cluster: Cluster
  let trusted: string
  let stranger: string

  before(async () => {
    chmodSync(folder, 0o755)
    const own = certificate(folder, 'own')
    ;[trusted, stranger] = [own.cert, certificate(folder, 'stranger').cert]
    const hba = join(folder, 'pg_hba.conf')
    writeFileSync(hba, 'hostssl all shop all scram-sha-256\nhost all postgres all trust\n')
    if (process.getuid?.() === 0) execFileSync('chown', ['postgres:', own.key, hba])
    cluster = await Cluster.make('ssl=on', `ssl_cert_file=${own.cert}`, `ssl_key_file=${own.key}`, `hba_file=${hba}`)
    await onServer(
      (client) =>
        client.query(`CREATE ROLE shop LOGIN PASSWORD '${password}'; GRANT CREATE ON DATABASE postgres TO shop`),
      cluster.url,
    )
  })

  after(async () => {
    await cluster?.remove()
    rmSync(folder, { recursive: true, force: true })
  })

  const url = (how: string, word = password) =>
    `postgres://shop:${encodeURIComponent(word)}@localhost:${cluster.port}/postgres?${how}`
  const verified = () => `sslmode=verify-full&sslrootcert=${trusted}`

  it('gets both, on every connection', async () => {
    const answering = service('answering').on(Asked, { emits: [Answered] }, ({ id }) => Answered({ id }))
    const app = await start({ services: [answering], ledger: postgres(url(verified())), log: silentLogger })
    try {
      await app.seen(await app.publish(Asked({ id: 'a' })), answering)
      const { rows } = await onServer(
        (client) =>
          client.query<{ ssl: boolean; connections: number }>(
            `SELECT ssl, count(*)::int AS connections FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
            WHERE usename = 'shop' GROUP BY ssl`,
          ),
        cluster.url,
      )
      assert.deepEqual(
        rows.map(({ ssl }) => ssl),
        [true],
      )
      // Transactions, two lines, and the one that listens.
      assert.ok(rows[0]!.connections >= 4, `${rows[0]!.connections} connections`)
    } finally {
      await app.stop()
    }
  })

  it('refuses what is not encrypted, a wrong password, and is refused where it can not be verified', async () => {
    const wrong = {
      'sslmode=disable': /no pg_hba.conf entry.*no encryption/,
      [`sslmode=verify-full&sslrootcert=${stranger}`]: /self[- ]signed|unable to verify/,
    }
    const refusal = async (address: string): Promise<Error> => {
      const ledger = postgres(address, { connectWait: '1s' })
      const error = await ledger.open(systemEnv).then(
        () => assert.fail('it was let in'),
        (thrown: Error) => thrown,
      )
      assert.ok(isQuadrilleError(error, 'LEDGER_UNREACHABLE'), String(error))
      assert.ok(!error.message.includes('word@1'), 'the password is not shown')
      return error
    }
    for (const [how, says] of Object.entries(wrong)) assert.match((await refusal(url(how))).message, says)
    assert.match((await refusal(url(verified(), 'wrong'))).message, /password authentication failed/)
  })
})
