import fc from 'fast-check'
import Fastify from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { KeyholeError } from '../../src/errors.ts'
import type { ReadRequest } from '../../src/http/read-request.ts'
import { MAX_KEYS, parseListRequest, parseReadRequest } from '../../src/http/read-request.ts'

/** Whatever Fastify makes of a URL goes through the parsers; what they throw is the answer. */
const app = Fastify({ routerOptions: { maxParamLength: 2048 }, exposeHeadRoutes: false })
const answers: (ReadRequest | undefined)[] = []
app.setErrorHandler((error, _request, reply) => {
  if (!(error instanceof KeyholeError)) return reply.code(500).send({ code: 'DEFECT' })
  return reply.code(400).send({ code: error.code, why: error.why, detail: error.detail })
})
app.get('/secrets/:name', (request) => {
  answers.push(parseReadRequest(request))
  return {}
})
app.get('/secrets', (request) => {
  parseListRequest(request)
  return {}
})
beforeAll(async () => {
  await app.ready()
})
afterAll(() => app.close())

interface Refused {
  readonly code: string
  readonly why: string
  readonly detail: string
}

async function refusalOf(url: string, accept?: string): Promise<Refused> {
  const response = await app.inject({ url, headers: accept === undefined ? {} : { accept } })
  if (response.statusCode === 200) throw new Error('nothing was refused')
  return response.json<Refused>()
}

async function taken(url: string, headers: Record<string, string> = {}): Promise<ReadRequest> {
  const response = await app.inject({ url, headers })
  const answer = answers.pop()
  if (response.statusCode !== 200 || answer === undefined) throw new Error(response.body)
  return answer
}

describe('the name', () => {
  test.each([
    ['a way up', '..%2f..%2fx'],
    ['NUL', '%00'],
    ['NUL after a name', 'db%00'],
    ['a line break after a name', 'db%0a'],
    ['capitals', 'DB'],
    ['letters of no ASCII', '%C3%A9'],
    ['a full-width letter', '%EF%BD%84b'],
    ['an underscore', 'd_b'],
    ['a dash first', '-db'],
    ['a dash last', 'db-'],
    ['64 characters', 'a'.repeat(64)],
    ['a namespace of 64 characters', `db.${'a'.repeat(64)}`],
    ['three parts', 'a.b.c'],
    ['an empty namespace', 'db.'],
    ['an empty name', '.payments'],
    ['a blank', 'd%20b'],
    ['a slash', 'a%2fb'],
    ['a semicolon', 'db;x'],
    ['a colon', 'system:x'],
  ])('refuses %s', async (_, name) => {
    expect(await refusalOf(`/secrets/${name}`)).toMatchObject({ code: 'MALFORMED_REQUEST', why: 'name' })
  })

  test.each(['.', '..', '...', ''])('refuses "%s", which a client would not send as it is', (name) => {
    expect(() => parseReadRequest({ params: { name }, query: {}, headers: {} } as never)).toThrow(
      expect.objectContaining({ code: 'MALFORMED_REQUEST', why: 'name' }),
    )
  })

  test('refuses without quoting it', async () => {
    const { detail } = await refusalOf('/secrets/C4N4RY')
    expect(detail).not.toContain('C4N4RY')
  })

  test.each([
    ['db', { name: 'db' }],
    ['db.payments', { name: 'db', namespace: 'payments' }],
    ['a.0', { name: 'a', namespace: '0' }],
    ['a'.repeat(63), { name: 'a'.repeat(63) }],
    ['constructor', { name: 'constructor' }],
  ])('takes %s', async (name, secret) => {
    expect((await taken(`/secrets/${name}`)).ask.secret).toEqual(secret)
  })
})

describe('the query', () => {
  const many = (count: number) => Array.from({ length: count }, (_, index) => `key=k${index}`).join('&')

  test.each([
    ['an empty key', 'key='],
    ['an empty key among others', 'key=a&key='],
    ['a key of 257 characters', `key=${'a'.repeat(257)}`],
    ['one key too many', many(MAX_KEYS + 1)],
    ['a thousand keys', many(1000)],
    ['anything else', 'keys=a'],
    ['anything else beside a key', 'key=a&x=1'],
    ['a key in brackets', 'key[]=a'],
    ['a key of an object', 'key[a]=b'],
    ['a key in capitals', 'KEY=a'],
    ['the prototype', '__proto__=a'],
    ['the prototype beside a key', 'key=a&__proto__=b'],
    ['the constructor', 'constructor=a'],
    ['a token', 'access_token=e30.e30.e30'],
  ])('refuses %s', async (_, query) => {
    expect(await refusalOf(`/secrets/db?${query}`)).toMatchObject({ code: 'MALFORMED_REQUEST', why: 'query' })
  })

  test('refuses without quoting it', async () => {
    expect((await refusalOf(`/secrets/db?c4n4ry=c4n4ry`)).detail).not.toContain('c4n4ry')
  })

  test.each([
    ['none', '', undefined],
    ['none after a question mark', '?', undefined],
    ['one', '?key=PGHOST', ['PGHOST']],
    ['several, sorted', '?key=b&key=a', ['a', 'b']],
    ['the same twice as one', '?key=a&key=a', ['a']],
    ['names that need escapes', '?key=%22%0a%C3%A9&key=__proto__', ['"\n\u00e9', '__proto__']],
    ['broken escapes as they stand', '?key=%ED%A0%80', ['%ED%A0%80']],
    ['a key of 256 characters', `?key=${'a'.repeat(256)}`, ['a'.repeat(256)]],
  ])('takes %s', async (_, query, keys) => {
    const { ask } = await taken(`/secrets/db${query}`)
    expect(ask.keys).toEqual(keys)
    expect('keys' in ask).toBe(keys !== undefined)
  })

  test('takes as many keys as the bound says', async () => {
    expect((await taken(`/secrets/db?${many(MAX_KEYS)}`)).ask.keys).toHaveLength(MAX_KEYS)
  })

  test.each(['key=a', 'x', '__proto__=a'])('refuses any where the list is asked for: %s', async (query) => {
    expect(await refusalOf(`/secrets?${query}`)).toMatchObject({ code: 'MALFORMED_REQUEST', why: 'query' })
  })

  test('takes none where the list is asked for', async () => {
    expect((await app.inject('/secrets')).statusCode).toBe(200)
  })
})

describe('Accept', () => {
  test.each([
    'text/html',
    'application/problem+json',
    'application/json;q=0',
    'application/octet-stream;q=0',
    'application/octet-stream; q=0.000',
    '*/*;q=0',
    'image/*',
    'json',
    ',',
  ])('refuses %s', async (accept) => {
    expect(await refusalOf('/secrets/db', accept)).toMatchObject({ code: 'NOT_ACCEPTABLE', why: 'media-type' })
  })

  test.each([
    undefined,
    '',
    ' ',
    '*/*',
    'application/*',
    'application/json',
    'Application/JSON; charset=utf-8',
    'text/html, application/json;q=0.1',
    'application/octet-stream, */*;q=0.1',
    'application/octet-stream;q=1, application/json;q=0.001',
  ])('answers JSON for %s', async (accept) => {
    const { ask } = await taken('/secrets/db', accept === undefined ? {} : { accept })
    expect(ask.raw).toBe(false)
  })

  test.each([
    'application/octet-stream',
    'APPLICATION/OCTET-STREAM',
    'application/octet-stream;q=0.5',
    'application/octet-stream, application/json;q=0',
    'text/plain, application/octet-stream',
  ])('answers bytes for %s', async (accept) => {
    expect((await taken('/secrets/db', { accept })).ask.raw).toBe(true)
  })

  test('throws a KeyholeError or nothing, whatever it says', async () => {
    const word = fc.constantFrom(
      '*/*',
      'application/json',
      'application/octet-stream',
      ';',
      'q=0',
      'q=',
      ',',
      ' ',
      '"',
      '=',
    )
    const accept = fc.oneof(
      fc.string(),
      fc.array(word, { maxLength: 12 }).map((words) => words.join('')),
    )
    await fc.assert(
      fc.asyncProperty(accept, fc.string(), async (header, tags) => {
        const request = { params: { name: 'db' }, query: {}, headers: { accept: header, 'if-none-match': tags } }
        try {
          parseReadRequest(request as never)
        } catch (error) {
          expect(error).toMatchObject({ code: 'NOT_ACCEPTABLE' })
        }
      }),
      { seed: 3, numRuns: 500 },
    )
  })
})

test('a defect in the parameters is a refusal, not a crash', () => {
  for (const params of [undefined, null, {}, { name: 1 }, { name: ['db'] }, { name: 'db', more: 'x' }]) {
    expect(() => parseReadRequest({ params, query: {}, headers: {} } as never)).toThrow(KeyholeError)
  }
})

test('hands on what the caller has already', async () => {
  const { ifNoneMatch } = await taken('/secrets/db', { 'if-none-match': '"a"' })
  expect([ifNoneMatch('"a"'), ifNoneMatch('"b"')]).toEqual([true, false])
})
