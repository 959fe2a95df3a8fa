/** The administration of the test server: topics, subscriptions and rules as Atom over HTTP, as the SDK asks for them. */
import { sqlRule, Subscription, Topic, type Rule } from './entities.ts'

/** What the server holds, and keeps while it is down. */
export type Topics = Map<string, Topic>

export interface AdminAnswer {
  readonly status: number
  readonly body: string
}

/** A request: the path without the leading slash. */
export interface AdminRequest {
  readonly method: string
  readonly path: string
  readonly skip: number
  readonly body: string
}

const connect = 'http://schemas.microsoft.com/netservices/2010/10/servicebus/connect'
const dates = ['CreatedAt', 'UpdatedAt', 'AccessedAt'].map((name) => `<${name}>2026-11-26T00:00:00Z</${name}>`).join('')

const escaped = (text: string): string =>
  text.replace(/[&<>"]/g, (char) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[char]!)
const unescaped = (text: string): string =>
  text.replace(
    /&(amp|lt|gt|quot|apos);/g,
    (_, name: string) => ({ amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" })[name]!,
  )

const entry = (id: string, root: string, content: string): string =>
  `<entry xmlns="http://www.w3.org/2005/Atom"><id>https://test/${escaped(id)}</id><title type="text">x</title>` +
  `<content type="application/xml"><${root} xmlns="${connect}">${content}</${root}></content></entry>`

const feed = (entries: readonly string[]): AdminAnswer => ({
  status: 200,
  body: `<feed xmlns="http://www.w3.org/2005/Atom"><id>https://test/</id>${entries.join('')}</feed>`,
})

const ok = (body: string, status = 200): AdminAnswer => ({ status, body })
const missing: AdminAnswer = { status: 404, body: '<Error><Code>404</Code><Detail>not found</Detail></Error>' }
const conflict: AdminAnswer = { status: 409, body: '<Error><Code>409</Code><Detail>exists</Detail></Error>' }

/** The text of an element. */
const textOf = (xml: string, name: string): string | null =>
  new RegExp(`<${name}(?:\\s[^>]*)?>([^<]*)</${name}>`).exec(xml)?.[1] ?? null

/** An ISO 8601 duration of minutes and seconds. */
function durationMs(text: string | null, fallbackMs: number): number {
  const match = /^P(?:(\d+)D)?T?(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?$/.exec(text ?? '')
  if (!match) return fallbackMs
  const [days = 0, hours = 0, minutes = 0, seconds = 0] = match.slice(1).map((part) => Number(part ?? 0))
  return (((days * 24 + hours) * 60 + minutes) * 60 + seconds) * 1000
}

/** @throws SyntaxError for SQL that this server does not understand. */
function ruleOf(xml: string): Rule {
  const sql = textOf(xml, 'SqlExpression')
  if (sql !== null) return sqlRule(unescaped(sql))
  const label = textOf(xml, 'Label')
  const pairs = [...xml.matchAll(/<Key>([^<]*)<\/Key>\s*<Value[^>]*>([^<]*)<\/Value>/g)]
  return {
    sql: null,
    label: label === null ? null : unescaped(label),
    properties: Object.fromEntries(pairs.map(([, key = '', value = '']) => [unescaped(key), unescaped(value)])),
  }
}

function topicEntry(name: string, topic: Topic): string {
  return entry(
    name,
    'TopicDescription',
    '<DefaultMessageTimeToLive>P14D</DefaultMessageTimeToLive><MaxSizeInMegabytes>1024</MaxSizeInMegabytes>' +
      `<RequiresDuplicateDetection>${topic.dedupeMs > 0}</RequiresDuplicateDetection>` +
      `<DuplicateDetectionHistoryTimeWindow>PT${topic.dedupeMs / 1000}S</DuplicateDetectionHistoryTimeWindow>` +
      '<EnableBatchedOperations>true</EnableBatchedOperations><SupportOrdering>true</SupportOrdering>' +
      `<Status>Active</Status><EnablePartitioning>false</EnablePartitioning><EnableExpress>false</EnableExpress>` +
      `<EntityAvailabilityStatus>Available</EntityAvailabilityStatus><AutoDeleteOnIdle>P10D</AutoDeleteOnIdle>${dates}`,
  )
}

function subscriptionEntry(path: string, { settings, active, dead }: Subscription): string {
  const count = (name: string, value: number) => `<d2p1:${name}>${value}</d2p1:${name}>`
  return entry(
    path,
    'SubscriptionDescription',
    `<LockDuration>PT${settings.lockMs / 1000}S</LockDuration><RequiresSession>${settings.requiresSession}</RequiresSession>` +
      '<DefaultMessageTimeToLive>P14D</DefaultMessageTimeToLive>' +
      '<DeadLetteringOnMessageExpiration>true</DeadLetteringOnMessageExpiration>' +
      '<DeadLetteringOnFilterEvaluationExceptions>true</DeadLetteringOnFilterEvaluationExceptions>' +
      `<MessageCount>${active + dead}</MessageCount><MaxDeliveryCount>${settings.maxDeliveries}</MaxDeliveryCount>` +
      '<EnableBatchedOperations>true</EnableBatchedOperations><Status>Active</Status>' +
      '<AutoDeleteOnIdle>P10D</AutoDeleteOnIdle><EntityAvailabilityStatus>Available</EntityAvailabilityStatus>' +
      '<CountDetails xmlns:d2p1="http://schemas.microsoft.com/netservices/2011/06/servicebus">' +
      `${count('ActiveMessageCount', active)}${count('DeadLetterMessageCount', dead)}</CountDetails>${dates}`,
  )
}

function ruleEntry(path: string, name: string, { label, properties, sql }: Rule): string {
  const pairs = Object.entries(properties).map(
    ([key, value]) =>
      `<KeyValueOfstringanyType><Key>${escaped(key)}</Key><Value xmlns:d6p1="http://www.w3.org/2001/XMLSchema" ` +
      `i:type="d6p1:string" xmlns:i="http://www.w3.org/2001/XMLSchema-instance">${escaped(value)}</Value>` +
      '</KeyValueOfstringanyType>',
  )
  const filter = sql === null ? 'CorrelationFilter' : 'SqlFilter'
  const expression = sql === null ? '' : `<SqlExpression>${escaped(sql)}</SqlExpression>`
  const labelled = label === null ? '' : `<Label>${escaped(label)}</Label>`
  return entry(
    `${path}/Rules/${name}`,
    'RuleDescription',
    `<Filter p4:type="${filter}" xmlns:p4="http://www.w3.org/2001/XMLSchema-instance">` +
      `${expression}${labelled}${pairs.length > 0 ? `<Properties>${pairs.join('')}</Properties>` : ''}</Filter>` +
      '<Action p4:type="EmptyRuleAction" xmlns:p4="http://www.w3.org/2001/XMLSchema-instance" />' +
      `<Name>${escaped(name)}</Name>`,
  )
}

export function administer(topics: Topics, request: AdminRequest): AdminAnswer {
  try {
    return answerOf(topics, request)
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
    return { status: 400, body: `<Error><Code>400</Code><Detail>${escaped(error.message)}</Detail></Error>` }
  }
}

function answerOf(topics: Topics, request: AdminRequest): AdminAnswer {
  const [topicName = '', kind, subscriptionName, ruleKind, ruleName] = request.path.split('/').map(decodeURIComponent)
  const known = topics.get(topicName.toLowerCase())
  if (kind === undefined) return topicRequest(topics, topicName, request)
  if (!known || !subscriptionName) return missing
  const path = `${topicName}/Subscriptions/${subscriptionName}`
  if (ruleKind === undefined) return subscriptionRequest(known, { name: subscriptionName, path }, request)
  const subscription = known.subscriptions.get(subscriptionName.toLowerCase())
  if (!subscription) return missing
  return ruleRequest(subscription, { name: ruleName, path }, request)
}

function topicRequest(topics: Topics, name: string, { method, body }: AdminRequest): AdminAnswer {
  const topic = topics.get(name.toLowerCase())
  if (method === 'GET') return topic ? ok(topicEntry(name, topic)) : missing
  if (method === 'DELETE') return topics.delete(name.toLowerCase()) ? ok('') : missing
  if (topic) return conflict
  const dedupe = textOf(body, 'RequiresDuplicateDetection') === 'true'
  const made = new Topic(dedupe ? durationMs(textOf(body, 'DuplicateDetectionHistoryTimeWindow'), 600_000) : 0)
  topics.set(name.toLowerCase(), made)
  return ok(topicEntry(name, made), 201)
}

interface Named {
  readonly name: string
  readonly path: string
}

function subscriptionRequest(topic: Topic, { name, path }: Named, { method, body }: AdminRequest): AdminAnswer {
  const key = name.toLowerCase()
  const subscription = topic.subscriptions.get(key)
  if (method === 'GET') return subscription ? ok(subscriptionEntry(path, subscription)) : missing
  if (method === 'DELETE') {
    subscription?.drop()
    return topic.subscriptions.delete(key) ? ok('') : missing
  }
  if (subscription) return conflict
  const made = new Subscription({
    lockMs: durationMs(textOf(body, 'LockDuration'), 60_000),
    maxDeliveries: Number(textOf(body, 'MaxDeliveryCount') ?? 10),
    requiresSession: textOf(body, 'RequiresSession') === 'true',
  })
  const first = /<DefaultRuleDescription[^>]*>([\s\S]*)<\/DefaultRuleDescription>/.exec(body)?.[1]
  made.rules.set(first ? (textOf(first, 'Name') ?? '$Default') : '$Default', first ? ruleOf(first) : sqlRule('1=1'))
  topic.subscriptions.set(key, made)
  return ok(subscriptionEntry(path, made), 201)
}

function ruleRequest(
  { rules }: Subscription,
  { name, path }: { readonly name: string | undefined; readonly path: string },
  { method, body, skip }: AdminRequest,
): AdminAnswer {
  if (name === undefined || name === '')
    return feed([...rules].slice(skip).map(([each, rule]) => ruleEntry(path, each, rule)))
  const rule = rules.get(name)
  if (method === 'GET') return rule ? ok(ruleEntry(path, name, rule)) : missing
  if (method === 'DELETE') return rules.delete(name) ? ok('') : missing
  if (rule) return conflict
  rules.set(name, ruleOf(body))
  return ok(ruleEntry(path, name, rules.get(name)!), 201)
}
