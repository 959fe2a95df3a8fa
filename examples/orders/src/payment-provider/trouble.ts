/** What goes wrong at the payment provider, drawn by seed: the same payment meets the same trouble in every run. */
import { draw } from '../random.ts'

/** What happens to one request. The last two are the nasty ones: the money has moved, and the caller can not know. */
export type Trouble = 'none' | 'slow' | 'refused before' | 'error after' | 'dropped after'

/** One try of a charge or refund. `subject` is what it is about: the order, or the charge to be refunded. */
export interface Try {
  readonly operation: 'charge' | 'refund'
  readonly subject: string
  /** 1 for the first request with this idempotency key. */
  readonly attempt: number
}

export interface TroublePlan {
  /** True when the card is declined: a business answer, not trouble, and the same however often it is asked. */
  declines(orderId: string): boolean
  troubleOf(attempt: Try): Trouble
}

const declinedShare = 0.1
const troubleShares = [
  ['slow', 0.08],
  ['refused before', 0.04],
  ['error after', 0.04],
  ['dropped after', 0.03],
] as const

/** The trouble of an ordinary day. */
export function troubleBySeed(seed: number): TroublePlan {
  return {
    declines: (orderId) => draw(seed, 'decline', orderId) < declinedShare,
    troubleOf({ operation, subject, attempt }) {
      let chance = draw(seed, operation, subject, attempt)
      for (const [trouble, share] of troubleShares) {
        if (chance < share) return trouble
        chance -= share
      }
      return 'none'
    },
  }
}

export const calm: TroublePlan = { declines: () => false, troubleOf: () => 'none' }
