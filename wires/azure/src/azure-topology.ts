/** The topic, the subscriptions and their rules: made when they are missing, never changed or emptied. */
import { ServiceBusAdministrationClient } from '@azure/service-bus'
import { isKnown, QuadrilleError, type Env, type Subscription } from 'quadrille'
import type { AzureSettings } from './azure-options.ts'
import { rulesFor } from './subscription-rules.ts'

type PipelinePolicy = Parameters<ServiceBusAdministrationClient['pipeline']['addPolicy']>[0]

/** Attempts are counted by the ledger: Service Bus shall not put messages aside. */
const deliveriesMax = 2_000
const subscriptionCharsMax = 50

/** How many messages a subscription has. */
export interface Depth {
  readonly active: number
  readonly dead: number
}

/** An error of the administration, as far as it matters here. */
interface AdminError {
  readonly statusCode?: number
  readonly code?: string
}

const isMissing = (error: unknown): boolean =>
  (error as AdminError).statusCode === 404 || (error as AdminError).code === 'MessageEntityNotFoundError'
const isThere = (error: unknown): boolean => (error as AdminError).statusCode === 409

/** What every call of the administration takes. */
interface CallOptions {
  readonly abortSignal: AbortSignal
}

/** Finds and makes what is needed at Service Bus. A call that is not answered within `timeout` is `WIRE_UNREACHABLE`. */
export class Topology {
  readonly #admin: ServiceBusAdministrationClient
  readonly #settings: AzureSettings
  readonly #env: Env

  constructor(settings: AzureSettings, env: Env) {
    this.#settings = settings
    this.#env = env
    this.#admin = settings.administration ?? administrationOf(settings)
  }

  /** @throws QuadrilleError `WIRE_INCOMPATIBLE` for a topic that can not carry the events; what the SDK throws. */
  async topic(): Promise<void> {
    const { topic, create, dedupeMs } = this.#settings
    if (!create) return
    const there = await found(() => this.#ask((call) => this.#admin.getTopic(topic, call)))
    if (there) {
      if (!there.enablePartitioning) return
      return this.#incompatible(
        `the topic ${topic} is partitioned, which keeps no order between the sessions of a batch`,
      )
    }
    const duplicateDetectionHistoryTimeWindow = isoDuration(dedupeMs)
    const made = { requiresDuplicateDetection: true, duplicateDetectionHistoryTimeWindow }
    await unlessThere(() => this.#ask((call) => this.#admin.createTopic(topic, { ...made, ...call })))
  }

  /**
   * The subscription of a service, with a rule for everything it wants. Returns its name.
   *
   * @throws QuadrilleError `WIRE_POSITION_LOST` when it is missing at the `start` of receiving although the ledger knows it;
   *   `WIRE_UNREACHABLE` when it is missing and not to be made.
   */
  async subscription(wanted: Subscription, start = false): Promise<string> {
    const { service, types, lost } = wanted
    const { topic, create, lockMs, fields } = this.#settings
    const name = subscriptionName(service)
    if (name.length > subscriptionCharsMax) {
      return this.#incompatible(`the subscription ${name} has more than ${subscriptionCharsMax} characters`)
    }
    if (!create && !start) return name
    if (create) await this.topic()
    const rules = rulesFor(types, fields)
    const get = () => found(() => this.#ask((call) => this.#admin.getSubscription(topic, name, call)))
    // Who makes nothing need not have the right to look either; the receiver tells when it finds none.
    const there = await (create ? get() : get().catch(() => undefined))
    if (there && !there.requiresSession) {
      return this.#incompatible(`the subscription ${name} of ${topic} has no sessions, which keep the order of keys`)
    }
    if (there === null) {
      const wire = this.#settings.name
      if (start && lost !== 'accept' && isKnown(wanted)) {
        const problem = `the subscription ${name} of the topic ${topic} is gone, and what was in it`
        throw new QuadrilleError('WIRE_POSITION_LOST', { wire, service, problem })
      }
      if (!create) {
        const message = `the topic ${topic} has no subscription ${name}, and with \`create: false\` none is made`
        throw new QuadrilleError('WIRE_UNREACHABLE', { wire, message })
      }
      const [defaultRuleOptions] = rules
      const lockDuration = isoDuration(lockMs)
      const options = { requiresSession: true, lockDuration, maxDeliveryCount: deliveriesMax, defaultRuleOptions }
      const make = (call: CallOptions) => this.#admin.createSubscription(topic, name, { ...options, ...call } as never)
      await unlessThere(() => this.#ask(make))
    }
    if (!create) return name
    const standing = await this.#ask((call) => this.#ruleNames(name, call))
    for (const rule of rules.filter((each) => !standing.has(each.name))) {
      await unlessThere(() => this.#ask((call) => this.#admin.createRule(topic, name, rule.name, rule.filter, call)))
    }
    return name
  }

  /** Whether the subscription is there; true also when that can not be asked. */
  async has(subscription: string): Promise<boolean> {
    const { topic } = this.#settings
    try {
      return (await found(() => this.#ask((call) => this.#admin.getSubscription(topic, subscription, call)))) !== null
    } catch {
      return true
    }
  }

  async depth(subscription: string): Promise<Depth> {
    const { topic } = this.#settings
    const counts = await this.#ask((call) => this.#admin.getSubscriptionRuntimeProperties(topic, subscription, call))
    return { active: counts.activeMessageCount, dead: counts.deadLetterMessageCount }
  }

  async #ruleNames(subscription: string, call: CallOptions): Promise<Set<string>> {
    const names = new Set<string>()
    for await (const { name } of this.#admin.listRules(this.#settings.topic, subscription, call)) names.add(name)
    return names
  }

  /** The client has no limit of time of its own, and what gets its token need not heed the signal. */
  async #ask<T>(call: (options: CallOptions) => Promise<T>): Promise<T> {
    const { name: wire, timeoutMs } = this.#settings
    const given = new AbortController()
    const { promise: late, reject } = Promise.withResolvers<never>()
    const cancel = this.#env.timer(timeoutMs, () => {
      const message = `its administration has not answered within ${timeoutMs} ms`
      reject(new QuadrilleError('WIRE_UNREACHABLE', { wire, message }))
      given.abort()
    })
    return Promise.race([call({ abortSignal: given.signal }), late]).finally(cancel)
  }

  #incompatible(problem: string): never {
    throw new QuadrilleError('WIRE_INCOMPATIBLE', { wire: this.#settings.name, problem })
  }
}

/** The relay and the receivers repeat what fails; a connection that was kept may have ended meanwhile. */
const retryOptions = { maxRetries: 1, retryDelayInMs: 100 }

/** The administration client of a namespace; of an emulator, over plain HTTP on the port of its connection string. */
export function administrationOf({ connectionString, namespace, credential }: AzureSettings) {
  if (connectionString === null) {
    return new ServiceBusAdministrationClient(namespace, credential as never, { retryOptions })
  }
  const client = new ServiceBusAdministrationClient(connectionString, { retryOptions })
  if (!/;\s*UseDevelopmentEmulator=true/i.test(connectionString)) return client
  const plain: PipelinePolicy = {
    name: 'plain HTTP',
    sendRequest(request, next) {
      request.url = request.url.replace(/^https:/, 'http:')
      request.allowInsecureConnection = true
      return next(request)
    },
  }
  client.pipeline.addPolicy(plain, { phase: 'Sign' })
  return client
}

/** What a subscription may be called: other characters become `_` and their code. */
export const subscriptionName = (service: string): string =>
  service.replace(/[^A-Za-z0-9.-]/gu, (char) => `_${char.codePointAt(0)!.toString(16)}_`)

async function found<T>(get: () => Promise<T>): Promise<T | null> {
  try {
    return await get()
  } catch (error) {
    if (isMissing(error)) return null
    throw error
  }
}

/** Somebody else may have made it in the meantime. */
async function unlessThere(make: () => Promise<unknown>): Promise<void> {
  try {
    await make()
  } catch (error) {
    if (!isThere(error)) throw error
  }
}

const isoDuration = (ms: number): string => `PT${Math.round(ms / 1000)}S`
