/** What the tests of wires share: apps with ledgers of their own on one hub, and wires that can be told to fail. */
import type { TestContext } from 'node:test'
import {
  QuadrilleError, silentLogger, start, type App, type Hooks, type OutgoingMessage, type StartOptions, type Wire,
} from 'quadrille' // prettier-ignore
import { memoryHub } from 'quadrille/memory'

/** Starts an app that is stopped when the test ends. */
export async function app(t: TestContext, options: StartOptions): Promise<App> {
  const started = await start({ log: silentLogger, poll: '50ms', lease: '400ms', ...options })
  t.after(() => started.stop({ deadline: '2s' }))
  return started
}

/** A wire whose broker refuses what `answer` says. Everything it was asked to send is in `asked`, what it took in `taken`. */
export function scripted(good: Wire, answer: (message: OutgoingMessage, nth: number) => QuadrilleError | null) {
  const asked: OutgoingMessage[] = []
  const taken: OutgoingMessage[] = []
  const wire: Wire = {
    name: good.name,
    capabilities: good.capabilities,
    open: (context) => good.open(context),
    close: () => good.close(),
    receive: (subscription, deliver) => good.receive(subscription, deliver),
    health: () => good.health(),
    async send(messages) {
      const held = new Set<string>()
      const results: (QuadrilleError | null)[] = []
      for (const message of messages) {
        const { key, id } = message.event
        if (held.has(key)) {
          results.push(new QuadrilleError('WIRE_SEND_HELD', { behind: id }))
          continue
        }
        asked.push(message)
        const tries = asked.filter(({ event }) => event.id === id).length
        const error = answer(message, tries) ?? (await good.send([message]))[0]!
        if (error?.retryable) held.add(key)
        if (error === null) taken.push(message)
        results.push(error)
      }
      return results
    },
  }
  return { wire, asked, taken }
}

export const refusedFor = {
  now: () => new QuadrilleError('WIRE_SEND_FAILED', { wire: 'memory', type: 'x', message: 'not now' }),
  ever: () => new QuadrilleError('WIRE_MESSAGE_REFUSED', { wire: 'memory', type: 'x', problem: 'not this one' }),
}

/** Waits until the condition holds. Fails after 10 s. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const endsAt = Date.now() + 10_000
  while (!(await condition())) {
    if (Date.now() > endsAt) throw new Error(`timed out: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Collects the facts of one hook. */
export function collect<Name extends keyof Hooks>(name: Name) {
  type Facts = Parameters<NonNullable<Hooks[Name]>>[0]
  const facts: Facts[] = []
  return { facts, hooks: { [name]: (fact: Facts) => facts.push(fact) } as Hooks }
}

export { memoryHub }
