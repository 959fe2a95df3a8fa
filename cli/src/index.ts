/** What a `quadrille.config.ts` imports. */
export { defineConfig, type ConfigSource, type QuadrilleConfig } from './config.ts'
