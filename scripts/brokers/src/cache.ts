/** The folder that keeps what is not worth making twice. Git does not see it. */
import { join } from 'node:path'
import { root } from '../../repository.ts'

/** A folder under `.cache/brokers` of the repository; it may not be there yet. */
export const cacheFolder = (name: string): string => join(root, '.cache', 'brokers', name)
