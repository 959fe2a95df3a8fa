/** fauxqs, which speaks for SNS and SQS. */
import { realBroker, type Broker } from '@quadrille/brokers'

export type Fauxqs = Broker

/** With `durable`, what it has is on disk and survives a kill; that is many times slower. */
export const startFauxqs = ({ durable = false } = {}): Promise<Fauxqs> =>
  realBroker('fauxqs').start({ settings: durable ? ['FAUXQS_PERSISTENCE=true'] : [] })
