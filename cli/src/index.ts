/** What a `quadrille.config.ts` imports. */
export { defineConfig, defineSimulation, type ConfigSource, type QuadrilleConfig, type Simulation } from './config.ts'
