/** All wrong variants of the order application. */
import type { Broken } from './broken.ts'
import chargesTwice from './charges-twice.ts'
import completesWithoutStock from './completes-without-stock.ts'
import decidesTwice from './decides-twice.ts'
import dualWrite from './dual-write.ts'
import emptyCustomer from './empty-customer.ts'
import endlessRetry from './endless-retry.ts'
import failedFromCatch from './failed-from-catch.ts'
import hastyDeadline from './hasty-deadline.ts'
import mailBeforeDecision from './mail-before-decision.ts'
import mailWithoutKey from './mail-without-key.ts'
import noDeadline from './no-deadline.ts'
import noRelease from './no-release.ts'
import oversells from './oversells.ts'
import refundByHand from './refund-by-hand.ts'
import refundOnlyWhenShort from './refund-only-when-short.ts'
import releaseBeforeReserve from './release-before-reserve.ts'
import releasesTwice from './releases-twice.ts'
import staleView from './stale-view.ts'
import stockInMemory from './stock-in-memory.ts'

export type { Broken } from './broken.ts'

/** In the order of their names. */
export const variants: readonly Broken[] = [
  chargesTwice,
  completesWithoutStock,
  decidesTwice,
  dualWrite,
  emptyCustomer,
  endlessRetry,
  failedFromCatch,
  hastyDeadline,
  mailBeforeDecision,
  mailWithoutKey,
  noDeadline,
  noRelease,
  oversells,
  refundByHand,
  refundOnlyWhenShort,
  releaseBeforeReserve,
  releasesTwice,
  staleView,
  stockInMemory,
]
