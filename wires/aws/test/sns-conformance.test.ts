/** SNS with SQS, FIFO and standard, against fauxqs. */
import { after, before, describe, it } from 'node:test'
import { runWireCase, testWire, wireCases } from 'quadrille/conformance'
import { sns } from '@quadrille/aws'
import { awsHarness, withHooks, withKill } from './aws-setup.ts'
import { startFauxqs, type Fauxqs } from './fauxqs-server.ts'

const harness = (fifo: boolean, server: () => Fauxqs) =>
  awsHarness({ name: `sns ${fifo ? 'fifo' : 'standard'}`, server, wire: (options) => sns({ ...options, fifo }) })

describe('SNS', () => {
  let server: Fauxqs | undefined
  before(async () => void (server = await startFauxqs()))
  after(() => server?.stop())
  const elsewhere = withKill.map((name) => [name, 'runs below, on a server with a disk'])
  testWire({ describe, it }, { ...harness(true, () => server!), leftOut: Object.fromEntries(elsewhere) })
  const same = withHooks.map((name) => [name, 'runs with FIFO, and nothing in it is different here'])
  testWire({ describe, it }, { ...harness(false, () => server!), leftOut: Object.fromEntries(same) })
})

describe('SNS on a server that is killed and keeps what it has', () => {
  let server: Fauxqs | undefined
  before(async () => void (server = await startFauxqs({ durable: true })))
  after(() => server?.stop())
  for (const each of wireCases.filter(({ name }) => withKill.includes(name)))
    it(each.name, () =>
      runWireCase(
        each,
        harness(true, () => server!),
      ),
    )
})
