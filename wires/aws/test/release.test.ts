/** Two versions of a service receive over SQS (ElasticMQ), and over SNS with SQS (fauxqs), at the same time, as during a release. */
import { test } from 'node:test'
import { sns, sqs } from '@quadrille/aws'
import { realBroker } from '@quadrille/brokers'
import { releaseLosesNothing, releases } from '@quadrille/brokers/wire-release'
import { clientFor } from './aws-setup.ts'
import { startFauxqs } from './fauxqs-server.ts'

const elasticmq = realBroker('elasticmq')
const queues = { 'release.old': ['mail'], 'release.added': ['mail'] }

for (const what of releases) {
  test(
    `over SQS a release loses nothing that only the new version receives; ${what}`,
    { timeout: 240_000, skip: elasticmq.skip },
    async (t) => {
      const broker = await elasticmq.start()
      t.after(() => broker.stop())
      await releaseLosesNothing(t, { wire: () => sqs({ queues, client: clientFor(broker.port), wait: '1s' }), what })
    },
  )
  test(
    `over SNS a release loses nothing that only the new version receives; ${what}`,
    { timeout: 240_000 },
    async (t) => {
      const server = await startFauxqs()
      t.after(() => server.stop())
      await releaseLosesNothing(t, { wire: () => sns({ client: clientFor(server.port), wait: '1s' }), what })
    },
  )
}
