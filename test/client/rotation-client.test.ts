/** What a caller is told of each answer, good or bad, by a real server on the other side. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { ClientError, Refused } from '../../src/client/client-error.ts'
import type { RotationClient } from '../../src/client/rotation-client.ts'
import { rotationClient } from '../../src/client/rotation-client.ts'
import { systemClock } from '../../src/clock.ts'
import type { RotationEvent } from '../../src/contract.ts'
import type { Peer } from '../external/peer.ts'
import { startPeer, startRawPeer } from '../external/peer.ts'
import { expectNoTraceOf, thrownBy } from '../external/traces.ts'
import type { Answer } from './samples.ts'
import {
  BLOCKED_ONLY,
  EVENTS,
  HTML,
  incomplete,
  ledgerEntry,
  problem,
  raw,
  refuses,
  report,
  says,
  status,
  streams,
} from './samples.ts'

const TOKEN = 'canary-of-a-token'
const never = new AbortController().signal
let directory = ''
const tokenFile = () => join(directory, 'token')

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyhole-client-'))
  writeFileSync(tokenFile(), TOKEN)
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function clientOf(peer: Pick<Peer, 'url'>): RotationClient {
  return rotationClient({ origin: peer.url, tokenFile: tokenFile(), caFile: undefined, after: systemClock.after })
}

async function rotating(answer: Answer, told: (event: RotationEvent) => void = () => {}) {
  await using peer = await startPeer((reply) => answer(reply))
  return await clientOf(peer).rotate({ mode: 'rotate' }, { idempotencyKey: 'one', signal: never, told })
}

/** How it fails, with nothing of the token or of what the peer said in it. */
async function failure(act: Promise<unknown>): Promise<ClientError> {
  const error = await thrownBy(act)
  expect(error).toBeInstanceOf(ClientError)
  expectNoTraceOf([TOKEN, 'Bad Gateway', 'elsewhere'], error)
  return error as ClientError
}

const kindOf = async (answer: Answer) => (await failure(rotating(answer))).kind

describe('a rotation', () => {
  test('is asked for with the token, the key of the invocation and the wish to watch', async () => {
    await using peer = await startPeer((reply) => streams(...EVENTS, report())(reply))
    const request = { keys: ['payments'], mode: 'rewrap', dryRun: true, retire: 'never' } as const
    await clientOf(peer).rotate(request, { idempotencyKey: 'one', signal: never, told: () => {} })
    const [seen] = peer.seen
    expect(seen).toMatchObject({ method: 'POST', path: '/rotate' })
    expect(JSON.parse(seen?.body ?? '')).toEqual(request)
    expect(seen?.headers).toMatchObject({
      authorization: `Bearer ${TOKEN}`,
      accept: 'application/x-ndjson',
      'content-type': 'application/json',
      'idempotency-key': 'one',
      'accept-encoding': 'identity',
    })
  })

  test('tells each event, and ends with the report', async () => {
    const told: RotationEvent[] = []
    expect(await rotating(streams(...EVENTS, report()), (event) => told.push(event))).toEqual(report())
    expect(told).toEqual(EVENTS)
  })

  test('passes over events that a newer service may know', async () => {
    const told: RotationEvent[] = []
    await rotating(streams({ type: 'weather', sun: true }, report()), (event) => told.push(event))
    expect(told).toEqual([])
  })

  test('is read across any pieces that the network makes of it', async () => {
    const text = `${[...EVENTS, report()].map((line) => JSON.stringify(line)).join('\r\n')}\n`
    const told: RotationEvent[] = []
    const dripping: Answer = (reply) => {
      reply.writeHead(200, { 'content-type': 'application/x-ndjson' })
      for (let at = 0; at < text.length; at += 7) reply.write(text.slice(at, at + 7))
      reply.end()
    }
    expect(await rotating(dripping, (event) => told.push(event))).toEqual(report())
    expect(told).toHaveLength(EVENTS.length)
  })

  test('that is incomplete is a report all the same, streamed or as a problem', async () => {
    expect(await rotating(streams(BLOCKED_ONLY))).toEqual(BLOCKED_ONLY)
    expect(await rotating(refuses('ROTATION_INCOMPLETE', { report: incomplete({}) }))).toEqual(incomplete({}))
  })

  test('may be answered with the report alone', async () => {
    expect(await rotating(says(report()))).toEqual(report())
  })
})

describe('a refusal', () => {
  test('is told with its problem and how long to wait', async () => {
    const progress = { startedAt: '2026-01-15T00:00:00.000Z', done: 3, total: 9 }
    const error = await thrownBy(rotating(refuses('ROTATION_IN_PROGRESS', { progress }, 7)))
    expect(error).toBeInstanceOf(Refused)
    expect(error).toMatchObject({ problem: problem('ROTATION_IN_PROGRESS', { progress }), retryAfterMs: 7_000 })
    expectNoTraceOf([TOKEN], error)
  })

  test('with a Retry-After that is none is told without', async () => {
    for (const text of ['soon', '-1', '1e9', '99999999']) {
      const body = JSON.stringify(problem('VAULT_SEALED'))
      const error = await thrownBy(rotating(raw(503, 'application/problem+json', body, { 'retry-after': text })))
      expect(error).toMatchObject({ retryAfterMs: undefined })
    }
  })

  test.each([
    ['no JSON', '{"code":"TOKEN_MIS'],
    ['of another shape', '{"code":"TOKEN_MISSING"}'],
    ['no object', '[]'],
    ['not UTF-8', '\xff'],
  ])('that is %s is garbage', async (_, body) => {
    await using peer = await startPeer((reply) => {
      reply.writeHead(401, { 'content-type': 'application/problem+json' })
      reply.end(Buffer.from(body, 'latin1'))
    })
    expect((await failure(clientOf(peer).status(never))).kind).toBe('garbage')
  })
})

describe('what is not keyhole', () => {
  test.each([301, 302, 303, 307, 308])('and redirects (%i) is not followed', async (code) => {
    await using elsewhere = await startPeer((reply) => reply.end())
    const answer = raw(code, 'text/html', HTML, { location: `${elsewhere.url}/elsewhere` })
    expect(await kindOf(answer)).toBe('redirected')
    expect(elsewhere.connections.made).toBe(0)
  })

  test('and says that nobody is there now is told so, with its Retry-After', async () => {
    for (const code of [429, 502, 503, 504]) {
      const error = await failure(rotating(raw(code, 'text/html', HTML, { 'retry-after': '3' })))
      expect(error).toMatchObject({ kind: 'unavailable', retryAfterMs: 3_000 })
    }
  })

  test.each([
    ['HTML', raw(200, 'text/html', HTML)],
    ['HTML as an error', raw(500, 'text/html', HTML)],
    ['HTML for a missing page', raw(404, 'text/html', HTML)],
    ['no media type', raw(200, '', '')],
    ['nothing', raw(204, 'application/json', '')],
    ['another success', raw(202, 'application/json', JSON.stringify(report()))],
    ['a media type that a terminal would obey', raw(200, 'text/\x9b31m', '')],
    ['what is compressed', raw(200, 'application/json', 'x', { 'content-encoding': 'gzip' })],
  ])('and answers with %s is told apart', async (_, answer) => {
    expect(await kindOf(answer)).toBe('not-keyhole')
  })

  test('and does not speak HTTP is told apart', async () => {
    await using peer = await startRawPeer((socket) => socket.end('220 smtp.example ESMTP\r\n'))
    expect((await failure(clientOf(peer).status(never))).kind).toBe('not-keyhole')
  })

  test('and has endless headers is cut off', async () => {
    await using peer = await startRawPeer((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nX: ${'x'.repeat(32 * 1024)}\r\n\r\n`)
    })
    expect((await failure(clientOf(peer).status(never))).kind).toBe('too-large')
  })
})

describe('a stream', () => {
  test('that ends without its report was cut, however orderly', async () => {
    expect(await kindOf(streams(...EVENTS))).toBe('cut')
    expect(await kindOf(streams())).toBe('cut')
    const torn = raw(200, 'application/x-ndjson', JSON.stringify(report()))
    expect(await kindOf(torn)).toBe('cut')
  })

  test('that ends with why there is no report is a refusal, and nothing may follow it', async () => {
    const failed = { type: 'failed', id: '1', code: 'AUDIT_UNAVAILABLE', detail: 'It stopped.', retryable: true }
    const lines = (...values: readonly unknown[]) =>
      raw(200, 'application/x-ndjson', values.map((value) => `${JSON.stringify(value)}\n`).join(''))
    const refused = await thrownBy(rotating(lines(...EVENTS, failed)))
    expect(refused).toBeInstanceOf(Refused)
    expect((refused as Refused).problem).toMatchObject({
      code: 'AUDIT_UNAVAILABLE',
      detail: 'It stopped.',
      retryable: true,
    })
    expect(await kindOf(lines(failed, report()))).toBe('garbage')
    expect(await kindOf(lines({ ...failed, detail: 1 }))).toBe('garbage')
  })

  test('that breaks was cut', async () => {
    const breaking: Answer = (reply) => {
      reply.writeHead(200, { 'content-type': 'application/x-ndjson' })
      reply.write(`${JSON.stringify(EVENTS[0])}\n`, () => reply.destroy())
    }
    expect(await kindOf(breaking)).toBe('cut')
  })

  test('with a line beyond 16 MiB is given up, whether it ends or not', async () => {
    const endless: Answer = (reply) => {
      reply.writeHead(200, { 'content-type': 'application/x-ndjson' })
      reply.write('x'.repeat(16 * 1024 * 1024 + 1))
    }
    expect(await kindOf(endless)).toBe('too-large')
    expect(await kindOf(streams({ type: 'weather', text: 'x'.repeat(16 * 1024 * 1024) }, report()))).toBe('too-large')
  })

  test.each([
    ['no JSON', 'hello\n'],
    ['HTML', `${HTML}\n`],
    ['no object', 'null\n'],
    ['a report of another shape', '{"type":"report","complete":true}\n'],
    ['a step of another shape', '{"type":"step","key":7,"stage":"move"}\n'],
    ['counts below nothing', '{"type":"progress","key":"a","stage":"move","done":-1,"total":2}\n'],
    ['something after the report', `${JSON.stringify(report())}\n${JSON.stringify(EVENTS[0])}\n`],
  ])('that holds %s is garbage', async (_, body) => {
    expect(await kindOf(raw(200, 'application/x-ndjson', body))).toBe('garbage')
  })
})

describe('the status', () => {
  test('is asked for and told', async () => {
    const expected = status(ledgerEntry('payments', '2026-01-01T00:00:00.000Z'))
    await using peer = await startPeer((reply) => says(expected)(reply))
    expect(await clientOf(peer).status(never)).toEqual(expected)
    expect(peer.seen[0]).toMatchObject({ method: 'GET', path: '/rotate', body: '' })
    expect(peer.seen[0]?.headers.authorization).toBe(`Bearer ${TOKEN}`)
  })

  test('with an age that is no time is garbage', async () => {
    await using peer = await startPeer((reply) => says(status(ledgerEntry('payments', 'yesterday')))(reply))
    expect((await failure(clientOf(peer).status(never))).kind).toBe('garbage')
  })

  test('beyond 16 MiB is given up', async () => {
    await using peer = await startPeer((reply) => {
      reply.writeHead(200, { 'content-type': 'application/json' })
      reply.on('error', () => {})
      reply.end(Buffer.alloc(17 * 1024 * 1024, ' '))
    })
    expect((await failure(clientOf(peer).status(never))).kind).toBe('too-large')
  })
})

describe('the token', () => {
  test('is read anew for every call', async () => {
    await using peer = await startPeer((reply) => says(status())(reply))
    const client = clientOf(peer)
    await client.status(never)
    writeFileSync(tokenFile(), 'another\n')
    await client.status(never)
    writeFileSync(tokenFile(), TOKEN)
    expect(peer.seen.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${TOKEN}`, 'Bearer another'])
  })

  test('that cannot be read means no call', async () => {
    await using peer = await startPeer((reply) => reply.end())
    const options = {
      origin: peer.url,
      tokenFile: join(directory, 'none'),
      caFile: undefined,
      after: systemClock.after,
    }
    expect((await failure(rotationClient(options).status(never))).kind).toBe('token-file')
    expect(peer.connections.made).toBe(0)
  })
})
