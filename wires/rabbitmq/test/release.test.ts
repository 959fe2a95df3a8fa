/** Two versions of a service receive over RabbitMQ at the same time, as during a release. */
import { realBroker } from '@quadrille/brokers'
import { testReleases } from '@quadrille/brokers/wire-release'
import { rabbitPlace } from './rabbit-harness.ts'

testReleases(realBroker('rabbitmq'), rabbitPlace)
