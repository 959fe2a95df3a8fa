/** Carries events over Azure Service Bus, and runs services in Azure Functions. */
export { AzureWire, serviceBus } from './azure-wire.ts'
export type { ServiceBusOptions } from './azure-options.ts'
export {
  httpHandler,
  serviceBusHandler,
  timerHandler,
  type FunctionsContext,
  type FunctionsOptions,
  type FunctionsRequest,
  type FunctionsResponse,
} from './functions-handlers.ts'
