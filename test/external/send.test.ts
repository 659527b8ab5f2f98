import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { getEventListeners } from 'node:events'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import type { Outbound, Sender, SendOptions } from '../../src/external/send.ts'
import { openSend, SendError } from '../../src/external/send.ts'
import { createAuthority } from '../certificates.ts'
import { virtualClock } from '../virtual-clock.ts'
import { inChild } from './child.ts'
import { nobody, startPeer, startRawPeer } from './peer.ts'
import { expectNoTraceOf, thrownBy } from './traces.ts'

const senders: Sender[] = []
const never = new AbortController().signal
const GET: Outbound = { method: 'GET', path: '/a', headers: {} }

function sending(origin: string, options: Partial<SendOptions> = {}): Sender {
  const sender = openSend({
    origin,
    connections: 4,
    maxBodyBytes: 64 * 1024,
    callTimeoutMs: 60_000,
    clock: systemClock,
    ...options,
  })
  senders.push(sender)
  return sender
}

afterEach(async () => {
  await Promise.all(senders.splice(0).map((sender) => sender.close()))
})

async function codeOf(act: Promise<unknown>): Promise<string> {
  const error = await thrownBy(act)
  expect(error).toBeInstanceOf(SendError)
  return (error as SendError).code
}

describe('a call', () => {
  it('carries method, path, headers and body there, and status, headers and body back', async () => {
    await using peer = await startPeer((reply) => {
      reply.writeHead(418, { 'X-One': '1', 'set-cookie': ['a', 'b'] })
      reply.end('short and stout')
    })
    const { send } = sending(peer.url)
    const answer = await send({ method: 'PATCH', path: '/a/b.c?d=e', headers: { 'X-Two': '2' }, body: '{}' }, never)
    expect(answer.status).toBe(418)
    expect(answer.headers).toMatchObject({ 'x-one': '1', 'set-cookie': 'a, b' })
    expect(answer.body.toString()).toBe('short and stout')
    expect(peer.seen[0]).toMatchObject({ method: 'PATCH', path: '/a/b.c?d=e', body: '{}' })
    expect(peer.seen[0]?.headers).toMatchObject({
      'x-two': '2',
      'accept-encoding': 'identity',
      'user-agent': 'keyhole',
    })
  })

  it('sends a body of bytes as they are', async () => {
    await using peer = await startPeer((reply) => reply.end())
    await sending(peer.url).send({ ...GET, method: 'POST', body: Buffer.from('bytes') }, never)
    expect(peer.seen[0]?.body).toBe('bytes')
  })

  it('answers an empty body with an empty buffer', async () => {
    await using peer = await startPeer((reply) => reply.writeHead(204).end())
    expect((await sending(peer.url).send(GET, never)).body).toHaveLength(0)
  })

  it('passes over an informational answer', async () => {
    await using peer = await startPeer((reply) => {
      reply.writeEarlyHints({ link: '</x>', 'content-encoding': 'gzip' })
      reply.end('final')
    })
    const answer = await sending(peer.url).send(GET, never)
    expect([answer.status, answer.body.toString()]).toEqual([200, 'final'])
  })

  it('keeps the body in memory of its own, of its exact size, and wipes the pieces it came in', async () => {
    const pieces: Buffer[] = []
    const collect = (message: unknown) => void pieces.push((message as { chunk: Buffer }).chunk)
    subscribe('undici:request:bodyChunkReceived', collect)
    try {
      await using peer = await startPeer((reply) => {
        reply.write('plaintext-one,')
        setImmediate(() => reply.end('plaintext-two'))
      })
      const { body } = await sending(peer.url).send(GET, never)
      expect(body.toString()).toBe('plaintext-one,plaintext-two')
      expect(body.buffer.byteLength).toBe(Math.max(65, body.length))
    } finally {
      unsubscribe('undici:request:bodyChunkReceived', collect)
    }
    expect(pieces.length).toBeGreaterThan(0)
    for (const piece of pieces) expect(piece.every((byte) => byte === 0)).toBe(true)
  })

  it('wipes the pieces of an answer that was cut off', async () => {
    const pieces: Buffer[] = []
    const collect = (message: unknown) => void pieces.push((message as { chunk: Buffer }).chunk)
    subscribe('undici:request:bodyChunkReceived', collect)
    try {
      await using peer = await startPeer((reply) => {
        reply.writeHead(200, { 'content-length': '100' })
        reply.write('plaintext', () => reply.destroy())
      })
      expect(await codeOf(sending(peer.url).send(GET, never))).toBe('reset')
    } finally {
      unsubscribe('undici:request:bodyChunkReceived', collect)
    }
    const fromPeer = pieces.filter(({ length }) => length < 100)
    expect(fromPeer.map((piece) => piece.toString())).toEqual(['\0'.repeat(9)])
  })

  it('leaves no listener on the signal and no timer behind, however it ends', async () => {
    const clock = virtualClock()
    const leaving = new AbortController()
    await using peer = await startPeer((reply, { path }) => (path === '/cut' ? reply.destroy() : reply.end()))
    const { send } = sending(peer.url, { clock })
    await send(GET, leaving.signal)
    await codeOf(send({ ...GET, path: '/cut' }, leaving.signal))
    await codeOf(send({ ...GET, headers: { bad: 'a\r\nb: c' } }, leaving.signal))
    expect(getEventListeners(leaving.signal, 'abort')).toHaveLength(0)
    // The one that wipes the parser's memory, soon.
    expect(clock.timers()).toBe(1)
    await clock.advance(10)
    expect(clock.timers()).toBe(0)
  })
})

describe('where a call goes', () => {
  it.each([
    '/..',
    '/../x',
    '/a/../b',
    '/a/..',
    '/a/./b',
    '/.a',
    '/a//b',
    '//a',
    '//evil.example/a',
    '/a/',
    '/',
    '',
    'a',
    'http://evil.example/a',
    '@evil.example/a',
    '/a\\b',
    '/a\\..\\b',
    '/%2e%2e/a',
    '/a%2fb',
    '/a%00',
    '/%zz',
    '/a\0b',
    '/a b',
    '/a\r\nx: y',
    '/a\n',
    '/a#b',
    '/a;b',
    '/a?b/../c',
    '/a?b?c',
    '/a?b=%2e',
    '/a?',
    '/ä',
    '/a\u2024\u2024/b',
    '/a\uff0f..',
    `/${'a'.repeat(3000)}`,
  ])('refuses the path %j without a call', async (path) => {
    await using peer = await startPeer((reply) => reply.end())
    expect(await codeOf(sending(peer.url).send({ ...GET, path }, never))).toBe('path')
    expect(peer.connections.made).toBe(0)
  })

  it('puts a path on the wire only if every reader takes it for what it says', async () => {
    await using peer = await startPeer((reply) => reply.end())
    const { send } = sending(peer.url)
    const harmless = fc.constantFrom('a', 'b1', '-', '_', '.c', '/a', '/b', '/')
    const tricky = fc.constantFrom(
      '.',
      '..',
      '/..',
      '//',
      '%',
      '2e',
      '\\',
      '?',
      '#',
      '@',
      ':',
      ';',
      '&',
      '=',
      ' ',
      '\0',
      'é',
    )
    const part = fc.oneof({ weight: 6, arbitrary: harmless }, { weight: 1, arbitrary: tricky })
    const paths = fc.array(part, { maxLength: 12 }).map((found) => `/${found.join('')}`)
    await fc.assert(
      fc.asyncProperty(paths, async (path) => {
        const outcome = await send({ ...GET, path }, never).catch((error: SendError) => error.code)
        if (outcome === 'path') return
        const { pathname, search } = new URL(`http://origin.invalid${path}`)
        expect(peer.seen.at(-1)?.path).toBe(path)
        expect(`${pathname}${search}`).toBe(path)
        expect(decodeURIComponent(path)).toBe(path)
      }),
      { seed: 20261122, numRuns: 2_000 },
    )
    expect(peer.seen.length).toBeGreaterThan(100)
  })

  it.each([
    'ftp://127.0.0.1',
    'file:///etc',
    'http://127.0.0.1/path',
    'http://127.0.0.1/?q',
    'http://127.0.0.1/#f',
    'http://user:pass@127.0.0.1',
    'http://user@127.0.0.1',
    'http://127.0.0.1\\evil.example',
    'http://127.0.0.1\n.evil.example',
    ' http://127.0.0.1',
    'http:127.0.0.1',
    'http://',
    '127.0.0.1:80',
    '//127.0.0.1',
    '',
  ])('refuses the origin %j', (origin) => {
    expect(() => sending(origin)).toThrow(TypeError)
  })

  it.each([
    'https://10.96.0.1:443',
    'https://kubernetes.default.svc',
    'https://[fd00::1]:6443',
    'https://Vault.Example:8200/',
    'http://127.0.0.1:80',
  ])('takes the origin %j', (origin) => {
    expect(() => sending(origin)).not.toThrow()
  })

  it.each(['http://user:canary@127.0.0.1', 'http://user:canary@', 'canary'])(
    'never quotes an origin that it refuses: %j may hold credentials',
    (origin) => {
      try {
        sending(origin)
        expect.fail('nothing was thrown')
      } catch (error) {
        expectNoTraceOf(['canary'], error)
      }
    },
  )

  it('does not follow a redirect, and sends nothing elsewhere', async () => {
    await using elsewhere = await startPeer((reply) => reply.end())
    for (const status of [301, 302, 303, 307, 308]) {
      await using peer = await startPeer((reply) => reply.writeHead(status, { location: `${elsewhere.url}/a` }).end())
      const request = { ...GET, headers: { authorization: 'Bearer canary' } }
      expect((await sending(peer.url).send(request, never)).status).toBe(status)
    }
    expect(elsewhere.connections.made).toBe(0)
  })

  it('uses no proxy of the environment', async () => {
    await using proxy = await startPeer((reply) => reply.end('by proxy'))
    await using peer = await startPeer((reply) => reply.end('direct'))
    const names = ['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'all_proxy']
    const environment = Object.fromEntries(names.map((name) => [name, proxy.url]))
    const child = await inChild(
      { ...environment, NODE_USE_ENV_PROXY: '1', NO_PROXY: '', no_proxy: '' },
      'send',
      peer.url,
    )
    expect(child.stdout).toBe('200 direct')
    expect(proxy.connections.made).toBe(0)
  })

  it('refuses a header that would begin another', async () => {
    await using peer = await startPeer((reply) => reply.end())
    const request = { ...GET, headers: { authorization: 'Bearer a\r\nx-evil: 1' } }
    expect(await codeOf(sending(peer.url).send(request, never))).toBe('protocol')
    expect(peer.seen).toHaveLength(0)
  })
})

describe('an answer that is not to be had', () => {
  it('is "refused" where nobody listens', async () => {
    using gone = await nobody()
    expect(await codeOf(sending(gone.url).send(GET, never))).toBe('refused')
  })

  it('is "unreachable" where there is no such host', async () => {
    expect(await codeOf(sending('http://nowhere.invalid').send(GET, never))).toBe('unreachable')
  })

  it('is "reset" when the peer breaks off before, within, or at the end of a lying length', async () => {
    await using peer = await startPeer((reply, { path }) => {
      if (path === '/before') return void reply.destroy()
      reply.writeHead(200, path === '/lying' ? { 'content-length': '100' } : {})
      reply.write('part', () => reply.destroy())
    })
    const { send } = sending(peer.url)
    for (const path of ['/before', '/within', '/lying'])
      expect(await codeOf(send({ ...GET, path }, never))).toBe('reset')
  })

  it.each([
    ['no HTTP', 'HELLO THERE\r\n\r\n'],
    ['nonsense', '\0\0\0\0'],
    ['a status that is none', 'HTTP/1.1 OK 200\r\n\r\n'],
    ['another protocol', 'SSH-2.0-OpenSSH_9.9\r\n'],
    ['a bad chunk', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n'],
  ])('is "protocol" for %s', async (_what, bytes) => {
    await using peer = await startRawPeer((socket) => socket.end(bytes))
    expect(await codeOf(sending(peer.url).send(GET, never))).toBe('protocol')
  })

  it.each([
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok'],
    [
      'a length and chunks',
      'HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
    ],
    ['an upgrade', 'HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n'],
  ])('is "reset" for %s, since the connection is given up', async (_what, bytes) => {
    await using peer = await startRawPeer((socket) => socket.end(bytes))
    expect(await codeOf(sending(peer.url).send(GET, never))).toBe('reset')
  })

  it('is "protocol" when compressed, asked for or not', async () => {
    await using peer = await startPeer((reply) => {
      reply.writeHead(200, { 'content-encoding': 'gzip' })
      reply.end(gzipSync('{}'))
    })
    expect(await codeOf(sending(peer.url).send(GET, never))).toBe('protocol')
  })

  it('is "too-large" for headers beyond 16 KiB', async () => {
    await using peer = await startPeer((reply) => reply.writeHead(200, { big: 'x'.repeat(20_000) }).end())
    expect(await codeOf(sending(peer.url).send(GET, never))).toBe('too-large')
  })

  it('is "too-large" one byte beyond the bound, by length or by chunks', async () => {
    await using peer = await startPeer((reply, { path }) => {
      const body = Buffer.alloc(1024 + (path.startsWith('/over') ? 1 : 0), 'x')
      if (path.endsWith('chunks')) reply.write('')
      else reply.setHeader('content-length', body.length)
      reply.end(body)
    })
    const { send } = sending(peer.url, { maxBodyBytes: 1024 })
    expect((await send({ ...GET, path: '/fits' }, never)).body).toHaveLength(1024)
    expect((await send({ ...GET, path: '/fits-chunks' }, never)).body).toHaveLength(1024)
    expect(await codeOf(send({ ...GET, path: '/over' }, never))).toBe('too-large')
    expect(await codeOf(send({ ...GET, path: '/over-chunks' }, never))).toBe('too-large')
  })

  it('reads no more than a bounded part of a body of 64 MiB', async () => {
    const piece = Buffer.alloc(1024 * 1024, 'x')
    let written = 0
    const { promise: closed, resolve } = Promise.withResolvers<void>()
    await using peer = await startPeer((reply) => {
      reply.on('close', resolve)
      const more = () => {
        if (written >= 64 || reply.destroyed) return void reply.end()
        written += 1
        reply.write(piece, more)
      }
      more()
    })
    expect(await codeOf(sending(peer.url, { maxBodyBytes: 4 * 1024 * 1024 }).send(GET, never))).toBe('too-large')
    await closed
    // The bound, and what the sockets between hold.
    expect(written).toBeLessThan(24)
  })

  it("is not another call's: what a peer sends unasked is dropped with the connection", async () => {
    const poison = 'HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison'
    await using peer = await startRawPeer((socket) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok${poison}`)
    })
    const { send } = sending(peer.url, { connections: 1 })
    expect((await send(GET, never)).body.toString()).toBe('ok')
    expect((await send(GET, never)).body.toString()).toBe('ok')
    expect(peer.connections.made).toBe(2)
  })
})

describe('a call takes no longer than it may', () => {
  it.each(['nothing', 'headers', 'half a body'])('is "timeout" after %s and then silence', async (what) => {
    const clock = virtualClock()
    await using peer = await startPeer((reply) => {
      if (what === 'nothing') return
      reply.writeHead(200, { 'content-length': '100' })
      reply.flushHeaders()
      if (what === 'half a body') reply.write('x'.repeat(50))
    })
    const call = codeOf(sending(peer.url, { clock, callTimeoutMs: 2_000 }).send(GET, never))
    await peer.request(0)
    await clock.advance(1_999)
    expect(clock.timers()).toBe(1)
    await clock.advance(1)
    expect(await call).toBe('timeout')
  })

  it('counts the wait for a connection', async () => {
    const clock = virtualClock()
    await using peer = await startPeer(() => {})
    const { send } = sending(peer.url, { clock, connections: 1, callTimeoutMs: 2_000 })
    const calls = Promise.all([codeOf(send(GET, never)), codeOf(send(GET, never))])
    await peer.request(0)
    await clock.advance(2_000)
    expect(await calls).toEqual(['timeout', 'timeout'])
  })

  it('is "aborted" at once by its signal: before, while it waits for a connection, and under way', async () => {
    await using peer = await startPeer(() => {})
    const { send } = sending(peer.url, { connections: 1 })
    expect(await codeOf(send(GET, AbortSignal.abort()))).toBe('aborted')
    const [underWay, waiting] = [new AbortController(), new AbortController()]
    const calls = [codeOf(send(GET, underWay.signal)), codeOf(send({ ...GET, path: '/waited' }, waiting.signal))]
    await peer.request(0)
    waiting.abort(new Error('canary'))
    expect(await calls[1]).toBe('aborted')
    underWay.abort()
    expect(await calls[0]).toBe('aborted')
    expect(peer.seen.map(({ path }) => path)).toEqual(['/a'])
  })

  it('does not send a call that was given up while it waited, nor spoil the connection for the next', async () => {
    let release = () => {}
    await using peer = await startPeer((reply, { path }) => {
      if (path === '/first') release = () => void reply.end()
      else reply.end()
    })
    const { send } = sending(peer.url, { connections: 1 })
    const first = send({ ...GET, path: '/first' }, never)
    await peer.request(0)
    const giving = new AbortController()
    const given = codeOf(send({ ...GET, path: '/given-up' }, giving.signal))
    const last = send({ ...GET, path: '/last' }, never)
    giving.abort()
    expect(await given).toBe('aborted')
    release()
    await Promise.all([first, last])
    expect(peer.seen.map(({ path }) => path)).toEqual(['/first', '/last'])
    expect(peer.connections.made).toBe(1)
  })
})

describe('connections', () => {
  it('are no more than the bound, over 1,000 calls, 32 at a time', async () => {
    await using peer = await startPeer((reply) => reply.end('ok'))
    const { send } = sending(peer.url, { connections: 4 })
    let left = 1_000
    const worker = async () => {
      while (left-- > 0) expect((await send(GET, never)).status).toBe(200)
    }
    await Promise.all(Array.from({ length: 32 }, worker))
    expect(peer.seen).toHaveLength(1_000)
    expect(peer.connections.made).toBeLessThanOrEqual(4)
  })

  it('are kept after refusals, whatever the status', async () => {
    await using peer = await startPeer((reply, { path }) => reply.writeHead(Number(path.slice(1))).end('{"errors":[]}'))
    const { send } = sending(peer.url)
    for (const status of [400, 401, 403, 404, 429, 500, 503]) {
      expect((await send({ ...GET, path: `/${status}` }, never)).status).toBe(status)
    }
    // Two, taken in turn: undici rests a connection for one cycle of the event loop before it is used again.
    expect(peer.connections.made).toBeLessThanOrEqual(2)
  })

  it('are made anew after the peer was gone', async () => {
    let first = true
    await using peer = await startPeer((reply) => {
      if (!first) return void reply.end('back')
      first = false
      reply.destroy()
    })
    const { send } = sending(peer.url)
    expect(await codeOf(send(GET, never))).toBe('reset')
    expect((await send(GET, never)).body.toString()).toBe('back')
  })

  it('close once the calls in flight are done; then no call is made', async () => {
    let release = () => {}
    await using peer = await startPeer((reply) => {
      release = () => void reply.end('done')
    })
    const { send, close } = sending(peer.url)
    const call = send(GET, never)
    await peer.request(0)
    const ended: string[] = []
    const closed = close().then(() => ended.push('closed'))
    expect(await codeOf(send(GET, never))).toBe('aborted')
    release()
    ended.push((await call).body.toString())
    await closed
    expect(ended).toEqual(['done', 'closed'])
    expect(peer.seen).toHaveLength(1)
    await close()
  })
})

describe('TLS', () => {
  const authority = createAuthority()
  const stranger = createAuthority('somebody else')
  const tls = authority.issue()

  it('trusts the CA it is given', async () => {
    await using peer = await startPeer((reply) => reply.end('ok'), tls)
    const answer = await sending(peer.url, { ca: () => authority.ca }).send(GET, never)
    expect(answer.body.toString()).toBe('ok')
  })

  it('is "tls" for a certificate of another CA, of the same name even', async () => {
    const impostor = createAuthority()
    await using peer = await startPeer((reply) => reply.end(), impostor.issue())
    expect(await codeOf(sending(peer.url, { ca: () => authority.ca }).send(GET, never))).toBe('tls')
    expect(peer.seen).toHaveLength(0)
  })

  it('is "tls" for a certificate of another host', async () => {
    await using peer = await startPeer((reply) => reply.end(), authority.issue({ dns: ['vault.example'], ips: [] }))
    expect(await codeOf(sending(peer.url, { ca: () => authority.ca }).send(GET, never))).toBe('tls')
    expect(peer.seen).toHaveLength(0)
  })

  it('is "tls" without a CA where only a private one signed', async () => {
    await using peer = await startPeer((reply) => reply.end(), tls)
    expect(await codeOf(sending(peer.url).send(GET, never))).toBe('tls')
  })

  it('is not to be switched off by the environment', async () => {
    await using peer = await startPeer((reply) => reply.end(), tls)
    const child = await inChild({ NODE_TLS_REJECT_UNAUTHORIZED: '0' }, 'send', peer.url)
    expect(child.stdout).toBe('tls')
    expect(peer.seen).toHaveLength(0)
  })

  it('never takes an empty CA for the choice of the public ones', async () => {
    await using peer = await startPeer((reply) => reply.end(), tls)
    expect(() => sending(peer.url, { ca: () => '' })).toThrow('the CA is empty')
    let ca = authority.ca
    const { send } = sending(peer.url, { ca: () => ca })
    await send(GET, never)
    ca = ''
    expect(await codeOf(send(GET, never))).toBe('tls')
    expect(peer.connections.made).toBe(1)
  })

  it('refuses a CA for an origin without TLS', () => {
    expect(() => sending('http://127.0.0.1:1', { ca: () => authority.ca })).toThrow(TypeError)
  })

  it('is "tls" where the peer speaks plain HTTP', async () => {
    await using peer = await startPeer((reply) => reply.end('plain'))
    const call = codeOf(sending(peer.url.replace('http:', 'https:'), { ca: () => authority.ca }).send(GET, never))
    expect(await call).toBe('tls')
  })

  it('takes a renewed CA over without losing a call: the old connection finishes its own, then closes', async () => {
    let release = () => {}
    await using peer = await startPeer((reply, { path }) => {
      if (path === '/slow') release = () => void reply.end('slow')
      else reply.end('quick')
    }, tls)
    let ca = authority.ca
    const { send } = sending(peer.url, { ca: () => ca })
    const slow = send({ ...GET, path: '/slow' }, never)
    await peer.request(0)
    const [old] = peer.connections.open
    peer.server.setSecureContext(stranger.issue())
    ca = stranger.ca
    expect((await send(GET, never)).body.toString()).toBe('quick')
    expect(peer.connections.made).toBe(2)
    const closed = new Promise((resolve) => old?.on('close', resolve))
    release()
    expect((await slow).body.toString()).toBe('slow')
    await closed
    expect((await send(GET, never)).body.toString()).toBe('quick')
    expect(peer.connections.made).toBe(2)
  })

  it('opens nothing for a CA that is renewed after the close', async () => {
    await using peer = await startPeer((reply) => reply.end(), tls)
    let ca = authority.ca
    const { send, close } = sending(peer.url, { ca: () => ca })
    await close()
    ca = stranger.ca
    expect(await codeOf(send(GET, never))).toBe('aborted')
    expect(peer.connections.made).toBe(0)
  })

  it('trusts a CA no longer once it was taken away', async () => {
    await using peer = await startPeer((reply) => reply.end(), tls)
    let ca = authority.ca
    const { send } = sending(peer.url, { ca: () => ca })
    await send(GET, never)
    ca = stranger.ca
    expect(await codeOf(send(GET, never))).toBe('tls')
  })
})

describe('an error', () => {
  it('holds nothing of request or answer, whatever went wrong', async () => {
    const canaries = ['canary-token', 'canary-body', 'canary-answer', 'canary-header', 'canary-reason']
    const request: Outbound = {
      method: 'POST',
      path: '/a',
      headers: { authorization: 'Bearer canary-token' },
      body: '{"jwt":"canary-body"}',
    }
    const gone = new AbortController()
    await using cut = await startPeer((reply) => {
      reply.writeHead(500, { 'x-canary': 'canary-header', 'content-length': '100' })
      reply.write('canary-answer', () => reply.destroy())
    })
    await using garbage = await startRawPeer((socket) => socket.end('canary-answer\r\n\r\n'))
    await using large = await startPeer((reply) => reply.end('canary-answer'.repeat(10_000)))
    await using silent = await startPeer(() => gone.abort(new Error('canary-reason')))
    await using zipped = await startPeer((reply) => {
      reply.writeHead(200, { 'content-encoding': 'canary-header' }).end('canary-answer')
    })
    for (const { url } of [cut, garbage, large, zipped]) {
      expectNoTraceOf(canaries, await thrownBy(sending(url).send(request, never)))
    }
    expectNoTraceOf(canaries, await thrownBy(sending(silent.url).send(request, gone.signal)))
    expectNoTraceOf(canaries, await thrownBy(sending(cut.url).send({ ...request, path: '/canary-body/../' }, never)))
    const broken = { ...request, headers: { authorization: 'Bearer canary-token\r\n' } }
    expectNoTraceOf(canaries, await thrownBy(sending(cut.url).send(broken, never)))
  })

  it('has no cause', async () => {
    await using peer = await startRawPeer((socket) => socket.destroy())
    expect(((await thrownBy(sending(peer.url).send(GET, never))) as Error).cause).toBeUndefined()
  })
})
