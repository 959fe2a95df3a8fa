/** S18, D1, D2: whether every event is decoded, and reacted to, by the versions of services that run together. */
import type { AnyContract, AnyPattern } from '../../contracts/index.ts'
import { schemaOf } from '../../contracts/json-schema.ts'
import { emitsOf, triggersOf, type AnyService } from '../../service/index.ts'
import { decodes, type Verdict } from '../compat/decoding.ts'
import { list, type Context } from '../context.ts'
import { whoeverStarts } from '../model.ts'
import type { Decoding, Place } from '../finding.ts'
import { occurrencesOf, satisfies, valuesText, type Values } from '../occurrences.ts'

/** S18: contracts of one choreography that bear one name, and versions whose upcasts do not take what was sent. */
export function contracts(context: Context): Decoding[] {
  const found: Decoding[] = []
  for (const [type, declared] of context.model.contracts) {
    for (const { contract: sent, emittedBy } of declared) {
      for (const { contract: read, readBy } of declared) {
        const same = sent === read
        if ((same && sent.latest === 1) || (!same && (emittedBy.length === 0 || readBy.length === 0))) continue
        const verdict = decodes(sent, read)
        const names = { producer: list(emittedBy), consumer: list(readBy) }
        if (!same) found.push({ type, ...names, ...verdict })
        if (verdict.verdict !== 'refuted') continue
        const places = [...emittedBy, ...readBy].flatMap((name) => placeOfName(context, name) ?? [])
        context.say('S18', {
          places: places.length > 0 ? places : [{ what: type, at: '' }],
          message: same
            ? `An old ${type} (version ${verdict.version}) can not be brought up to version ${read.latest}${shown(verdict)}: ${verdict.why}`
            : `${names.producer} and ${names.consumer} have contracts of their own called ${type}, and they do not fit: ` +
              `a ${type} that is sent${shown(verdict)} becomes a dead letter: ${verdict.why}`,
          fix: same
            ? 'Let the upcast take everything that its old schema takes; old events can not be changed.'
            : 'Share one contract, or make the reader accept what is sent.',
        })
      }
    }
  }
  return found
}

const shown = (verdict: Verdict): string =>
  verdict.verdict === 'refuted' && 'value' in verdict ? ` as ${short(JSON.stringify(verdict.value))}` : ''

const short = (text: string): string => (text.length > 200 ? `${text.slice(0, 200)}…` : text)

function placeOfName({ model }: Context, name: string): Place | undefined {
  if (name === whoeverStarts) return undefined
  const reaction = model.reactions.find((each) => `${each.service}/${each.name}` === name)
  return { what: name, at: reaction?.place ?? '' }
}

interface Version {
  readonly service: AnyService
  readonly deployed: boolean
}

const titleOf = ({ service, deployed }: Version): string => `${service.name} (${deployed ? 'deployed' : 'new'})`

const emitted = ({ service }: Version): AnyContract[] => [
  ...new Set(service.reactions.flatMap((each) => [...emitsOf(each)])),
]
const read = ({ service }: Version): AnyPattern[] =>
  service.reactions.flatMap((each) => triggersOf(each).map(({ trigger }) => trigger))

/** D1: an event of one version that another one can not decode. D2: one that finds no reaction in the other. */
export function deployed(context: Context, services: readonly AnyService[]): Decoding[] {
  if (services.length === 0) return []
  const { choreography } = context.model
  const names = new Set(choreography.services.map(({ name }) => name))
  const versions: Version[] = [
    ...choreography.services.map((service) => ({ service, deployed: false })),
    ...services.filter(({ name }) => names.has(name)).map((service) => ({ service, deployed: true })),
  ]
  const found: Decoding[] = []
  for (const producer of versions) {
    for (const consumer of versions) {
      if (producer.deployed !== consumer.deployed) found.push(...decoding(context, producer, consumer))
    }
  }
  reactions(context, versions)
  return found
}

function decoding(context: Context, producer: Version, consumer: Version): Decoding[] {
  // What comes in from outside the reactions (a transaction that begins a conversation) is as new as its service.
  const started = context.model.choreography.starts.map(({ contract }) => contract)
  const sent = new Set([...emitted(producer), ...(producer.deployed ? [] : started)])
  const readers = new Map(read(consumer).map(({ contract }) => [contract.type, contract]))
  return [...sent].flatMap((contract) => {
    const reader = readers.get(contract.type)
    if (!reader || (reader === contract && contract.latest === 1)) return []
    const verdict = decodes(contract, reader)
    if (verdict.verdict === 'refuted') sayUndecoded(context, { producer, consumer, contract, verdict })
    return [{ type: contract.type, producer: titleOf(producer), consumer: titleOf(consumer), ...verdict }]
  })
}

interface Undecoded {
  readonly producer: Version
  readonly consumer: Version
  readonly contract: AnyContract
  readonly verdict: Extract<Verdict, { verdict: 'refuted' }>
}

function sayUndecoded(context: Context, { producer, consumer, contract, verdict }: Undecoded): void {
  const first = producer.deployed
    ? 'Give it a new version with an upcast'
    : `Release ${consumer.service.name} first, or give it a new version`
  context.say('D1', {
    places: [placeOfService(consumer, contract.type), placeOfService(producer, contract.type)],
    message:
      `While both run, ${titleOf(producer)} sends ${contract.type}${shown(verdict)}, and ${titleOf(consumer)} can not ` +
      `decode it: it becomes a dead letter. ${verdict.why}`,
    sequence: [`${titleOf(producer)} emits ${contract.type}`, `${titleOf(consumer)} refuses it`],
    fix: `${first}; docs/contracts.md says which change needs what.`,
  })
}

function placeOfService({ service }: Version, type: string): Place {
  const reaction =
    service.reactions.find((each) => triggersOf(each).some(({ trigger }) => trigger.type === type)) ??
    service.reactions.find((each) => emitsOf(each).some((contract) => contract.type === type))
  return { what: reaction ? `${service.name}/${reaction.name}` : service.name, at: reaction?.place ?? '' }
}

/** What each side sends that only one version of a reader reacts to. */
function reactions(context: Context, versions: readonly Version[]): void {
  const deployedNames = new Set(versions.filter((each) => each.deployed).map(({ service }) => service.name))
  const types = new Map(versions.flatMap(emitted).map((contract) => [contract.type, contract]))
  for (const [type] of types) {
    const kinds = [...kindsOf(versions, type)]
    const of = (deployedSide: boolean) => versions.filter((each) => each.deployed === deployedSide)
    for (const values of kinds) {
      const reacting = (side: boolean) =>
        of(side).filter((each) => read(each).some((trigger) => isOf(trigger, type, values)))
      const sending = (side: boolean) =>
        of(side).filter((each) =>
          emitted(each).some((contract) => contract.type === type && maySend(contract, values, versions)),
        )
      const text = values.size === 0 ? type : `${type}{${valuesText(values)}}`
      const newReaders = reacting(false).filter(({ service }) => deployedNames.has(service.name))
      const unready = newReaders.filter(
        ({ service }) => !reacting(true).some((old) => old.service.name === service.name),
      )
      const news = sending(false).filter(
        ({ service }) => !sending(true).some((old) => old.service.name === service.name),
      )
      if (unready.length > 0 && news.length > 0 && sending(true).length === 0) {
        sayUnheard(context, { text, type, senders: news, readers: unready, side: 'old' })
      }
      const gone = reacting(true).filter(
        ({ service }) => !reacting(false).some((now) => now.service.name === service.name),
      )
      if (gone.length > 0 && reacting(false).length === 0 && sending(true).length > 0) {
        sayUnheard(context, { text, type, senders: sending(true), readers: gone, side: 'new' })
      }
    }
  }
}

function kindsOf(versions: readonly Version[], type: string): Iterable<Values> {
  const patterns = versions
    .flatMap(read)
    .flatMap((trigger) => (trigger.type === type && trigger.pattern ? [trigger.pattern] : []))
  const all = new Map<string, Values>()
  for (const contract of versions.flatMap(emitted).filter((each) => each.type === type)) {
    for (const values of occurrencesOf(patterns, schemaOf(contract))) all.set(valuesText(values), values)
  }
  return all.values()
}

const isOf = (trigger: AnyPattern, type: string, values: Values): boolean =>
  trigger.type === type && satisfies(values, trigger.pattern ?? null)

function maySend(contract: AnyContract, values: Values, versions: readonly Version[]): boolean {
  const patterns = versions
    .flatMap(read)
    .flatMap((trigger) => (trigger.type === contract.type && trigger.pattern ? [trigger.pattern] : []))
  return occurrencesOf(patterns, schemaOf(contract)).some((each) => valuesText(each) === valuesText(values))
}

interface Unheard {
  readonly text: string
  readonly type: string
  readonly senders: readonly Version[]
  readonly readers: readonly Version[]
  readonly side: 'old' | 'new'
}

function sayUnheard(context: Context, { text, type, senders, readers, side }: Unheard): void {
  const names = list(readers.map(({ service }) => service.name))
  context.say('D2', {
    places: [...readers, ...senders].map((version) => placeOfService(version, type)),
    message:
      side === 'old'
        ? `While both run, ${list(senders.map(titleOf))} sends ${text}, to which only the new ${names} reacts: ` +
          'what comes before that has started is passed by, and nobody reacts to it later.'
        : `${list(senders.map(titleOf))} still sends ${text}, and the new ${names} does not react to it any more: ` +
          'what is under way at the release is never finished.',
    fix:
      side === 'old'
        ? `Release ${names} first, everywhere; then ${list(senders.map(({ service }) => service.name))}.`
        : `Keep the reaction to ${text} until no deployed service sends it and none is left in a ledger.`,
  })
}
