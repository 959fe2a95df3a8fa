/** Why a run can not begin or go on, for whoever has started it. */
import { isQuadrilleError } from 'quadrille'

/** Thrown when a run can not begin as it was asked for. The message is one sentence, and says what to do. */
export class CannotRun extends Error {}

/** What errors of Node and of the PostgreSQL client carry. */
interface SystemError {
  readonly code?: unknown
  readonly message?: string
  readonly path?: string
  readonly hostname?: string
  readonly address?: string
  readonly port?: number
  /** When a name has several addresses: what went wrong at each of them. */
  readonly errors?: readonly SystemError[]
}

/** What is wrong and what to do, in one line; undefined for an error that nobody can do anything about from outside. */
export function sentenceOf(error: unknown): string | undefined {
  if (error instanceof CannotRun || isQuadrilleError(error)) return error.message
  const { code, message, path, hostname, errors } = error as SystemError
  const { address, port } = errors?.[0] ?? (error as SystemError)
  if (code === 'EADDRINUSE') return `port ${port} is taken: name another one with --port, or none to get any free port`
  if (code === 'ECONNREFUSED')
    return `nobody answers at ${address}:${port}: start the server, or correct the address in --ledger`
  if (code === 'ENOTFOUND') return `there is no host ${hostname}: correct the address in --ledger`
  if (code === '28P01' || code === '28000') return `${message}: correct the user or the password in --ledger`
  if (code === 'EEXIST' || code === 'ENOTDIR') return `${path} is no folder: name one with --data`
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS')
    return `${path} may not be written: name another folder with --data, or change its rights`
  if (code === '3D000') return `${message}: make it with CREATE DATABASE, or correct the name in --ledger`
  return undefined
}
