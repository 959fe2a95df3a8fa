/** Carries events over Amazon SNS and SQS, and runs services in AWS Lambda. */
export { AwsWire, sns, sqs } from './aws-wire.ts'
export type { AwsOptions, SqsOptions } from './aws-options.ts'
export {
  snsHandler,
  sqsHandler,
  tickHandler,
  type LambdaContext,
  type LambdaOptions,
  type SnsEvent,
  type SqsBatchResponse,
  type SqsEvent,
} from './lambda-handlers.ts'
export { httpHandler, type LambdaHttpEvent, type LambdaHttpResponse } from './lambda-http.ts'
