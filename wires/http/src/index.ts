/** Carries events as CloudEvents webhooks: out to an address, and in through an endpoint. */
export { HttpWire, http } from './http-wire.ts'
export type { HttpOptions, HttpEndpointOptions, HttpMode, HttpTargetOptions } from './http-options.ts'
export { nodeListener } from './node-listener.ts'
export { serverless, type ServerlessContext, type ServerlessOptions } from './serverless-handler.ts'
export { signWebhook, verifyWebhook, type SignedWebhook } from './webhook-signature.ts'
