/** Errors of the tools: what the command line loads, and what the checker is told. */
import { spec } from './error-spec.ts'

export const toolErrors = {
  CONFIG_NOT_FOUND: spec<{ path: string; names: readonly string[] }>({
    retryable: false,
    what: (d) => (d.names.length === 0 ? `there is no ${d.path}` : `the folder ${d.path} has no ${d.names[0]}`),
    fix: (d) =>
      d.names.length === 0
        ? 'Name a file that exports a choreography, or a folder with a quadrille.config.ts.'
        : `Write one (${d.names.join(', ')}), or name a file that exports a choreography.`,
  }),
  CONFIG_FAILED: spec<{ file: string; message: string; at: string }>({
    retryable: false,
    what: (d) => `${d.file} could not be loaded${d.at === '' ? '' : ` (at ${d.at})`}: ${d.message}`,
    fix: () => 'Run the file with node to see the whole error.',
  }),
  CONFIG_INVALID: spec<{ file: string; problem: string }>({
    retryable: false,
    what: (d) => `${d.file} can not be used: ${d.problem}`,
    fix: () => 'Export a choreography, or by default `defineConfig({ choreographies: [...] })` of @quadrille/cli.',
  }),
}
