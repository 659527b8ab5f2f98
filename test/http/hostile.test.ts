/** Framing, floods and half requests: what no HTTP client sends, and what Node or Fastify would answer in their own words. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { checked } from '../contract/checked.ts'
import { problem } from '../routes/ask.ts'
import type { World } from '../routes/world.ts'
import { forgetCalls, hold, startWorld, upstreamCalls } from '../routes/world.ts'
import { face } from './face.ts'
import type { Answer } from './line.ts'
import { dial, exchange, get } from './line.ts'

let world: World
let authorization: { Authorization: string }
beforeAll(async () => {
  world = await startWorld()
  authorization = { Authorization: `Bearer ${world.tokenOf('api')}` }
})
afterAll(() => world.stop())

/** The one answer to these bytes, once keyhole has closed the connection behind it. */
async function lastAnswer(text: string, path = '/secrets/db'): Promise<Answer> {
  await using line = await dial(world.url)
  line.send(text)
  const answer = checked({ method: 'GET', path }, await line.answer())
  expect(await line.closed()).toBe('')
  return answer
}

const START = 'GET /secrets/db HTTP/1.1\r\n'
const NEXT = 'GET /secrets/private HTTP/1.1\r\nHost: keyhole\r\n\r\n'

describe('a request with two readings is refused, and nothing behind it is read', () => {
  it.each([
    [
      'Content-Length and Transfer-Encoding',
      `${START}Host: k\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    [
      'Transfer-Encoding before Content-Length',
      `${START}Host: k\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n`,
    ],
    ['two Content-Lengths', `${START}Host: k\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n`],
    ['the same Content-Length twice', `${START}Host: k\r\nContent-Length: 0\r\nContent-Length: 0\r\n\r\n`],
    ['a list of Content-Lengths', `${START}Host: k\r\nContent-Length: 0, 0\r\n\r\n`],
    ['a signed Content-Length', `${START}Host: k\r\nContent-Length: +0\r\n\r\n`],
    ['a hexadecimal Content-Length', `${START}Host: k\r\nContent-Length: 0x0\r\n\r\n`],
    ['an endless Content-Length', `${START}Host: k\r\nContent-Length: 99999999999999999999\r\n\r\n`],
    ['another Transfer-Encoding', `${START}Host: k\r\nTransfer-Encoding: gzip\r\n\r\n`],
    ['a Transfer-Encoding that ends otherwise', `${START}Host: k\r\nTransfer-Encoding: chunked, identity\r\n\r\n`],
    ['a Transfer-Encoding with a vertical tab', `${START}Host: k\r\nTransfer-Encoding: \x0bchunked\r\n\r\n`],
    ['a folded header', `${START}Host: k\r\nX: a\r\n b\r\n\r\n`],
    ['a blank before the colon', `${START}Host: k\r\nContent-Length : 5\r\n\r\n`],
    ['a header without a name', `${START}Host: k\r\n: a\r\n\r\n`],
    ['a header without a colon', `${START}Host: k\r\nContent-Length 5\r\n\r\n`],
    ['a NUL in a header', `${START}Host: k\r\nX: a\0b\r\n\r\n`],
    ['a bare CR in a header', `${START}Host: k\r\nX: a\rContent-Length: 5\r\n\r\n`],
    ['bare LFs', 'GET /secrets/db HTTP/1.1\nHost: k\n\n'],
    ['a bare LF after a header', `${START}Host: k\nX: a\r\n\r\n`],
    ['two Hosts', `${START}Host: k\r\nHost: l\r\n\r\n`],
    ['the same Host twice', `${START}Host: k\r\nHost: k\r\n\r\n`],
    ['no Host', `${START}\r\n`],
    ['HTTP/0.9', 'GET /secrets/db\r\n\r\n'],
    ['HTTP/2.0', 'GET /secrets/db HTTP/2.0\r\nHost: k\r\n\r\n'],
    ['the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['a version that is none', 'GET /secrets/db HTTP/1.9\r\nHost: k\r\n\r\n'],
    ['a blank in the URL', 'GET /secrets/d b HTTP/1.1\r\nHost: k\r\n\r\n'],
    ['a control character in the URL', 'GET /secrets/d\x01b HTTP/1.1\r\nHost: k\r\n\r\n'],
    ['a relative URL', 'GET secrets/db HTTP/1.1\r\nHost: k\r\n\r\n'],
    ['a method that is none', 'FETCH /secrets/db HTTP/1.1\r\nHost: k\r\n\r\n'],
    ['a method in lower case', 'get /secrets/db HTTP/1.1\r\nHost: k\r\n\r\n'],
    ['TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
    ['nonsense', 'SSH-2.0-OpenSSH_9.9\r\n'],
  ])('%s', async (_what, text) => {
    forgetCalls(world)
    const answer = await lastAnswer(text + NEXT)
    expect([answer.status, problem(answer).code]).toEqual([400, 'MALFORMED_REQUEST'])
    expect(answer.headers['connection']).toBe('close')
    expect(upstreamCalls(world)).toEqual([])
  })
})

describe('a body', () => {
  it.each([
    ['of one byte', { 'Content-Length': '1' }, 'x'],
    ['that looks like a request', { 'Content-Length': String(NEXT.length) }, NEXT],
    ['in chunks', { 'Transfer-Encoding': 'chunked' }, '1\r\nx\r\n0\r\n\r\n'],
    ['in no chunk', { 'Transfer-Encoding': 'chunked' }, '0\r\n\r\n'],
    ['with a type', { 'Content-Length': '2', 'Content-Type': 'application/json' }, '{}'],
    ['that never comes', { 'Content-Length': '1000000' }, ''],
    ['of which first is asked whether it may come', { 'Content-Length': '1', Expect: '100-continue' }, ''],
  ])('%s is refused, and its connection closed', async (_what, headers, body) => {
    const answer = await lastAnswer(get('/secrets/db', { ...authorization, ...headers }) + body)
    expect([answer.status, problem(answer).code]).toEqual([413, 'PAYLOAD_TOO_LARGE'])
  })

  it.each(['POST', 'PUT', 'DELETE'])(
    'of %s is no matter: the method is refused, and the connection closed',
    async (method) => {
      await using line = await dial(world.url)
      line.send(get('/secrets/db', { 'Content-Length': String(NEXT.length), 'Content-Type': 'text/x' }, method) + NEXT)
      expect((await line.answer()).status).toBe(405)
      expect(await line.closed()).toBe('')
    },
  )

  it.each([
    'application/json',
    'application/json;',
    'application/json; charset=utf-8; ',
    'application/vnd.a+json',
    ' ',
    'a/b/c',
    'multipart/form-data',
  ])('that is announced by Content-Type alone is none: %s', async (type) => {
    const answer = await exchange(world.url, get('/secrets/db', { ...authorization, 'Content-Type': type }))
    expect(answer.status).toBe(200)
  })

  it('of length 0 is none', async () => {
    const answer = await exchange(world.url, get('/secrets/db', { ...authorization, 'Content-Length': '0' }))
    expect(answer.status).toBe(200)
  })
})

describe('methods', () => {
  const METHODS = [
    'HEAD',
    'POST',
    'PUT',
    'PATCH',
    'DELETE',
    'OPTIONS',
    'TRACE',
    'QUERY',
    'PROPFIND',
    'PURGE',
    'M-SEARCH',
  ]
  const cases = METHODS.flatMap((method) => ['/secrets', '/secrets/db'].map((path) => [method, path] as const))

  it.each(cases)('%s %s is 405, and says what is allowed', async (method, path) => {
    forgetCalls(world)
    const head = method === 'HEAD'
    const answer = checked({ method, path }, await exchange(world.url, get(path, authorization, method), { head }))
    expect([answer.status, answer.headers['allow']]).toEqual([405, 'GET'])
    expect(upstreamCalls(world)).toEqual([])
  })

  it.each(METHODS)('%s elsewhere is 404', async (method) => {
    const head = method === 'HEAD'
    const answer = await exchange(world.url, get('/elsewhere', authorization, method), { head })
    expect(checked({ method, path: '/elsewhere' }, answer).status).toBe(404)
  })

  it('CONNECT gets no tunnel and no answer', async () => {
    await using line = await dial(world.url)
    line.send('CONNECT kubernetes.default:443 HTTP/1.1\r\nHost: k\r\n\r\n')
    expect(await line.closed()).toBe('')
  })

  it.each(['X-HTTP-Method-Override', 'X-HTTP-Method', 'X-Method-Override'])('%s means nothing', async (name) => {
    expect((await exchange(world.url, get('/secrets/db', { ...authorization, [name]: 'GET' }, 'POST'))).status).toBe(
      405,
    )
  })
})

describe('headers', () => {
  it.each([
    ['one of 20 KiB', { Padding: 'x'.repeat(20_480) }],
    ['many', Object.fromEntries(Array.from({ length: 2_500 }, (_, index) => [`x${index}`, '1']))],
    ['a token of 20 KiB', { Authorization: `Bearer ${'x'.repeat(20_480)}` }],
  ])('%s are refused', async (_what, headers) => {
    const answer = await lastAnswer(get('/secrets/db', headers))
    expect([answer.status, problem(answer).code]).toEqual([431, 'HEADERS_TOO_LARGE'])
  })

  it('beyond those that Node keeps by default are not dropped: a second token there is seen', async () => {
    const roomy = await face(world, { maxHeaderBytes: 65_536 })
    const many = Array.from({ length: 1_100 }, (_, index) => `x${index}: 1\r\n`).join('')
    const { Authorization } = authorization
    const text = `${START}Host: k\r\nAuthorization: ${Authorization}\r\n${many}Authorization: ${Authorization}\r\n\r\n`
    const answer = await exchange(roomy.url, text)
    expect([400, 431]).toContain(answer.status)
    await roomy.stop()
  })

  it.each([{ 'X-Request-Id': 'mine' }, { 'Request-Id': 'mine' }, { Traceparent: '00-mine' }])(
    '%o gives no request its id',
    async (header) => {
      const answer = await exchange(world.url, get('/secrets/db', { ...authorization, ...header }))
      expect(answer.headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/)
      expect(JSON.stringify(answer.headers)).not.toContain('mine')
    },
  )

  it('Forwarded and its kin make nobody another peer', async () => {
    const others = { 'X-Forwarded-For': '203.0.113.9', Forwarded: 'for=203.0.113.9', 'X-Real-IP': '203.0.113.9' }
    await exchange(world.url, get('/secrets/db', { ...authorization, ...others }))
    expect(JSON.stringify(await world.auditRecords())).not.toContain('203.0.113.9')
  })

  it.each([
    { Expect: 'something' },
    { Expect: '100-continue' },
    { Connection: 'Upgrade', Upgrade: 'websocket' },
    { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': 'AAMAAABkAAQAAP__' },
    { 'Accept-Version': '9' },
    { Range: 'bytes=0-1' },
    { 'Accept-Encoding': 'gzip, br' },
    { Origin: 'https://elsewhere.example' },
  ])('%o changes nothing', async (header) => {
    const answer = await exchange(world.url, get('/secrets/db', { ...authorization, ...header }))
    expect([answer.status, answer.headers['content-encoding']]).toEqual([200, undefined])
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  })
})

describe('pipelining', () => {
  it('answers in order, each request for itself', async () => {
    await using line = await dial(world.url)
    const other = { Authorization: `Bearer ${world.tokenOf('stranger')}` }
    line.send(get('/secrets/db', authorization) + get('/secrets/db', other) + get('/secrets', authorization))
    expect([(await line.answer()).status, (await line.answer()).status, (await line.answer()).status]).toEqual([
      200, 403, 200,
    ])
  })

  it('lends no token to the request behind it', async () => {
    await using line = await dial(world.url)
    line.send(get('/secrets/db', authorization) + get('/secrets/db'))
    expect([(await line.answer()).status, (await line.answer()).status]).toEqual([200, 401])
  })

  it('answers nothing behind a body, whoever sends it', async () => {
    const answer = await lastAnswer(
      `${get('/secrets/db', { ...authorization, 'Content-Length': '1' })}x${get('/secrets/db', authorization)}`,
    )
    expect(answer.status).toBe(413)
  })

  it('never takes an error of the connection for the answer that is still owed', async () => {
    const review = hold(world.kubernetes, /tokenreviews/)
    await using line = await dial(world.url)
    line.send(get('/secrets/db', { Authorization: `Bearer ${world.tokenOf('api')}` }))
    await review.arrived
    line.send('nonsense\r\n\r\n')
    expect(await line.closed()).toBe('')
    review.release()
  })

  it('ends a connection in good order after its last request', async () => {
    const strict = await face(world, { maxRequestsPerSocket: 2 })
    await using line = await dial(strict.url)
    line.send(get('/secrets', authorization).repeat(4))
    const answers = [await line.answer(), await line.answer()]
    expect(answers.map(({ status, headers }) => [status, headers['connection']])).toEqual([
      [200, 'keep-alive'],
      [200, 'close'],
    ])
    expect(await line.closed()).toBe('')
    await strict.stop()
  })
})

describe('half a request', () => {
  it.each([
    ['nothing', ''],
    ['a line', 'GET /secrets/db'],
    ['headers without an end', `${START}Host: k\r\nX: `],
  ])('%s held open is ended with 408', async (_what, text) => {
    const impatient = await face(world, { headersTimeoutMs: 50, requestTimeoutMs: 50 })
    await using line = await dial(impatient.url)
    if (text !== '') line.send(text)
    const answer = checked({ method: 'GET', path: '/secrets/db' }, await line.answer())
    expect([answer.status, problem(answer).code, answer.headers['retry-after']]).toEqual([408, 'REQUEST_TIMEOUT', '1'])
    expect(await line.closed()).toBe('')
    await impatient.stop()
  })

  it('whose body never comes loses its connection with its answer', async () => {
    const answer = await lastAnswer(get('/secrets/db', { 'Content-Length': '10' }))
    expect(answer.status).toBe(413)
  })

  // What is no request is refused when it is read: however busy the machine is, its time is not over by then.
  it.each([
    ['that is none', 'nonsense\r\n\r\n', 60_000, 400],
    ['that never comes', '', 50, 408],
    ['that stops half-way', 'GET /secrets/db', 50, 408],
  ])('%s does not keep its connection by holding on to its own side', async (_what, text, timeoutMs, status) => {
    const other = await face(world, { headersTimeoutMs: timeoutMs, requestTimeoutMs: timeoutMs })
    await using line = await dial(other.url, { holdsOn: true })
    if (text !== '') line.send(text)
    expect((await line.answer()).status).toBe(status)
    await world.clock.advance(1_000)
    while ((await other.connections()) > 0) await new Promise(setImmediate)
    await other.stop()
  })

  it('is given the times and the number of connections that it should be', async () => {
    const { server, stop } = await face(world, {
      headersTimeoutMs: 1,
      requestTimeoutMs: 2,
      keepAliveTimeoutMs: 3,
      maxConnections: 4,
    })
    const { headersTimeout, requestTimeout, keepAliveTimeout, maxConnections } = server
    expect([headersTimeout, requestTimeout, keepAliveTimeout, maxConnections]).toEqual([1, 2, 3, 4])
    await stop()
  })
})

describe('whatever is sent', () => {
  it('is never echoed, never a fault of ours, and always answered with a problem', async () => {
    const token = fc.string({
      unit: fc.constantFrom(...'abcXYZ019-._~%/?#[]@!$&()*+,;=:"<>\\^`{|}'),
      minLength: 12,
      maxLength: 60,
    })
    await fc.assert(
      fc.asyncProperty(
        token,
        token,
        token,
        fc.constantFrom('GET', 'POST', 'PURGE'),
        async (path, query, value, method) => {
          const text = get(
            `/${path}?${query}`,
            { 'X-Any': value, Accept: value, Authorization: `Bearer ${value}` },
            method,
          )
          const { status, headers, body } = await exchange(world.url, text)
          expect(status).toBeGreaterThanOrEqual(400)
          expect(status).toBeLessThan(500)
          expect(headers['content-type']).toMatch(/^application\/problem\+json/)
          const shown = body.toString() + JSON.stringify(headers)
          for (const sent of [path, query, value]) expect(shown).not.toContain(sent)
        },
      ),
      { seed: 20_261_122, numRuns: 200 },
    )
  })

  it('as bare bytes is answered with 4xx or not at all', async () => {
    const impatient = await face(world, { headersTimeoutMs: 20, requestTimeoutMs: 20 })
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 1, maxLength: 200 }), async (bytes) => {
        await using line = await dial(impatient.url)
        line.send(`${Buffer.from(bytes).toString('latin1')}\r\n\r\n`)
        const { status, body } = await line.answer()
        expect(status).toBeGreaterThanOrEqual(400)
        expect(status).toBeLessThan(500)
        expect(JSON.parse(body.toString())).toMatchObject({ type: 'about:blank', status })
      }),
      { seed: 20_261_122, numRuns: 100 },
    )
    await impatient.stop()
  })

  it('leaves keyhole serving, with no defect in its log', async () => {
    expect((await exchange(world.url, get('/secrets/db', authorization))).status).toBe(200)
    expect(world.logLines.filter((line) => /"level":"error"/.test(line))).toEqual([])
  })
})

describe('every answer', () => {
  it.each([
    ['a success', '/secrets/db'],
    ['a refusal', '/secrets/UPPER'],
    ['no route', '/elsewhere'],
    ['a bad URL', '/%zz'],
  ])('has the headers of helmet, its id, and no word of what made it: %s', async (_what, path) => {
    const { headers } = checked({ method: 'GET', path }, await exchange(world.url, get(path, authorization)))
    expect(headers).toMatchObject({
      'content-security-policy': "default-src 'none';frame-ancestors 'none'",
      'strict-transport-security': expect.stringContaining('max-age='),
      'x-content-type-options': 'nosniff',
      'referrer-policy': 'no-referrer',
      'cross-origin-resource-policy': 'same-origin',
      'cache-control': 'no-store',
    })
    for (const name of ['server', 'x-powered-by', 'etag-weak', 'via']) expect(headers[name]).toBeUndefined()
  })
})
