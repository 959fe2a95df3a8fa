/** Two versions of a service receive over NATS at the same time, as during a release. */
import { realBroker } from '@quadrille/brokers'
import { testReleases } from '@quadrille/brokers/wire-release'
import { natsPlace } from './nats-harness.ts'

testReleases(realBroker('nats'), natsPlace)
