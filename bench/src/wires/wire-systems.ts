/** The wires that can be measured: how each is made, and the same work with its bare client. A wire is a few lines here. */
import type { BrokerName } from '@quadrille/brokers'
import type { Wire } from 'quadrille'
import type { RawMessage } from './wire-messages.ts'

/** Sends as fast as the client can, and as durably as the wire does. */
export interface RawSender {
  send(messages: readonly RawMessage[]): Promise<void>
  close(): Promise<void>
}

/** Receives with acknowledgement, as the client does it by itself. */
export interface RawReceiver {
  close(): Promise<void>
}

/** Where a bare client receives. */
export interface RawPlace {
  readonly url: string
  readonly topic: string
  /** For a database of its own, where no broker keeps what has come. */
  readonly file: string
}

/** One wire. */
export interface WireSystem {
  /** Null for a wire that goes from process to process. */
  readonly broker: BrokerName | null
  /** The share of the bare client's speed that is wanted. */
  readonly goal: number
  /** How many events a run has by default, where the usual number would take too long. */
  readonly events?: number
  /** `place` is a name that nobody else uses: the events of this run, and theirs alone, are under it. */
  wire(url: string, place: string, side: 'sender' | 'receiver'): Promise<Wire>
  rawSender(url: string, topic: string): Promise<RawSender>
  /** Resolves when it is subscribed; calls `got` for each body. */
  rawReceiver(place: RawPlace, got: (body: Uint8Array) => void): Promise<RawReceiver>
}

/** All of them. The modules of the others are not loaded. */
export const wireSystems: Readonly<Record<string, () => Promise<WireSystem>>> = {
  http: async () => (await import('./http-system.ts')).httpSystem,
  kafka: async () => (await import('./kafka-system.ts')).kafkaSystem,
  nats: async () => (await import('./nats-system.ts')).natsSystem,
  rabbitmq: async () => (await import('./rabbitmq-system.ts')).rabbitmqSystem,
  redis: async () => (await import('./redis-system.ts')).redisSystem,
  servicebus: async () => (await import('./servicebus-system.ts')).servicebusSystem,
  sns: async () => (await import('./sns-system.ts')).snsSystem,
  sqs: async () => (await import('./sqs-system.ts')).sqsSystem,
}
