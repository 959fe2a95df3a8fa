/** Senders and receivers over Redis, and the server, are killed at random. */
import { killTest } from '@quadrille/brokers/wire-kills'

killTest({ kind: 'redis', wires: new URL('./kill-wires.ts', import.meta.url) })
