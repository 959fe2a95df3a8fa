/** `wire` on the command line. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { UsageError, type Given, type OptionKinds } from '../arguments.ts'
import { summarizeProfile } from '../cpu-profile.ts'
import { wireBench, type WireBenchResult } from './wire-bench.ts'
import { wireSystems } from './wire-systems.ts'

const names = Object.keys(wireSystems)
// 40,000 take hardly more than a second on a fast machine, and a good part of it goes into compiling what runs.
const defaults = { events: 100_000, warmUp: 10_000, rounds: 3, rate: 100, seconds: 8 }

export const wireOptions: OptionKinds = {
  wire: { takes: 'text', says: `one of: ${names.join(', ')} (default kafka)` },
  json: { takes: 'nothing', says: 'print one line of JSON, and nothing else on standard output' },
  events: { takes: 'number', says: `events of a run, warm-up included (default ${defaults.events}; sns and sqs 4000)` },
  'warm-up': { takes: 'number', says: `the first of them, which do not count (default ${defaults.warmUp})` },
  rounds: { takes: 'number', says: `runs of each, in turns (default ${defaults.rounds})` },
  rate: { takes: 'number', says: `events per second of the latency run (default ${defaults.rate})` },
  seconds: { takes: 'number', says: `length of the latency run (default ${defaults.seconds})` },
  profile: { takes: 'nothing', says: 'also profile both sides of the last run, and say where the time went' },
}

/** @throws UsageError for a wire that there is not. */
export async function wireCommand(given: Given): Promise<void> {
  const wire = given.texts.get('wire') ?? 'kafka'
  if (!names.includes(wire)) throw new UsageError(`unknown wire ${JSON.stringify(wire)}; there is: ${names.join(', ')}`)
  const { events: usual = defaults.events } = await wireSystems[wire]!()
  const events = given.number('events', usual)
  const json = given.flags.has('json')
  const folder = given.flags.has('profile') ? mkdtempSync(join(tmpdir(), 'quadrille-profile-')) : undefined
  const result = await wireBench({
    wire,
    events,
    warmUp: Math.min(given.number('warm-up', defaults.warmUp), events / 2),
    rounds: folder === undefined ? given.number('rounds', defaults.rounds) : 1,
    rate: given.number('rate', defaults.rate),
    seconds: given.number('seconds', defaults.seconds),
    ...(folder === undefined ? {} : { profile: folder }),
    progress: (text) => {
      if (!json) console.error(text)
    },
  })
  console.log(json ? JSON.stringify(result) : table(result))
  if (folder === undefined) return
  for (const side of ['sender', 'receiver']) {
    const { functions } = summarizeProfile(join(folder, `${side}.cpuprofile`), events)
    const lines = functions.slice(0, 35).map((each) => `${each.microsPerOrder.toFixed(2).padStart(8)} µs  ${each.name}`)
    console.log(`\n${side}, self time an event:\n${lines.join('\n')}`)
  }
}

function table(result: WireBenchResult): string {
  const line = (name: string, value: number | string, note = ''): string =>
    `${name.padEnd(44)}${String(value).padStart(9)}  ${note}`.trimEnd()
  return [
    `${result.wire}, from one SQLite ledger to another: medians of ${result.rounds.length} rounds`,
    '',
    line('ledger to ledger, events/s', result.eventsPerSecond),
    line('the bare client, the same messages, events/s', result.rawEventsPerSecond),
    line('share', result.shareOfRaw, `goal: at least ${result.goal}`),
    line('latency p50 at a steady rate, ms', result.p50Ms, `goal: under 10; bare client ${result.rawP50Ms}`),
    line('latency p99, ms', result.p99Ms, `bare client ${result.rawP99Ms}`),
    line(
      'CPU seconds per 1,000: sender + receiver',
      result.cpuSecondsPer1000.join(' + '),
      `bare client ${result.rawCpuSecondsPer1000.join(' + ')}`,
    ),
    '',
    `cores used by others (the broker among them): ${result.otherCores ?? 'unknown'}`,
    `${result.verifiedEvents} events counted, none missing. ${JSON.stringify(result.machine)}`,
  ].join('\n')
}
