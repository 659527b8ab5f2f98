import { connect } from 'node:net'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  change,
  changeJson,
  cut,
  delay,
  garbage,
  html,
  huge,
  lost,
  redirect,
  silence,
  stall,
  status,
} from '../../src/standins/faults.ts'
import type { Standin } from '../../src/standins/server.ts'
import { serve } from '../../src/standins/server.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import { virtualClock } from '../virtual-clock.ts'
import { call, open } from './call.ts'

let clock: VirtualClock
let standin: Standin
/** Requests that took effect. */
let effects: number

beforeEach(async () => {
  clock = virtualClock()
  effects = 0
  standin = await serve({
    clock,
    handler: () => {
      effects += 1
      return { status: 200, headers: { 'content-type': 'application/json' }, body: '{"data":{"plaintext":"aGVsbG8="}}' }
    },
  })
})

afterEach(() => standin[Symbol.asyncDispose]())

describe('which requests a fault meets', () => {
  it('meets every request when nothing is said', async () => {
    standin.faults.inject({}, status(503))
    expect([(await call(standin.url)).status, (await call(`${standin.url}/a`, { method: 'PUT' })).status]).toEqual([
      503, 503,
    ])
  })

  it.each([
    ['a whole path', '/a'],
    ['a pattern', /^\/a$/],
    ['a predicate', (path: string) => path.endsWith('a')],
  ])('meets only the path asked for, by %s', async (_, path) => {
    standin.faults.inject({ path }, status(503))
    expect([(await call(`${standin.url}/a?x=1`)).status, (await call(`${standin.url}/b`)).status]).toEqual([503, 200])
  })

  it('meets only the method asked for', async () => {
    standin.faults.inject({ method: 'POST' }, status(503))
    expect([(await call(standin.url)).status, (await call(standin.url, { body: {} })).status]).toEqual([200, 503])
  })

  it('meets only the calls asked for, counted among those that match', async () => {
    const injected = standin.faults.inject({ path: '/a', calls: [1, 3] }, status(503))
    const seen: number[] = []
    for (const path of ['/a', '/b', '/a', '/a', '/a']) seen.push((await call(standin.url + path)).status)
    expect(seen).toEqual([503, 200, 200, 503, 200])
    expect(injected.hits).toBe(2)
  })

  it('meets none once removed, or once all are cleared', async () => {
    const injected = standin.faults.inject({}, status(503))
    injected.remove()
    expect((await call(standin.url)).status).toBe(200)
    standin.faults.inject({}, status(503))
    standin.faults.clear()
    expect((await call(standin.url)).status).toBe(200)
  })

  it('puts the one injected last outermost', async () => {
    standin.faults.inject({}, status(503))
    standin.faults.inject(
      {},
      change((reply) => ({ ...reply, body: 'changed' })),
    )
    const answer = await call(standin.url)
    expect([answer.status, answer.text]).toEqual([503, 'changed'])
  })
})

describe('what a fault does', () => {
  it('answers an object as JSON, instead of the server', async () => {
    standin.faults.inject({}, status(503, { errors: ['Vault is sealed'] }, { 'retry-after': '1' }))
    const answer = await call(standin.url)
    expect(answer).toMatchObject({ status: 503, json: { errors: ['Vault is sealed'] } })
    expect(answer.headers).toMatchObject({ 'content-type': 'application/json', 'retry-after': '1' })
    expect(effects).toBe(0)
  })

  it('lies about the length', async () => {
    standin.faults.inject({}, status(200, 'hello', { 'content-length': '50' }))
    const incoming = await open(standin.url)
    expect(incoming.headers['content-length']).toBe('50')
    incoming.destroy()
  })

  it("changes the server's own JSON", async () => {
    standin.faults.inject(
      {},
      changeJson((body) => ({ ...body, data: null })),
    )
    expect((await call(standin.url)).json).toEqual({ data: null })
    expect(effects).toBe(1)
  })

  it('delays by the clock, and the request takes effect only then', async () => {
    standin.faults.inject({}, delay(2_000))
    const answer = call(standin.url)
    await until(() => standin.requests.entries().length === 1)
    await clock.advance(1_999)
    expect(effects).toBe(0)
    await clock.advance(1)
    expect((await answer).status).toBe(200)
  })

  it('gives a delay up when the client leaves', async () => {
    standin.faults.inject({}, delay(2_000))
    const leaving = new AbortController()
    const answer = call(standin.url, { signal: leaving.signal })
    await until(() => standin.requests.entries().length === 1)
    leaving.abort()
    await expect(answer).rejects.toThrow(/abort/)
    await until(() => standin.requests.entries()[0]?.status === 0)
    expect(effects).toBe(0)
  })

  it.each(['before', 'reset'] as const)('cuts the connection before any byte (%s), without effect', async (when) => {
    standin.faults.inject({}, cut(when))
    await expect(call(standin.url)).rejects.toThrow(/socket hang up|ECONNRESET/)
    expect(effects).toBe(0)
  })

  it('cuts the connection in the middle of the body', async () => {
    standin.faults.inject({}, cut('mid-body'))
    const incoming = await open(standin.url)
    expect(incoming.statusCode).toBe(200)
    const { received, whole } = await drain(incoming)
    expect(received).toBeLessThan(Number(incoming.headers['content-length']))
    expect([received > 0, whole]).toEqual([true, false])
  })

  it('loses an answer whose request took effect', async () => {
    standin.faults.inject({}, lost())
    await expect(call(standin.url)).rejects.toThrow(/socket hang up|ECONNRESET/)
    expect(effects).toBe(1)
  })

  it('stalls in the middle of the body until the client leaves', async () => {
    standin.faults.inject({}, stall())
    const incoming = await open(standin.url)
    const { value } = await incoming[Symbol.asyncIterator]().next()
    expect((value as Buffer).length).toBeLessThan(Number(incoming.headers['content-length']))
  })

  it('keeps silent until released, then answers', async () => {
    const silent = silence()
    standin.faults.inject({}, silent)
    const answer = call(standin.url)
    await until(() => standin.requests.entries().length === 1)
    await clock.advance(3_600_000)
    expect(effects).toBe(0)
    silent.release()
    expect((await answer).status).toBe(200)
  })

  it('ends a silence without effect when the client leaves', async () => {
    standin.faults.inject({}, silence())
    const leaving = new AbortController()
    const answer = call(standin.url, { signal: leaving.signal })
    await until(() => standin.requests.entries().length === 1)
    leaving.abort()
    await expect(answer).rejects.toThrow(/abort/)
    await until(() => standin.requests.entries()[0]?.status === 0)
    expect(effects).toBe(0)
  })

  it('speaks something that is not HTTP', async () => {
    standin.faults.inject({}, garbage())
    await expect(call(standin.url)).rejects.toThrow(/Parse Error/)
    expect(await raw(standin.url)).toContain('not-http')
  })

  it('answers HTML', async () => {
    standin.faults.inject({}, html())
    const answer = await call(standin.url)
    expect([answer.status, answer.headers['content-type']]).toEqual([502, 'text/html'])
  })

  it('redirects', async () => {
    standin.faults.inject({}, redirect('http://elsewhere/'))
    const answer = await call(standin.url)
    expect([answer.status, answer.headers.location]).toEqual([307, 'http://elsewhere/'])
  })

  it('streams a body of many MiB without a length', async () => {
    standin.faults.inject({}, huge(3))
    const incoming = await open(standin.url)
    expect(incoming.headers['content-length']).toBeUndefined()
    const { received, whole } = await drain(incoming)
    expect([received >= 3 * 1024 * 1024, whole]).toEqual([true, true])
  })

  it('stops streaming when the client leaves', async () => {
    standin.faults.inject({}, huge(1_000_000))
    const incoming = await open(standin.url)
    incoming.destroy()
    await standin.stop()
  })
})

/** Bytes received, and whether the answer ended as it promised. */
async function drain(incoming: AsyncIterable<unknown>): Promise<{ received: number; whole: boolean }> {
  let received = 0
  try {
    for await (const chunk of incoming) received += (chunk as Buffer).length
    return { received, whole: true }
  } catch {
    return { received, whole: false }
  }
}

function raw(url: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () =>
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'),
    )
    socket.on('data', (chunk) => {
      text += chunk.toString()
    })
    socket.on('end', () => resolve(text))
    socket.on('error', reject)
  })
}

/** Lets real I/O happen until it holds; the test's own timeout is the limit. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setImmediate(resolve))
}
