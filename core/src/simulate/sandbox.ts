/**
 * Keeps handlers from reading what no schedule controls. While a handler runs, the clock, timers, random numbers and ids
 * of the machine are those of the simulation, and each use is noted; the network refuses. Everything else in the process
 * goes on as always, and everything is put back at the end.
 */
import { QuadrilleError } from '../base/index.ts'
import type { SimEnv } from './sim-env.ts'

/** What a call last tried to do in the real world. */
export const blockedIo: { last: string | undefined } = { last: undefined }

/** A handler that read what a schedule does not control. */
export interface Reading {
  readonly handler: string
  /** `Date.now()`, `Math.random()`, ... */
  readonly what: string
}

type AnyFunction = (...args: never[]) => unknown
type Holder = Record<string, unknown>

/** See the top of this file. */
export class Sandbox {
  /** By handler and what. */
  readonly readings = new Map<string, Reading>()
  /** The simulation that runs. */
  env: SimEnv | undefined
  #undo: (() => void)[] = []

  /** From here to {@link remove} handlers see the simulation. */
  install(): void {
    const root = globalThis as unknown as Holder
    this.#installDate(root)
    this.#replace(root['Math'] as Holder, 'random', { what: 'Math.random()', make: (env) => env.random })
    this.#replace(root['performance'] as Holder, 'now', { what: 'performance.now()', make: (env) => env.elapsed })
    const later =
      (env: SimEnv) =>
      (run: (...args: unknown[]) => void, delayMs?: number, ...args: unknown[]) =>
        env.timer(Math.max(1, Number(delayMs) || 0), () => run(...args))
    for (const name of ['setTimeout', 'setInterval'])
      this.#replace(root, name, { what: `${name}()`, make: later as never })
    const soon =
      (env: SimEnv) =>
      (run: (...args: unknown[]) => void, ...args: unknown[]) =>
        env.timer(0, () => run(...args))
    this.#replace(root, 'setImmediate', { what: 'setImmediate()', make: soon as never })
    this.#installModules(root)
  }

  /** Runs something of our own, which means the real machine although a handler is running. */
  aside<T>(run: () => T): T {
    const { env } = this
    this.env = undefined
    try {
      return run()
    } finally {
      this.env = env
    }
  }

  /** Everything as it was. */
  remove(): void {
    for (const undo of this.#undo.splice(0).reverse()) undo()
    process.getBuiltinModule('node:module').syncBuiltinESMExports()
  }

  #installModules(root: Holder): void {
    const refuse = (what: string) => (): never => {
      blockedIo.last = what
      throw new QuadrilleError('SIMULATION_IO', { handler: this.#handler(), what })
    }
    this.#replace(root, 'fetch', { what: 'fetch()', quiet: true, make: () => async () => refuse('fetch()')() })
    const crypto = process.getBuiltinModule('node:crypto') as unknown as Holder
    for (const holder of [crypto, root['crypto'] as Holder])
      this.#replace(holder, 'randomUUID', { what: 'crypto.randomUUID()', make: (env) => env.uuid })
    const sockets = process.getBuiltinModule('node:net').Socket.prototype as unknown as Holder
    this.#replace(sockets, 'connect', { what: 'a connection', quiet: true, make: () => refuse('a connection') })
    const timers = process.getBuiltinModule('node:timers/promises') as unknown as Holder
    const wait = (env: SimEnv) => (delayMs?: number, value?: unknown) =>
      new Promise((resolve) => env.timer(Math.max(1, Number(delayMs) || 0), () => resolve(value)))
    this.#replace(timers, 'setTimeout', { what: 'timers/promises setTimeout()', make: wait as never })
    const plain = process.getBuiltinModule('node:timers') as unknown as Holder
    for (const name of ['setTimeout', 'setInterval', 'setImmediate']) this.#put(plain, name, root[name])
    process.getBuiltinModule('node:module').syncBuiltinESMExports()
  }

  #installDate(root: Holder): void {
    const RealDate = root['Date'] as DateConstructor
    const read = (): number | undefined => {
      const env = this.#inside()
      if (!env) return undefined
      this.#note('the clock (Date)')
      return env.now()
    }
    const SimDate = new Proxy(RealDate, {
      construct: (target, args, newTarget) => {
        const nowMs = args.length === 0 ? read() : undefined
        return Reflect.construct(target, nowMs === undefined ? args : [nowMs], newTarget) as object
      },
      apply: (target) => {
        const nowMs = read()
        return nowMs === undefined ? target() : new target(nowMs).toString()
      },
      get: (target, name, receiver) => {
        if (name !== 'now') return Reflect.get(target, name, receiver) as unknown
        return () => read() ?? target.now()
      },
    })
    this.#put(root, 'Date', SimDate)
  }

  #replace(
    holder: Holder,
    name: string,
    { what, quiet = false, make }: { what: string; quiet?: boolean; make: (env: SimEnv) => AnyFunction },
  ): void {
    const real = holder[name] as AnyFunction | undefined
    if (typeof real !== 'function') return
    const inside = (): SimEnv | undefined => {
      const env = this.#inside()
      if (env && !quiet) this.#note(what)
      return env
    }
    this.#put(holder, name, function (this: unknown, ...args: never[]): unknown {
      const env = inside()
      return env ? make(env)(...args) : real.apply(this, args)
    })
  }

  #put(holder: Holder, name: string, value: unknown): void {
    const before = Object.getOwnPropertyDescriptor(holder, name)
    Object.defineProperty(holder, name, {
      value,
      writable: true,
      configurable: true,
      enumerable: before?.enumerable ?? true,
    })
    this.#undo.push(() => {
      if (before) Object.defineProperty(holder, name, before)
      else delete holder[name]
    })
  }

  /** The simulation, when a handler of the user is what runs. */
  #inside(): SimEnv | undefined {
    return this.env?.invocation === undefined ? undefined : this.env
  }

  #handler(): string {
    const by = this.env?.invocation
    return by === undefined || by.role === 'begin' ? 'whatever begins a conversation' : `${by.service}/${by.reaction}`
  }

  #note(what: string): void {
    const handler = this.#handler()
    if (this.env!.invocation!.role !== 'begin') this.readings.set(`${handler} ${what}`, { handler, what })
  }
}
