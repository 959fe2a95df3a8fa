/** The process that fills a file: its memory is none of the measured one's. */
import { fill, type FillTask } from './history.ts'

await fill(JSON.parse(process.argv[2]!) as FillTask)
process.send!({}, () => process.disconnect())
