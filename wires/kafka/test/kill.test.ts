/** Senders and receivers over Kafka, and the broker, are killed at random. */
import { killTest } from '@quadrille/brokers/wire-kills'

const start = { settings: ['group.min.session.timeout.ms=1000'] }
killTest({ kind: 'kafka', wires: new URL('./kill-wires.ts', import.meta.url), start })
