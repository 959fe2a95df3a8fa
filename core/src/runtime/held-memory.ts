/**
 * What a reaction remembers of a key: a fence, or a join. A dead letter may be redriven at any time, and needs it then: until
 * the letter is gone, its memory is not forgotten.
 */
import type { BatchTx } from './batch-tx.ts'
import { workId, type Task, type WorkPlace } from './work.ts'

/** A memory, with the dead letters that hold it, by the ids of their work. */
export interface Held {
  readonly letters?: readonly string[] | undefined
}

/** When it may be forgotten, if nothing holds it. */
export const expiresUnlessHeld = ({ letters = [] }: Held, otherwise: number | null): number | null =>
  letters.length > 0 ? null : otherwise

/** When what is remembered from now on is forgotten. */
export const memoryEnd = (batch: BatchTx): number => batch.nowMs + batch.context.settings.retention.memoryMs

/** Not held any more by the dead letter that this work was. */
export const withoutLetter = <Of extends Held>(memory: Of, work: WorkPlace): Of => ({
  ...memory,
  letters: memory.letters?.filter((letter) => letter !== workId(work)),
})

/** Held by the dead letter of this task, too. */
export const withLetter = <Of extends Held>(memory: Of, task: Task): Of => ({
  ...memory,
  letters: [...(withoutLetter(memory, task).letters ?? []), workId(task)],
})

/** True when the dead letter that this task was holds it. */
export const isHeldBy = ({ letters }: Held, task: Task): boolean => letters?.includes(workId(task)) ?? false
