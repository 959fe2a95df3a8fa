/** Two versions of a service receive over Redis at the same time, as during a release. */
import { realBroker } from '@quadrille/brokers'
import { testReleases } from '@quadrille/brokers/wire-release'
import { redisPlace } from './redis-harness.ts'

testReleases(realBroker('redis'), redisPlace)
