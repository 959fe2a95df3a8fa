/**
 * The wires of an app: opens them, relays over them, receives over them, and ends all of that in order.
 *
 *     open: once; while the broker can not be reached again and again, and the app runs without it
 *     stop: receivers, (then readers,) then what is left is sent, then the connections end
 */
import { doubledMs, isQuadrilleError, QuadrilleError, sleep } from '../../base/index.ts'
import type { EventRecord } from '../../contracts/index.ts'
import type { Ledger } from '../../ledger/index.ts'
import type { WireNotice } from '../../wire/index.ts'
import { registeredIn } from '../declared.ts'
import { firstEvent } from '../first-event.ts'
import type { ContextTools } from '../handler-context.ts'
import type { Publishing } from '../publishing.ts'
import type { Settings } from '../settings.ts'
import type { Telling } from '../telling.ts'
import { receivedVia } from './intake.ts'
import { relayReader, relayScope } from './relay-names.ts'
import { Relay } from './relay.ts'
import { ServiceReceiver } from './service-receiver.ts'
import { wantedTypes, type WireSettings } from './wire-options.ts'
import type { WireReport } from './wire-report.ts'

/** What the wires of an app work with. */
export interface WiresContext {
  readonly settings: Settings
  readonly ledger: Ledger
  readonly tell: Telling
  readonly tools: ContextTools
  readonly publishing: Publishing
}

interface Line {
  readonly wire: WireSettings
  readonly relay: Relay
  readonly receivers: readonly ServiceReceiver[]
}

const pauseMs = { min: 200, max: 10_000 }

/** All wires of an app. */
export class Wires {
  readonly #context: WiresContext
  readonly #stopping = new AbortController()
  #lines: readonly Line[] = []
  #opening: readonly Promise<void>[] = []

  constructor(context: WiresContext) {
    this.#context = context
  }

  /** Names of the relays' readers: whose dead letters are those of the wires. */
  get readers(): readonly string[] {
    return this.#lines.map(({ relay }) => relay.reader)
  }

  get isIdle(): boolean {
    return this.#lines.every(({ relay }) => relay.isIdle)
  }

  /**
   * Starts to send.
   *
   * @throws QuadrilleError `START_POSITION_NEEDED`, `WIRE_INCOMPATIBLE`, and what else no retry can mend.
   */
  async startSending(): Promise<void> {
    const lines: Line[] = []
    for (const wire of this.#context.settings.wires) {
      const start = await this.#startOf(wire)
      const { opened } = await this.#open(wire)
      const { settings, ledger, tell, tools, publishing } = this.#context
      const shared = { wire, settings, ledger, tell, tools, opened }
      const receivers = settings.services.flatMap((service) => {
        const types = wantedTypes(service, wire)
        return types.length === 0 ? [] : [new ServiceReceiver({ ...shared, service, types, publishing })]
      })
      lines.push({ wire, relay: new Relay({ ...shared, start }), receivers })
      this.#lines = lines
    }
    for (const { relay } of lines) await relay.start()
  }

  /** @throws QuadrilleError `WIRE_POSITION_LOST`, and what else no retry can mend. */
  async startReceiving(): Promise<void> {
    await Promise.all(this.#lines.flatMap(({ receivers }) => receivers.map((receiver) => receiver.start())))
  }

  wake(): void {
    for (const { relay } of this.#lines) relay.wake()
  }

  lookAgain(): void {
    for (const { relay } of this.#lines) relay.lookAgain()
  }

  async stopReceiving(): Promise<void> {
    this.#stopping.abort()
    await Promise.all(this.#lines.flatMap(({ receivers }) => receivers.map((receiver) => receiver.stop())))
  }

  /** After the readers: sends what is left, and ends the connections. Never throws. */
  async stop(): Promise<void> {
    const { log } = this.#context.tools
    this.#stopping.abort()
    await Promise.all(this.#opening)
    await Promise.all(this.#lines.map(({ relay }) => relay.stop()))
    await Promise.all(
      this.#context.settings.wires.map(({ wire }) =>
        wire
          .close()
          .catch((error: unknown) => log.warn({ err: error, wire: wire.name }, 'a wire could not be closed in order')),
      ),
    )
  }

  /** No more patience. */
  abort(): void {
    this.#stopping.abort()
    for (const { relay } of this.#lines) relay.abort()
  }

  async reports(): Promise<readonly WireReport[]> {
    return Promise.all(this.#lines.map((line) => reportOf(line)))
  }

  /** Opens a wire; resolves when that is done, or when it goes on in the background: `opened` tells when it is done. */
  async #open(wire: WireSettings): Promise<{ readonly opened: Promise<void> }> {
    const { settings, tools } = this.#context
    const opened = Promise.withResolvers<void>()
    const open = () =>
      wire.wire.open({
        env: settings.env,
        log: tools.log,
        sends: wire.announced,
        notice: (notice) => this.#notice(wire.name, notice),
      })
    const later = async (): Promise<void> => {
      for (let errors = 1; !this.#stopping.signal.aborted; errors++) {
        const delayMs = doubledMs(pauseMs, errors) * (0.5 + settings.env.random() / 2)
        await sleep(settings.env, delayMs, this.#stopping.signal)
        if (this.#stopping.signal.aborted) return opened.resolve()
        try {
          await open()
          return opened.resolve()
        } catch (error) {
          tools.log.warn({ err: error, wire: wire.name }, 'the wire can not be opened; it is tried again')
        }
      }
      opened.resolve()
    }
    try {
      await open()
      opened.resolve()
    } catch (error) {
      if (!isQuadrilleError(error) || !error.retryable) throw error
      tools.log.warn({ err: error, wire: wire.name }, 'the wire can not be opened; the app starts without it')
      this.#opening = [...this.#opening, later()]
    }
    return { opened: opened.promise }
  }

  #notice(wire: string, { kind, service, why }: WireNotice): void {
    const { tell, tools } = this.#context
    const facts = { wire, service, why }
    tools.log.warn(
      facts,
      kind === 'lost' ? 'a connection to the broker was lost' : 'a connection to the broker is back',
    )
    tell.tell('wire', { wire, service, state: kind, why })
    if (kind === 'restored') for (const line of this.#lines) if (line.wire.name === wire) line.relay.restored()
  }

  /** Where the relay starts. A wire that is new on a ledger with events of its own must say it. */
  async #startOf(wire: WireSettings): Promise<number> {
    const { ledger } = this.#context
    const reader = relayReader(wire.name)
    // Where it stood, nothing was kept for it since: it would go on with a gap.
    if ((await registeredIn(ledger, relayScope)).has(wire.name))
      throw new QuadrilleError('WIRE_RETIRED', { wire: wire.name })
    const { head } = await ledger.health()
    if (head === 0 || (await ledger.positions(reader)).length > 0) return 0
    if (wire.sendFrom !== undefined) return wire.sendFrom === 'now' ? head : 0
    const where = (event: EventRecord) => wire.sends(event.type) && receivedVia(event) === null
    if ((await firstEvent(ledger, { after: 0, types: wire.sendsOnly, where })) === undefined) return 0
    throw new QuadrilleError('START_POSITION_NEEDED', { service: reader, reaction: 'send', events: head })
  }
}

async function reportOf({ wire, relay, receivers }: Line): Promise<WireReport> {
  const { problem, ...sending } = await relay.report()
  const receiving = await Promise.all(receivers.map((receiver) => receiver.report()))
  const health = await wire.wire
    .health()
    .catch((error: unknown) => ({ problems: [`its health can not be asked: ${String(error)}`], facts: {} }))
  const dead =
    sending.dead > 0 ? [`${relay.reader} has ${sending.dead} dead letter${sending.dead === 1 ? '' : 's'}`] : []
  const problems = [
    ...new Set([
      ...health.problems,
      ...(problem === null ? [] : [problem]),
      ...receiving.flatMap((each) => each.problems),
    ]),
  ].map((text) => `${wire.name}: ${text}`)
  return {
    wire: wire.name,
    problems: [...problems, ...dead],
    facts: health.facts,
    sending,
    receiving: receiving.map(({ service, lag, state }) => ({ service, lag, state })),
  }
}
