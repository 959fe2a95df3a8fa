/** The options of a policy, for those who refuse what there is not. */
import type { ReactionPolicy } from './policy.ts'

/** The options of a policy. */
export const policyNames: Readonly<Record<keyof ReactionPolicy, true>> = {
  retry: true,
  errors: true,
  onDead: true,
  concurrency: true,
  rate: true,
  breaker: true,
  callTimeout: true,
  maxHops: true,
}
