/** How a wire reaches the test server: the SDK speaks plain AMQP to it, and plain HTTP on the same port. */
import { ServiceBusAdministrationClient } from '@azure/service-bus'

/** A connection that was kept may have ended when the server did. */
const retryOptions = { maxRetries: 2, retryDelayInMs: 50 }

/** Options of `serviceBus()` for the test server, and for anything that says UseDevelopmentEmulator. */
export function localServiceBus(connectionString: string) {
  const administration = new ServiceBusAdministrationClient(connectionString, { retryOptions })
  administration.pipeline.addPolicy(
    {
      name: 'plain HTTP',
      sendRequest(request, next) {
        request.url = request.url.replace(/^https:/, 'http:')
        request.allowInsecureConnection = true
        return next(request)
      },
    },
    { phase: 'Sign' },
  )
  return { connectionString, administration }
}
