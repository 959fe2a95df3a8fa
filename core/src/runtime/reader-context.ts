/** What the parts of a reader share. */
import type { Ledger } from '../ledger/index.ts'
import type { Conversations } from './conversations.ts'
import type { ContextTools } from './handler-context.ts'
import type { RunningHandlers } from './running-handlers.ts'
import type { Telling } from './telling.ts'
import type { ReaderPlan } from './plan.ts'
import type { Settings } from './settings.ts'
import type { SharedBatches } from './shared-batches.ts'

/** The surroundings of a reader: the same for its whole life. */
export interface ReaderContext {
  readonly plan: ReaderPlan
  readonly settings: Settings
  readonly ledger: Ledger
  readonly tell: Telling
  readonly tools: ContextTools
  readonly conversations: Conversations
  readonly running: RunningHandlers
  readonly transactions: SharedBatches
}
