/** Errors of the API as problem details (RFC 9457), each broken rule with its path. */
import type { Context } from 'hono'
import type { ContentfulStatusCode } from 'hono/utils/http-status'
import type { z } from 'zod'

export interface Problem {
  readonly title: string
  readonly detail?: string
  readonly errors?: readonly { readonly path: string; readonly message: string }[]
}

export function problem(c: Context, status: ContentfulStatusCode, about: Problem): Response {
  return c.body(JSON.stringify({ type: 'about:blank', status, ...about }), status, {
    'content-type': 'application/problem+json',
  })
}

/** What a schema found wrong with a request. */
export function problemOf(c: Context, error: z.ZodError): Response {
  const errors = error.issues.map(({ path, message }) => ({ path: path.join('.'), message }))
  const detail = errors.map((each) => (each.path ? `${each.path}: ${each.message}` : each.message)).join('; ')
  return problem(c, 400, { title: 'The order can not be taken as it is', detail, errors })
}
