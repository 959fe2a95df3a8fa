/** The test server as a process: `node main.ts PORT`. What it holds is in memory. */
import { startServiceBus } from './server.ts'

const server = await startServiceBus(Number(process.argv[2]))
console.log(`the test server for Service Bus listens on ${server.port}`)
