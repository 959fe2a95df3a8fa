/** What `npx quadrille check examples/orders` and `simulate` work on. The addresses are never used: nobody connects. */
import { defineConfig, defineSimulation } from '@quadrille/cli'
import { checkout, outside } from './src/choreography.ts'
import { simulation } from './src/simulation.ts'

const nowhere = 'http://127.0.0.1:9'

export default defineConfig({
  choreographies: checkout(outside({ provider: nowhere, mailbox: nowhere })),
  simulate: defineSimulation({ choreography: checkout, ...simulation }),
})
