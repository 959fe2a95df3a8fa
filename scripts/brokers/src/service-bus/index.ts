/** The project's own test server for Azure Service Bus, for tests that look inside; as a process it is a broker like others. */
export { localServiceBus } from './client.ts'
export { connectionStringFor } from './connection-string.ts'
export { startServiceBus, type ServiceBusServer } from './server.ts'
