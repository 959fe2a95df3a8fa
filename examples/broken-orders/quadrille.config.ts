/** `npx quadrille check examples/broken-orders`: all variants at once. One alone: `npx quadrille check src/no-deadline.ts`. */
import { defineConfig } from '@quadrille/cli'
import { variants } from './src/index.ts'

export default defineConfig({ choreographies: variants.map(({ choreographies }) => choreographies) })
