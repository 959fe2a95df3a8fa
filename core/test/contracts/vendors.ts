/** The same contract written with three schema libraries: an order whose note has a default and whose total is coerced. */
import { toStandardJsonSchema } from '@valibot/to-json-schema'
import { type } from 'arktype'
import * as v from 'valibot'
import * as z from 'zod'
import type { StandardSchema } from '../../src/contracts/index.ts'

/** What is handed in and goes over the wire. */
export interface OrderInput {
  orderId: string
  items: { quantity: number }[]
  total: string
  note?: string
}

/** What a reader gets. */
export interface OrderOutput {
  orderId: string
  items: { quantity: number }[]
  total: number
  note: string
}

/** The schema of each library. The transformation turns the total, a string on the wire, into a number. */
export const orderSchemas: Record<'zod' | 'valibot' | 'arktype', StandardSchema<OrderInput, OrderOutput>> = {
  zod: z.object({
    orderId: z.string(),
    items: z.array(z.object({ quantity: z.number() })),
    total: z.string().transform(Number),
    note: z.string().default(''),
  }),
  valibot: v.object({
    orderId: v.string(),
    items: v.array(v.object({ quantity: v.number() })),
    total: v.pipe(v.string(), v.transform(Number)),
    note: v.optional(v.string(), ''),
  }),
  arktype: type({
    orderId: 'string',
    items: type({ quantity: 'number' }).array(),
    total: type('string').pipe((text) => Number(text)),
    note: "string = ''",
  }),
}

/** Schemas without transformation, from which JSON Schema can be made; valibot's as its authors say. */
export const plainSchemas: Record<'zod' | 'valibot' | 'arktype', StandardSchema<{ id: string; size?: number }>> = {
  zod: z.object({ id: z.string(), size: z.number().optional() }),
  valibot: toStandardJsonSchema(v.object({ id: v.string(), size: v.optional(v.number()) })),
  arktype: type({ id: 'string', 'size?': 'number' }),
}
