/** What `npx quadrille check examples/orders` works on. The addresses are never used: nothing is run. */
import { defineConfig } from '@quadrille/cli'
import { checkout, outside } from './src/choreography.ts'

const nowhere = 'http://127.0.0.1:9'

export default defineConfig({ choreographies: checkout(outside({ provider: nowhere, mailbox: nowhere })) })
