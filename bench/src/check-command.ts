/** `check` on the command line: its options, and its result as JSON or in words. */
import type { Given, OptionKinds } from './arguments.ts'
import { checkSpeed } from './check-speed.ts'

export const checkOptions: OptionKinds = {
  services: { takes: 'number', says: 'services of the choreography (default 200)' },
  wide: { takes: 'number', says: 'services side by side in each stage (default 3)' },
  rounds: { takes: 'number', says: 'how often it is checked (default 5)' },
  json: { takes: 'nothing', says: 'print one line of JSON, and nothing else on standard output' },
}

export async function checkCommand(given: Given): Promise<void> {
  const result = checkSpeed({
    services: given.number('services', 200),
    wide: given.number('wide', 3),
    rounds: given.number('rounds', 5),
  })
  if (given.flags.has('json')) return console.log(JSON.stringify(result))
  const { services, reactions, runs, findings, ms, rounds, otherCores } = result
  console.log(`${services} services, ${reactions} reactions, ${runs} runs, ${findings} findings`)
  console.log(`${ms} ms (median of ${rounds.join(', ')}), ${otherCores ?? '?'} cores used by others`)
  console.log(JSON.stringify(result.machine))
}
