/**
 * What a broker must offer to carry events from one ledger to another. It is little, because the ledgers on both sides do
 * the rest: the sender's keeps an event until the broker has it and sends it again otherwise; the receiver's drops
 * duplicates by id, before the broker's message is acknowledged. Retries, delays, order per key behind a failure, dead
 * letters and replay are never the broker's business.
 *
 * `docs/writing-a-wire.md` is the guide; the conformance cases in ./conformance are the contract in full.
 */
import type { Env, Logger, QuadrilleError } from '../base/index.ts'
import type { CloudEventJson, EventRecord, Pattern } from '../contracts/index.ts'

/** What a wire can do. What is false or missing here is refused at start-up when somebody relies on it. */
export interface WireCapabilities {
  /**
   * How events of one key stay in order on their way. `always`: also with several receivers of one service, because the
   * broker gives all events of a key to the same one. `one-receiver`: only while one process at a time receives for a
   * service; the runtime sees to that with a lease. `none`: the broker may turn them round.
   */
  readonly order: 'always' | 'one-receiver' | 'none'
  /** Where a subscription that is new may start: `beginning` needs a broker that keeps what nobody has subscribed to. */
  readonly from: readonly ('beginning' | 'now')[]
  /** True when patterns of a subscription are applied by the broker, so that other events never arrive. */
  readonly filters: boolean
  /** True when an event for which nobody has subscribed is an error of {@link Wire.send}, not lost in silence. */
  readonly reportsUnroutable: boolean
  /** For how long the broker drops a repeated {@link OutgoingMessage.dedupeId}, milliseconds; 0 for not at all. */
  readonly dedupeMs: number
  /** The largest message in bytes, attributes included; null for none that is known. */
  readonly messageBytesMax: number | null
}

/** An event on its way out. */
export interface OutgoingMessage {
  readonly event: EventRecord
  /** For the broker's own deduplication: the id of the event, and the number of the redrive, so that one is not swallowed. */
  readonly dedupeId: string
}

/** A message as it came from the broker. What it means is decided by the runtime, not by the wire. */
export interface IncomingMessage {
  /**
   * CloudEvents binary mode: attributes by name, in lower case and without the binding's prefix. Null when the body is
   * the whole event (structured mode), or when it is none at all.
   */
  readonly attributes: Readonly<Record<string, string>> | null
  readonly body: Uint8Array
  /** What the body says as JSON, where the wire had to parse it anyway (`readCloudEventText`): it is not parsed again. */
  readonly parsed?: CloudEventJson
  /**
   * The subscribed type under which it came: the topic, subject or routing key that it was read from. Messages that are
   * no CloudEvents are known by nothing else. Undefined only where a broker can not tell.
   */
  readonly channel?: string
}

/** Which events of a type are wanted. */
export interface SubscribedType {
  readonly type: string
  /** An event is wanted when one of these matches; null for every event. A wire with `filters` lets the broker do it. */
  readonly patterns: readonly Pattern[] | null
}

/** What one service wants to receive. */
export interface Subscription {
  /** Names the subscription at the broker (consumer group, queue, durable consumer): processes of one service share it. */
  readonly service: string
  readonly types: readonly SubscribedType[]
  /** Where it starts when the broker does not know it yet. */
  readonly from: 'beginning' | 'now'
  /**
   * The types that the service's ledger has had a subscription to, by this wire: where the broker knows nothing of them
   * it has forgotten, which is `WIRE_POSITION_LOST`, and not a subscription that is new. Undefined for none.
   */
  readonly known?: readonly string[]
  /**
   * The types that other processes of the service want besides, as those of a newer version do during a release. A message of
   * such a type is delivered like any other: acknowledged without that, it would be lost for them. To be asked when a
   * message comes whose type is none of `types`, and before a subscription is narrowed; see {@link wantedOf}.
   */
  readonly alsoWanted?: () => Promise<ReadonlySet<string>>
  /**
   * Set once somebody has decided to live with a gap: where the broker has dropped messages that this subscription had
   * still to receive, it goes on with the oldest that is there, instead of refusing with `WIRE_POSITION_LOST`.
   */
  readonly lost?: 'accept'
  /** Names this process; unique in the world. */
  readonly instance: string
}

/**
 * Takes messages into the ledger. Resolves after the commit: then, and not before, they may be acknowledged. Rejects when
 * the ledger could not take them: then none may be acknowledged, and all of them come again later. Undecodable messages
 * are taken too, as dead letters.
 */
export type Deliver = (messages: readonly IncomingMessage[]) => Promise<void>

/** A running subscription. */
export interface Receiver {
  /**
   * Takes nothing new, waits for the delivery in hand, acknowledges it, and gives back what was fetched but not delivered,
   * so that others get it at once. Idempotent. The subscription itself stays at the broker.
   */
  stop(): Promise<void>
  health(): Promise<ReceiverHealth>
}

/** How a subscription is doing. */
export interface ReceiverHealth {
  /** How many messages the broker holds for it that are not acknowledged; null when the broker does not say. */
  readonly lag: number | null
  /** Plain sentences; empty when all is well. One that is connected, behind, and gets nothing, has a problem. */
  readonly problems: readonly string[]
}

/** What a wire works with. */
export interface WireContext {
  readonly env: Env
  readonly log: Logger
  /**
   * The event types that are known to be sent: their topics, subjects or exchanges are made at once. Others may follow (a
   * transaction may return any event); what they need is made when the first of them is sent.
   */
  readonly sends: readonly string[]
  /** Tells that a connection or subscription was lost or is back. */
  notice(notice: WireNotice): void
}

/** Something that happened to the connection of a wire. */
export interface WireNotice {
  readonly kind: 'lost' | 'restored'
  /** The subscription, or null for the sending side. */
  readonly service: string | null
  readonly why: string
}

/** Facts for `health()`. */
export interface WireHealth {
  /** Plain sentences on what is wrong; empty when it is connected. */
  readonly problems: readonly string[]
  readonly facts: Readonly<Record<string, number | string>>
}

/** A broker that carries events. After `open`, it reconnects by itself until `close`. */
export interface Wire {
  /** For messages and records: `kafka`, or what the user calls it. Unique in an app, and to be kept: progress is stored under it. */
  readonly name: string
  readonly capabilities: WireCapabilities
  /**
   * Connects, and makes what `sends` needs (idempotent; nothing that exists is changed or emptied).
   *
   * @throws QuadrilleError `WIRE_UNREACHABLE` or `WIRE_INCOMPATIBLE`.
   */
  open(context: WireContext): Promise<void>
  /** Stops every receiver, ends the connections. Idempotent. */
  close(): Promise<void>
  /**
   * Sends messages; those of one key stay in the given order. Resolves with, for each message, null once the broker has
   * it durably, or the error why it has not. A retryable error means: send it again later (it may have arrived). An error
   * that is not retryable means: never, as it is (`WIRE_MESSAGE_REFUSED`). After a retryable error the later messages of
   * that key are not sent, and carry a retryable error too: {@link sendByKey} does that.
   *
   * It is called again before earlier calls have resolved (a few at a time); their keys are then different ones.
   *
   * @throws QuadrilleError `WIRE_UNREACHABLE` when nothing is known of any of them: all are sent again.
   */
  send(messages: readonly OutgoingMessage[]): Promise<readonly (QuadrilleError | null)[]>
  /**
   * Starts to receive; resolves when the subscription exists, so that nothing sent from then on is missed. Calls
   * `deliver` with at most a few hundred messages at a time, and does not fetch without bound while it is slow.
   *
   * @throws QuadrilleError `WIRE_UNREACHABLE`; `WIRE_POSITION_LOST` when the broker has dropped messages that the
   *   subscription had still to receive.
   */
  receive(subscription: Subscription, deliver: Deliver): Promise<Receiver>
  health(): Promise<WireHealth>
}
