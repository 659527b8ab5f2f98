import fc from 'fast-check'
import Fastify from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KeyholeError } from '../../src/errors.ts'
import type { RotateAsk } from '../../src/http/rotate-request.ts'
import { MAX_BODY_BYTES, parseJson, parseRotateRequest, refuseQuery } from '../../src/http/rotate-request.ts'
import type { Caller } from '../../src/services/authenticate.ts'
import { invalid } from '../contract/checked.ts'

/** Whatever Fastify makes of a request goes through the parsers; what they throw is the answer. */
const app = Fastify({ exposeHeadRoutes: false })
const asks: RotateAsk[] = []
app.setErrorHandler((error, _request, reply) => {
  if (!(error instanceof KeyholeError)) return reply.code(500).send({ code: 'DEFECT' })
  return reply.code(400).send({ code: error.code, why: error.why, detail: error.detail })
})
app.removeAllContentTypeParsers()
app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async (_: unknown, body: Buffer) => parseJson(body))
app.post('/rotate', (request) => {
  asks.push(parseRotateRequest(request))
  return {}
})
app.get('/rotate', (request) => {
  refuseQuery(request)
  return {}
})
let origin: string
beforeAll(async () => {
  // Over a socket: what Node makes of repeated headers is part of it.
  origin = await app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(() => app.close())

const caller = (uid: string) => ({ uid, namespace: 'keyhole', serviceAccount: 'keyhole-cron' }) as Caller
const ADMIN = caller('uid-1')

interface Sent {
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
  readonly query?: string
}

async function send({ body, headers = {}, query = '' }: Sent) {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const response = await fetch(`${origin}/rotate${query}`, {
    method: 'POST',
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: text }),
  })
  return { statusCode: response.status, body: await response.text() }
}

async function taken(sent: Sent): Promise<RotateAsk> {
  const response = await send(sent)
  const ask = asks.pop()
  if (response.statusCode !== 200 || ask === undefined) throw new Error(response.body)
  return ask
}

async function refusalOf(sent: Sent) {
  const response = await send(sent)
  if (response.statusCode === 200) throw new Error('nothing was refused')
  return JSON.parse(response.body) as { code: string; why: string; detail: string }
}

describe('the body', () => {
  test.each([
    ['an unknown member', { key: 'payments' }],
    ['an unknown member beside others', { dryRun: true, force: true }],
    ['a member in capitals', { DryRun: true }],
    ['an empty list', { keys: [] }],
    ['101 keys', { keys: Array.from({ length: 101 }, (_, index) => `k${index}`) }],
    ['an empty key', { keys: ['payments', ''] }],
    ['a key of 129 characters', { keys: ['k'.repeat(129)] }],
    ['one key that is no list', { keys: 'payments' }],
    ['keys that are an object', { keys: { 0: 'payments', length: 1 } }],
    ['a key that is a number', { keys: [1] }],
    ['a key that is a list', { keys: [['payments']] }],
    ['no keys as null', { keys: null }],
    ['another mode', { mode: 'move' }],
    ['a mode that every object has', { mode: 'constructor' }],
    ['a mode in a list', { mode: ['rotate'] }],
    ['a dry run that is a word', { dryRun: 'true' }],
    ['a dry run that is a number', { dryRun: 1 }],
    ['a dry run that is null', { dryRun: null }],
    ['another time to retire', { retire: 'later' }],
    ['a list', [{ dryRun: true }]],
    ['a word', '"rotate"'],
    ['the prototype', '{"__proto__":{"dryRun":true}}'],
    ['the constructor', { constructor: { prototype: {} } }],
  ])('refuses %s', async (_what, body) => {
    expect(await refusalOf({ body })).toMatchObject({ code: 'MALFORMED_REQUEST' })
  })

  test('refuses without quoting it', async () => {
    for (const body of [{ c4n4ry: 1 }, { mode: 'c4n4ry' }, { keys: ['c4n4ry', ''] }, '{"c4n4ry":']) {
      expect(JSON.stringify(await refusalOf({ body }))).not.toContain('c4n4ry')
    }
  })

  test.each([
    ['none', undefined, { keys: undefined, mode: 'rotate', dryRun: false, retire: 'after-grace' }],
    ['an empty one', {}, { keys: undefined, mode: 'rotate', dryRun: false, retire: 'after-grace' }],
    ['keys, sorted and once each', { keys: ['b', 'a', 'b'] }, { keys: ['a', 'b'] }],
    ['a name that every object has', { keys: ['__proto__', 'constructor'] }, { keys: ['__proto__', 'constructor'] }],
    [
      'everything',
      { keys: ['a'], mode: 'rewrap', dryRun: true, retire: 'now' },
      { mode: 'rewrap', dryRun: true, retire: 'now' },
    ],
    ['a key of 128 characters', { keys: ['k'.repeat(128)] }, { keys: ['k'.repeat(128)] }],
  ])('takes %s', async (_what, body, wanted) => {
    const ask = await taken({ body })
    expect({ keys: ask.keys, ...ask.order(ADMIN) }).toMatchObject(wanted)
  })

  test('takes 100 keys', async () => {
    const keys = Array.from({ length: 100 }, (_, index) => `k${index}`)
    expect((await taken({ body: { keys } })).keys).toHaveLength(100)
  })

  test('of no kind gets past the shapes: what is taken is what openapi.yaml allows', async () => {
    const member = fc.constantFrom('keys', 'mode', 'dryRun', 'retire', '__proto__', 'constructor', 'length', 'Keys', '')
    const word = fc.constantFrom('rotate', 'rewrap', 'after-grace', 'now', 'never', 'payments', '', 'true')
    const value = fc.oneof(
      word,
      fc.array(fc.oneof(word, fc.jsonValue()), { maxLength: 3 }),
      fc.boolean(),
      fc.jsonValue(),
    )
    const object = fc
      .array(fc.tuple(member, value), { maxLength: 5 })
      .map((entries) => `{${entries.map(([key, one]) => `${JSON.stringify(key)}:${JSON.stringify(one)}`).join()}}`)
    const text = fc.oneof(
      { weight: 5, arbitrary: object },
      fc.jsonValue().map((one) => JSON.stringify(one)),
      fc.string(),
    )
    let takenOnes = 0
    await fc.assert(
      fc.asyncProperty(text, async (body) => {
        const response = await send({ body })
        const ask = asks.pop()
        if (ask === undefined) {
          expect(JSON.parse(response.body)).toMatchObject({ code: 'MALFORMED_REQUEST' })
          return
        }
        takenOnes += 1
        expect(invalid('#/components/schemas/RotateRequest', JSON.parse(body))).toEqual([])
        const { idempotency, ...order } = ask.order(ADMIN)
        expect(idempotency).toBeUndefined()
        const {
          mode = 'rotate',
          dryRun = false,
          retire = 'after-grace',
          keys,
        } = JSON.parse(body) as Record<string, never>
        expect(order).toEqual({ mode, dryRun, retire })
        expect(ask.keys).toEqual(keys === undefined ? undefined : [...new Set(keys as string[])].toSorted())
      }),
      { seed: 20_261_125, numRuns: 500, examples: [['{"keys":["a"]}'], ['{"mode":"rewrap"}'], ['{}']] },
    )
    expect(takenOnes).toBeGreaterThan(20)
  })

  test('is never read beyond its bound', () => {
    expect(() => parseJson(Buffer.from('{}'.padEnd(MAX_BODY_BYTES + 1)))).toThrow(KeyholeError)
    expect(parseJson(Buffer.from('{}'.padEnd(MAX_BODY_BYTES)))).toEqual({})
  })
})

describe('the query', () => {
  test.each(['?key=payments', '?dryRun=true', '?x', '?__proto__=1', '?constructor[prototype]=1'])(
    'refuses any: %s',
    async (query) => {
      expect(await refusalOf({ query })).toMatchObject({ code: 'MALFORMED_REQUEST', why: 'query' })
      expect((await fetch(`${origin}/rotate${query}`)).status).toBe(400)
    },
  )

  test.each(['', '?'])('takes none: "%s"', async (query) => {
    expect((await taken({ query })).reply).toBe('report')
    expect((await fetch(`${origin}/rotate${query}`)).status).toBe(200)
  })
})

describe('Idempotency-Key', () => {
  const order = async (key: string, body: unknown = {}, who = ADMIN) =>
    (await taken({ body, headers: { 'idempotency-key': key } })).order(who).idempotency

  test.each([
    ['an empty one', ''],
    ['129 characters', 'k'.repeat(129)],
    ['a blank', 'a b'],
    ['a tab', 'a\tb'],
    ['two words in one header', 'a, b'],
    ['letters of no ASCII', 'schlüssel'],
  ])('refuses %s', async (_what, key) => {
    const refusal = await refusalOf({ headers: { 'idempotency-key': key } })
    expect(refusal).toMatchObject({ code: 'MALFORMED_REQUEST', why: 'idempotency-key' })
    if (key !== '') expect(JSON.stringify(refusal)).not.toContain(key)
  })

  test('refuses two, also the same twice', () => {
    for (const values of [
      ['a', 'b'],
      ['a', 'a'],
    ]) {
      const request = { query: {}, headers: {}, raw: { headersDistinct: { 'idempotency-key': values } } }
      expect(() => parseRotateRequest(request as never)).toThrow(
        expect.objectContaining({ code: 'MALFORMED_REQUEST', why: 'idempotency-key' }),
      )
    }
  })

  test('is kept as digests only', async () => {
    const found = await order('c4n4ry-c4n4ry')
    expect(Object.values(found ?? {})).toEqual([
      expect.stringMatching(/^[\w-]{43}$/),
      expect.stringMatching(/^[\w-]{43}$/),
    ])
    expect(await order('k'.repeat(128))).toBeDefined()
  })

  test('stands for one caller and one body', async () => {
    const first = await order('k')
    expect(await order('k', { mode: 'rotate', dryRun: false })).toEqual(first)
    expect((await order('k', {}, caller('uid-2')))?.key).not.toBe(first?.key)
    const others = [{ mode: 'rewrap' }, { dryRun: true }, { retire: 'now' }, { keys: ['a'] }, { keys: ['a', 'b'] }]
    const found = [first, ...(await Promise.all(others.map((body) => order('k', body))))]
    expect(new Set(found.map((one) => one?.key)).size).toBe(1)
    expect(new Set(found.map((one) => one?.request)).size).toBe(others.length + 1)
  })

  test('takes keys in any order for the same', async () => {
    expect(await order('k', { keys: ['a', 'b'] })).toEqual(await order('k', { keys: ['b', 'a', 'b'] }))
  })
})

describe('how it is answered', () => {
  test.each([
    [{}, 'report'],
    [{ accept: '' }, 'report'],
    [{ accept: '*/*' }, 'report'],
    [{ accept: 'application/*;q=0.1' }, 'report'],
    [{ accept: 'text/html, application/json' }, 'report'],
    [{ accept: 'application/x-ndjson;q=0, application/json' }, 'report'],
    [{ accept: 'application/x-ndjson' }, 'stream'],
    [{ accept: 'Application/X-NDJSON; charset=utf-8' }, 'stream'],
    [{ accept: 'application/json;q=0.5, application/x-ndjson' }, 'stream'],
    [{ prefer: 'respond-async' }, 'async'],
    [{ prefer: 'wait=10, Respond-Async;x=1' }, 'async'],
    [{ prefer: 'respond-async', accept: 'application/x-ndjson' }, 'async'],
    [{ prefer: 'handling=lenient' }, 'report'],
    [{ prefer: 'not-respond-async' }, 'report'],
    [{ prefer: 'respond-asynchronously' }, 'report'],
  ])('%o: %s', async (headers, reply) => {
    expect((await taken({ headers })).reply).toBe(reply)
  })

  test.each(['text/html', 'application/problem+json', 'application/json;q=0', 'application/x-ndjson;q=0.0', ','])(
    'refuses what it cannot represent: %s',
    async (accept) => {
      expect(await refusalOf({ headers: { accept } })).toMatchObject({ code: 'NOT_ACCEPTABLE', why: 'media-type' })
    },
  )

  test('is a KeyholeError or an answer, whatever the headers say', () => {
    const word = fc.constantFrom(
      'respond-async',
      'application/x-ndjson',
      'application/json',
      ';',
      'q=0',
      ',',
      ' ',
      '*/*',
      '"',
    )
    const header = fc.oneof(
      fc.string(),
      fc.array(word, { maxLength: 8 }).map((words) => words.join('')),
    )
    fc.assert(
      fc.property(header, fc.oneof(header, fc.array(header, { maxLength: 2 })), header, (accept, prefer, key) => {
        const headers = { accept, prefer }
        const request = { query: {}, headers, raw: { headersDistinct: { 'idempotency-key': [key] } } }
        try {
          expect(['report', 'stream', 'async']).toContain(parseRotateRequest(request as never).reply)
        } catch (error) {
          expect(error).toBeInstanceOf(KeyholeError)
        }
      }),
      { seed: 20_261_125, numRuns: 1_000 },
    )
  })
})
