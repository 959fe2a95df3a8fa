/** Finds out whether a queue that somebody else has made keeps the order: the protocol tells it only by refusing another shape. */
import type { ChannelModel } from 'amqplib'
import { ask } from './rabbit-topology.ts'

type Argument = string | number | boolean

const single = 'x-single-active-consumer'
const attemptsMax = 20
const difference = /inequivalent arg '(x-[\w-]+)' for .* but current is (?:none|the value '(.*)' of type '(\w+)')/

/**
 * Why the order of keys does not hold over this queue; null when it does, or when it can not be told.
 *
 * Everything that the broker names as different is taken over and asked again, until nothing but the order is left.
 */
export async function orderProblem(model: ChannelModel, queue: string): Promise<string | null> {
  let shape: Record<string, Argument> = { 'x-queue-type': 'quorum', [single]: true }
  for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
    try {
      await ask(model, (channel) => channel.assertQueue(queue, { durable: true, arguments: shape }))
      return null
    } catch (error) {
      const [, name, value, type] = difference.exec((error as Error).message) ?? []
      if (name === undefined) return null
      if (name === single)
        return `the queue ${queue} was made without ${single}: with several processes events of one key may turn round`
      const { [name]: _, ...rest } = shape
      shape = value === undefined ? rest : { ...rest, [name]: typed(value, type) }
    }
  }
  return null
}

function typed(value: string, type: string | undefined): Argument {
  if (type === 'bool') return value === 'true'
  return type === 'longstr' ? value : Number(value)
}
