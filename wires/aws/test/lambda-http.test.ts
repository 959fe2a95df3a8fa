/** HTTP by way of Lambda, in the shapes of API Gateway, function URLs and load balancers. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { APIGatewayProxyEvent, APIGatewayProxyEventV2, ALBEvent } from 'aws-lambda'
import { httpHandler, type LambdaHttpEvent } from '@quadrille/aws'

const text = '{"name":"Łódź","bytes":"\u0000"}'
const base64 = Buffer.from(text).toString('base64')

/** A function URL, and API Gateway with payload 2.0: header names in lower case, several values joined by commas. */
const url: Partial<APIGatewayProxyEventV2> = {
  version: '2.0',
  rawPath: '/events',
  rawQueryString: 'a=1&a=2',
  headers: {
    'content-type': 'application/cloudevents+json',
    host: 'x.lambda-url.eu-central-1.on.aws',
    'x-a': 'one,two',
  },
  requestContext: { http: { method: 'POST' } } as never,
  body: base64,
  isBase64Encoded: true,
}
const gateway: Partial<APIGatewayProxyEvent> = {
  httpMethod: 'POST',
  path: '/events',
  headers: { 'Content-Type': 'application/cloudevents+json', Host: 'api.example.com', 'X-A': 'two' },
  multiValueHeaders: {
    'Content-Type': ['application/cloudevents+json'],
    Host: ['api.example.com'],
    'X-A': ['one', 'two'],
  },
  body: text,
  isBase64Encoded: false,
  requestContext: {} as never,
}
const balancer: Partial<ALBEvent> = {
  httpMethod: 'POST',
  path: '/events',
  headers: { 'content-type': 'application/cloudevents+json', 'x-a': 'one, two' },
  body: base64,
  isBase64Encoded: true,
  requestContext: { elb: { targetGroupArn: 'arn' } },
}

for (const [name, event] of Object.entries({ url, gateway, balancer }))
  test(`a request of the ${name} arrives as it was sent, and its answer goes back`, async () => {
    const handle = httpHandler(async (request) => {
      assert.equal(request.method, 'POST')
      assert.equal(new URL(request.url).pathname, '/events')
      assert.equal(request.headers.get('content-type'), 'application/cloudevents+json')
      assert.equal(request.headers.get('x-a')!.replaceAll(' ', ''), 'one,two')
      assert.deepEqual(Buffer.from(await request.arrayBuffer()), Buffer.from(text))
      return new Response('later\n', { status: 503, headers: { 'retry-after': '1' } })
    })
    const answer = await handle(event as LambdaHttpEvent)
    assert.partialDeepStrictEqual(answer, { statusCode: 503, body: 'later\n', headers: { 'retry-after': '1' } })
    assert.deepEqual(answer.multiValueHeaders?.['retry-after'], event === gateway ? ['1'] : undefined)
  })

test('the query arrives as it was sent, from each of them', async () => {
  const handle = httpHandler(async (request) => new Response(new URL(request.url).search))
  const decoded = { key: 'a b&c', list: '2' }
  const lists = { key: ['a b&c'], list: ['1', '2'] }
  const search = async (event: object) => (await handle(event as LambdaHttpEvent)).body
  assert.equal(await search(url), '?a=1&a=2')
  const whole = { queryStringParameters: decoded, multiValueQueryStringParameters: lists }
  assert.equal(await search({ ...gateway, ...whole }), '?key=a%20b%26c&list=1&list=2')
  assert.equal(await search({ ...gateway, queryStringParameters: decoded }), '?key=a%20b%26c&list=2')
  // A load balancer does not decode, and has either the one or the other.
  assert.equal(await search({ ...balancer, queryStringParameters: { key: 'a%20b%26c' } }), '?key=a%20b%26c')
  const encodedLists = { multiValueQueryStringParameters: { 'k%5B%5D': ['1', 'a+b'] } }
  assert.equal(await search({ ...balancer, ...encodedLists }), '?k%5B%5D=1&k%5B%5D=a+b')
  assert.equal(await search({ ...gateway, queryStringParameters: null, multiValueQueryStringParameters: null }), '')
})

test('a request without a body has none, and what is no request is refused with a sentence', async () => {
  const handle = httpHandler(async (request) => new Response(String(request.body === null)))
  assert.equal((await handle({ ...url, body: undefined } as LambdaHttpEvent)).body, 'true')
  assert.equal((await handle({ ...gateway, body: null, httpMethod: 'GET' } as LambdaHttpEvent)).body, 'true')
  for (const wrong of [{}, { Records: [] }]) await assert.rejects(handle(wrong as never), /WIRE_CANNOT.*no request/s)
})
