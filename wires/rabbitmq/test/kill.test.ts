/** Senders and receivers over RabbitMQ, and the server, are killed at random. */
import { killTest } from '@quadrille/brokers/wire-kills'

killTest({ kind: 'rabbitmq', wires: new URL('./kill-wires.ts', import.meta.url) })
