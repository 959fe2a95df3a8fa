/**
 * Names of OpenTelemetry's semantic conventions for messaging (1.45, August 2026, of which they say "Development"), copied because the
 * package that has them is 10 MB and moves them around; a test compares them with it. What they do not name begins with `quadrille.`.
 */
export const attributes = {
  system: 'messaging.system',
  operation: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  destination: 'messaging.destination.name',
  consumerGroup: 'messaging.consumer.group.name',
  messageId: 'messaging.message.id',
  conversation: 'messaging.message.conversation_id',
  messageCount: 'messaging.batch.message_count',
  errorType: 'error.type',
} as const

export const metricNames = {
  processDuration: 'messaging.process.duration',
  operationDuration: 'messaging.client.operation.duration',
  sent: 'messaging.client.sent.messages',
  consumed: 'messaging.client.consumed.messages',
} as const

/** Of our own. */
export const own = {
  service: 'quadrille.service',
  reaction: 'quadrille.reaction',
  /** `run`, `undo`, `late` or `deadline`. */
  role: 'quadrille.role',
  /** 1 for the first try. */
  attempt: 'quadrille.attempt',
  wire: 'quadrille.wire',
} as const

export const ownMetrics = {
  callDuration: 'quadrille.call.duration',
  eventAge: 'quadrille.event.age',
  retries: 'quadrille.retries',
  deadLetters: 'quadrille.dead_letters',
} as const

/** The value of `messaging.system`: which broker a wire leads to is not known here. */
export const system = 'quadrille'
