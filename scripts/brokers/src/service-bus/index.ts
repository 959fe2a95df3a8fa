/** The project's own test server for Azure Service Bus, for tests that look inside; as a process it is a broker like others. */
export { connectionStringFor } from './connection-string.ts'
export { startServiceBus, type ServiceBusServer } from './server.ts'
