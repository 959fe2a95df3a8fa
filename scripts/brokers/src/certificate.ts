/** A certificate for 127.0.0.1 and localhost that signs itself, for brokers with TLS in tests. It needs openssl. */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Files in PEM, and the text that clients are to trust. */
export interface Certificate {
  readonly certFile: string
  readonly keyFile: string
  readonly bothFile: string
  readonly cert: string
  remove(): void
}

const request = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost']
const names = ['-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1']

/** Makes one. */
export async function certificate(): Promise<Certificate> {
  const folder = mkdtempSync(join(tmpdir(), 'quadrille-tls-'))
  const [certFile, keyFile, bothFile] = ['cert.pem', 'key.pem', 'both.pem'].map((name) => join(folder, name))
  await promisify(execFile)('openssl', [...request, ...names, '-keyout', keyFile!, '-out', certFile!])
  const cert = readFileSync(certFile!, 'utf8')
  writeFileSync(bothFile!, readFileSync(keyFile!, 'utf8') + cert)
  const remove = () => rmSync(folder, { recursive: true, force: true })
  return { certFile: certFile!, keyFile: keyFile!, bothFile: bothFile!, cert, remove }
}
