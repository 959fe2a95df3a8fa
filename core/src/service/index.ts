/** Services, reactions and choreographies: pure data with types. Knows contracts, and nothing that runs. */
export * from './service.ts'
export * from './reaction.ts'
export * from './policy.ts'
export * from './choreography.ts'
export * from './describe.ts'
export * from './explain.ts'
