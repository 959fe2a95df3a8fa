/** Senders and receivers over FIFO queues are killed at random. ElasticMQ stays: what it holds is in memory. */
import { killTest } from '@quadrille/brokers/wire-kills'

const wires = new URL('./kill-wires.ts', import.meta.url)
killTest({ kind: 'elasticmq', wires, brokerStays: true, options: ({ port }) => port, sleepMs: 3_500 })
