/**
 * Whether the broker can be reached: what a failure says about it, and how long to wait.
 *
 *     in reach --unreachable, or everything fails--> away: pause (doubling, with jitter), probe
 *     away     --something is taken----------------> in reach
 *
 * While it is away nothing is parked and no attempt is counted: an outage must not fill the dead letters.
 */
import { doubledMs, isQuadrilleError, messageOf, QuadrilleError } from '../../base/index.ts'
import { sendByKey, type OutgoingMessage, type Wire } from '../../wire/index.ts'
import type { Tracing } from '../tracing.ts'
import type { RelayContext } from './relay.ts'

const pauseMs = { min: 50, max: 5_000 }
/** So often everything may fail, without a word from the wire itself, until it is the fault of the events. */
const doubtfulRoundsMax = 3
/** A broker that took something so lately is not away because everything in a batch fails. */
const trustMs = 10_000

/** What a relay knows of its broker. */
export class Reach {
  readonly #context: RelayContext
  readonly #stopping: AbortSignal
  #away: { rounds: number; readonly sinceMs: number; why: string } | null = null
  #retry: (() => void) | undefined
  #tookAt = -Infinity

  constructor(context: RelayContext, stopping: AbortSignal) {
    this.#context = context
    this.#stopping = stopping
  }

  get away(): { readonly why: string } | null {
    return this.#away
  }

  get isPausing(): boolean {
    return this.#retry !== undefined
  }

  /** Ends the pause. */
  retry(): void {
    this.#retry?.()
  }

  /** The error that says that the broker is away, if the answers say so. */
  async trouble(answers: readonly (QuadrilleError | null)[]): Promise<QuadrilleError | null> {
    const unreachable = answers.find((answer) => answer?.code === 'WIRE_UNREACHABLE')
    if (unreachable) return unreachable
    const first = answers[0]
    const isOwn = (answer: QuadrilleError | null) =>
      answer === null || !answer.retryable || answer.code === 'WIRE_UNROUTABLE'
    if (!first || answers.some(isOwn)) return null
    const tookLately = this.#context.settings.env.elapsed() - this.#tookAt < trustMs
    if (!tookLately && (this.#away?.rounds ?? 0) < doubtfulRoundsMax) return first
    const { problems } = await this.#context.wire.wire.health()
    return problems.length > 0 ? first : null
  }

  /** Waits before the next try; the first time it is told. */
  async pause(error: unknown): Promise<void> {
    const { settings, wire, tools, tell } = this.#context
    const why = messageOf(error)
    if (!this.#away) {
      tools.log.warn({ err: error, wire: wire.name }, 'nothing can be sent; events wait in the ledger')
      tell.tell('wire', { wire: wire.name, service: null, state: 'lost', why })
    }
    this.#away ??= { rounds: 0, sinceMs: settings.env.now(), why }
    this.#away.rounds += 1
    this.#away.why = why
    if (this.#stopping.aborted) return
    const delayMs = doubledMs(pauseMs, this.#away.rounds) * (0.5 + settings.env.random() / 2)
    await new Promise<void>((resolve) => {
      const cancel = settings.env.timer(delayMs, resolve)
      this.#retry = () => {
        cancel()
        resolve()
      }
    })
    this.#retry = undefined
  }

  /** The broker has answered. */
  back(tookSome: boolean): void {
    if (tookSome) this.#tookAt = this.#context.settings.env.elapsed()
    if (!this.#away) return
    const { wire, tell, tools, settings } = this.#context
    const awayMs = settings.env.now() - this.#away.sinceMs
    this.#away = null
    tools.log.warn({ wire: wire.name, awayMs }, 'events are sent again')
    tell.tell('wire', { wire: wire.name, service: null, state: 'restored', why: `after ${awayMs} ms` })
  }
}

type Answers = readonly (QuadrilleError | null)[]

/** As `wire.send`, but for an adapter that breaks over a message. @throws QuadrilleError a retryable one that the wire throws. */
export async function answersOf(
  wire: Wire,
  messages: readonly OutgoingMessage[],
  tracing: Tracing | undefined,
): Promise<Answers> {
  if (messages.length === 0) return []
  const traced = tracing?.begin({ what: 'send', wire: wire.name, events: messages.map(({ event }) => event) })
  if (!traced) return sent(wire, messages)
  try {
    const answers = await traced.inside(() => sent(wire, messages))
    const error = answers.find((answer) => answer !== null)
    traced.ended(error && { error })
    return answers
  } catch (error) {
    traced.ended({ error })
    throw error
  }
}

/**
 * An adapter that breaks over one of the messages must not hold up the others: they are sent one by one then, and only what
 * breaks it again has failed. The same goes for an error that no waiting would mend: it is no outage.
 */
async function sent(wire: Wire, messages: readonly OutgoingMessage[]): Promise<Answers> {
  try {
    return await wire.send(messages)
  } catch (error) {
    if (isQuadrilleError(error) && error.retryable) throw error
    return sendByKey(messages, async (message) => {
      try {
        return (await wire.send([message]))[0] ?? null
      } catch (alone) {
        return failureOf(wire, message, alone)
      }
    })
  }
}

/** What is not said of the message itself may be mended, and is tried again a few times before it is a dead letter. */
function failureOf({ name }: Wire, { event: { type } }: OutgoingMessage, error: unknown): QuadrilleError {
  const isAnswer = isQuadrilleError(error) && (error.retryable || error.code === 'WIRE_MESSAGE_REFUSED')
  if (isAnswer) return error
  return new QuadrilleError('WIRE_SEND_FAILED', { wire: name, type, message: messageOf(error) }, error)
}
