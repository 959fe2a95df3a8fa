/** Fakes of the world outside that come with the toolkit. They live as long as a schedule, whatever crashes in it. */
import type { Sim } from './outside.ts'

interface Keyed {
  readonly idempotencyKey?: string
}

/** A payment provider: declines when the schedule wants that, and charges once for each idempotency key. */
export interface PaymentProvider {
  charge(
    payment: Keyed & { readonly amount: number },
  ): Promise<{ status: 'succeeded'; chargeId: string } | { status: 'declined'; chargeId: string; reason: string }>
  refund(refund: Keyed & { readonly chargeId: string; readonly amount?: number }): Promise<{ refundId: string }>
  /** All charges so far, declined ones among them. */
  readonly charges: readonly PaymentCharge[]
}

/** A charge as the provider knows it. */
export interface PaymentCharge {
  readonly chargeId: string
  readonly amount: number
  readonly status: 'succeeded' | 'declined'
  /** How much of it has been given back. */
  readonly refunded: number
  /** What else came with the request, such as an order's id. */
  readonly request: Readonly<Record<string, unknown>>
}

const keyReused = (problem: string): Error => new Error(problem)

/** Amounts may be sums of fractions. */
const cent = 0.005

type Answer = Awaited<ReturnType<PaymentProvider['charge']>>

/**
 * A payment provider for simulations. A request with a known idempotency key gets the first answer again and moves no
 * money; one without a key always moves money. As with real providers, a key that is used again for another amount is
 * an error. A charge counts as undone when all of it has been given back, and as undone twice when it was more.
 *
 * @example
 * ```ts
 * const report = await simulate(checkout, { outside: (sim) => ({ gateway: paymentProvider(sim), mailer: mailBox(sim) }) })
 * ```
 */
export function paymentProvider(sim: Sim): PaymentProvider {
  const charges: (PaymentCharge & { refunded: number })[] = []
  const answers = new Map<string, { readonly answer: Answer; readonly amount: number }>()
  const refunds = new Map<string, { refundId: string }>()
  return {
    charges,
    async charge({ idempotencyKey, amount, ...request }) {
      const known = idempotencyKey === undefined ? undefined : answers.get(idempotencyKey)
      if (known && known.amount !== amount)
        return Promise.reject(
          keyReused(`the idempotency key ${idempotencyKey} was used for ${known.amount} before, now for ${amount}`),
        )
      if (known) return known.answer
      const status = sim.choose('charge', ['succeeded', 'declined'])
      const chargeId = `ch-${charges.length + 1}`
      charges.push({ chargeId, amount, status, refunded: 0, request: withoutSignal(request) })
      if (status === 'succeeded') sim.effect({ name: 'charge', change: 1 })
      const answer: Answer =
        status === 'succeeded' ? { status, chargeId } : { status, chargeId, reason: 'insufficient funds' }
      if (idempotencyKey !== undefined) answers.set(idempotencyKey, { answer, amount })
      return answer
    },
    async refund({ idempotencyKey, chargeId, amount }) {
      const known = idempotencyKey === undefined ? undefined : refunds.get(idempotencyKey)
      if (known) return known
      const charge = charges.find((candidate) => candidate.chargeId === chargeId)
      const taken = charge?.status === 'succeeded' ? charge.amount : 0
      const before = charge?.refunded ?? 0
      const after = before + (amount ?? charge?.amount ?? 0)
      if (charge) charge.refunded = after
      if (before >= taken - cent || after >= taken - cent) sim.effect({ name: 'charge', change: -1 })
      else sim.effect({ name: 'charge', change: 0, detail: `only ${after} of ${taken} given back` })
      if (before < taken - cent && after > taken + cent) sim.effect({ name: 'charge', change: -1 })
      const answer = { refundId: `re-${refunds.size + 1}` }
      refunds.set(idempotencyKey ?? answer.refundId, answer)
      return answer
    },
  }
}

function withoutSignal(request: object): Readonly<Record<string, unknown>> {
  const { signal: _, ...rest } = request as Record<string, unknown>
  return rest
}

/** A mail box: keeps what is sent to it. */
export interface MailBox {
  send(mail: object): Promise<void>
  /** All mails so far, repeated ones left out. */
  readonly mails: readonly object[]
}

/**
 * A mail box for simulations. A mail whose `messageId` (or `idempotencyKey`) is known is not delivered again; one without
 * is delivered every time.
 */
export function mailBox(sim: Sim): MailBox {
  const mails: object[] = []
  const known = new Set<unknown>()
  return {
    mails,
    async send(mail) {
      const { messageId, idempotencyKey } = mail as { messageId?: unknown; idempotencyKey?: unknown }
      const id = messageId ?? idempotencyKey
      if (id !== undefined && known.has(id)) return
      known.add(id)
      mails.push(mail)
      sim.effect({ name: 'mail', change: 1, kind: 'notice' })
    },
  }
}
