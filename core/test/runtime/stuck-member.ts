/** A process with a handler that never ends, which stops its app and should then end by itself. Argument: the path of the ledger. */
import { service, silentLogger, start } from 'quadrille'
import { sqlite } from 'quadrille/sqlite'
import { memoryHub } from 'quadrille/memory'
import { Answered, Asked } from './setup.ts'

const begun = Promise.withResolvers<void>()
const stuck = service('stuck').on(Asked, async () => {
  begun.resolve()
  await new Promise(() => {})
})
const other = service('other').on(Answered, () => {})
const app = await start({
  services: [stuck, other],
  ledger: sqlite(process.argv[2]!),
  wires: [{ wire: memoryHub().wire(), sends: [Answered], from: 'beginning' }],
  log: silentLogger,
})
// Neither of them may come back: the first can be made durable together with what it leads to.
for (const event of [Asked({ id: 'k' }), Answered({ id: 'k' })]) app.publish(event).catch(() => {})
await begun.promise
await app.stop({ deadline: 50 })
console.log('stopped')
