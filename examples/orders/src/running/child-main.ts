/** The entry of a child process: see child-worker.ts. */
import { runChild } from './child-worker.ts'
import type { WorkerOptions } from './worker.ts'

await runChild(JSON.parse(process.argv[2]!) as WorkerOptions)
