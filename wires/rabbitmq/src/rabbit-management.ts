/** What only the management API tells: which bindings there are. AMQP can make one, but not ask for it. */
import { QuadrilleError } from 'quadrille'
import type { RabbitSettings } from './rabbit-options.ts'
import { queueName, type Bound } from './rabbit-topology.ts'

interface Binding {
  readonly routing_key: string
}

const notFound = 404

/**
 * The types that the queue of a service is not bound to. None where there is no address of the management API, or no such
 * queue or exchange: their loss is told another way.
 *
 * @throws QuadrilleError `WIRE_UNREACHABLE`; what fetch throws.
 */
export async function unboundTypes(
  settings: RabbitSettings,
  { service, types }: Bound,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { management, exchange } = settings
  if (management === null) return []
  const [vhost, source, queue] = [management.vhost, exchange, queueName(settings, service)].map(encodeURIComponent)
  const answer = await fetch(`${management.address}/api/bindings/${vhost}/e/${source}/q/${queue}`, {
    headers: { authorization: management.authorization },
    signal,
  })
  if (answer.status === notFound) return []
  if (!answer.ok) {
    const message = `the management API has answered ${answer.status}`
    throw new QuadrilleError('WIRE_UNREACHABLE', { wire: settings.name, message })
  }
  const bound = new Set(((await answer.json()) as readonly Binding[]).map(({ routing_key: key }) => key))
  return types.map(({ type }) => type).filter((type) => !bound.has(type))
}
