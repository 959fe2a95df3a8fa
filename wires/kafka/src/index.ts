/** Apache Kafka as a wire: one topic for each event type, one consumer group for each service. */
export { kafka } from './kafka-wire.ts'
export type { KafkaOptions, KafkaSasl, KafkaTopicOptions } from './kafka-options.ts'
export { javaPartition } from './java-partition.ts'
