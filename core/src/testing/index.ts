/** Help for users' tests: a world with virtual time, and assertions over what happened in it. */
export { world, type Match, type World, type WorldOptions } from './world.ts'
export { manualEnv, type ManualEnv } from './manual-env.ts'
