/** Handlers of AWS Lambda for events of SQS, of SNS, and of a schedule. */
import { invocations, QuadrilleError, type App } from 'quadrille'
import type { AwsWire } from './aws-wire.ts'
import type { RawMessage } from './message-body.ts'

/** What a handler needs to know. */
export interface LambdaOptions {
  /** A wire with `receiveBy: 'lambda'`, which `start` hands to `start()`. */
  readonly wire: AwsWire
  /** Starts the app, on a ledger that outlives the function. Called for each invocation that finds none running. */
  readonly start: () => Promise<App>
}

/** The parts of the context of Lambda that are used. */
export interface LambdaContext {
  getRemainingTimeInMillis(): number
}

/** The parts of an event of SQS that are used. */
export interface SqsEvent {
  readonly Records: readonly {
    readonly messageId: string
    readonly body: string
    readonly eventSourceARN: string
    readonly messageAttributes?: Readonly<Record<string, { readonly stringValue?: string | undefined }>>
  }[]
}

/** The answer that says which messages shall come again. */
export interface SqsBatchResponse {
  readonly batchItemFailures: readonly { readonly itemIdentifier: string }[]
}

/** The parts of an event of SNS that are used. */
export interface SnsEvent {
  readonly Records: readonly {
    readonly Sns: {
      readonly TopicArn: string
      readonly Message: string
      readonly MessageAttributes?: Readonly<Record<string, { readonly Value?: string | undefined }>>
    }
  }[]
}

/** @throws QuadrilleError `WIRE_CANNOT` for what another trigger sends, or somebody by hand. */
function checkRecords(
  event: unknown,
  {
    handler,
    of,
    wire,
    isOne,
  }: {
    readonly handler: string
    readonly of: string
    readonly wire: string
    readonly isOne: (record: Record<string, unknown>) => boolean
  },
): void {
  const { Records } = (event ?? {}) as { Records?: unknown }
  const isRecord = (record: unknown) => typeof record === 'object' && record !== null && isOne(record as never)
  if (Array.isArray(Records) && Records.every(isRecord)) return
  const problem = `${handler} was invoked with what is no event of ${of}: look at the trigger of the function`
  throw new QuadrilleError('WIRE_CANNOT', { wire, problem })
}

/** The most messages that are put into the ledger at once. */
const deliverMax = 100

/**
 * A handler for SQS. The messages are in the ledger before anything reacts to them; then the reactions run until there is
 * nothing left to do or the time of the function is nearly up; what is left goes on with the next invocation. The answer
 * names the messages that the ledger did not take: from the first of a queue that failed on, so that a group stays in
 * order. Set `ReportBatchItemFailures` in the event source mapping.
 *
 * @example
 * ```ts
 * const wire = sns({ receiveBy: 'lambda' })
 * export const handler = sqsHandler({
 *   wire,
 *   start: () => start({ services: [payments], ledger: postgres(process.env.DATABASE_URL), wires: [wire] }),
 * })
 * ```
 */
export function sqsHandler({ wire, start }: LambdaOptions) {
  const app = invocations(start)
  return async (event: SqsEvent, context: LambdaContext): Promise<SqsBatchResponse> => {
    const isOne = ({ messageId, body, eventSourceARN }: Record<string, unknown>) =>
      [messageId, body, eventSourceARN].every((text) => typeof text === 'string')
    checkRecords(event, { handler: 'sqsHandler', of: 'SQS', wire: wire.name, isOne })
    const failed: string[] = []
    const queues = Map.groupBy(event.Records, (record) => record.eventSourceARN)
    const deliver = async () => {
      for (const [arn, records] of queues) failed.push(...(await deliverQueue(wire, arn, records)))
    }
    await app.run(deliver, () => context.getRemainingTimeInMillis())
    return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) }
  }
}

/** Returns the ids of the messages that were not taken. */
async function deliverQueue(wire: AwsWire, arn: string, records: SqsEvent['Records']): Promise<readonly string[]> {
  for (let from = 0; from < records.length; from += deliverMax) {
    const messages = records.slice(from, from + deliverMax).map(({ body, messageAttributes }): RawMessage => {
      return { body, type: messageAttributes?.['ce_type']?.stringValue }
    })
    try {
      await wire.deliverFromQueue(arn, messages)
    } catch (error) {
      console.error(`quadrille error events of ${arn} could not be stored: ${String(error)}`)
      return records.slice(from).map(({ messageId }) => messageId)
    }
  }
  return []
}

/**
 * A handler for a topic of SNS that invokes Lambda by itself. SNS has no answer for a part: when the ledger does not take
 * an event, the handler throws and SNS sends it again, for some time; order is not kept. Prefer a queue in between.
 */
export function snsHandler({ wire, start }: LambdaOptions) {
  const app = invocations(start)
  return async (event: SnsEvent, context: LambdaContext): Promise<void> => {
    const isOne = ({ Sns }: Record<string, unknown>) =>
      typeof (Sns as { Message?: unknown } | undefined)?.Message === 'string'
    checkRecords(event, { handler: 'snsHandler', of: 'SNS', wire: wire.name, isOne })
    const deliver = async () => {
      for (const { Sns } of event.Records) {
        const message = { body: Sns.Message, type: Sns.MessageAttributes?.['ce_type']?.Value }
        await wire.deliverFromTopic(Sns.TopicArn, [message])
      }
    }
    await app.run(deliver, () => context.getRemainingTimeInMillis())
  }
}

/**
 * A handler for a schedule (EventBridge): takes up what has fallen due since the last invocation, such as retries, timers,
 * deadlines and events that wait to be sent. How late they may be is how often it runs.
 */
export function tickHandler({ start }: Pick<LambdaOptions, 'start'>) {
  const app = invocations(start)
  return async (_event: unknown, context: LambdaContext): Promise<void> => {
    await app.run(
      async () => {},
      () => context.getRemainingTimeInMillis(),
    )
  }
}
