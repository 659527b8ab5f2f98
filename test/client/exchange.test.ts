/** The connection under a call: whom it trusts, how long it waits, and that it is gone afterwards. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ClientErrorKind } from '../../src/client/client-error.ts'
import { ClientError } from '../../src/client/client-error.ts'
import type { ClientOptions } from '../../src/client/rotation-client.ts'
import { LIMITS, rotationClient } from '../../src/client/rotation-client.ts'
import type { Authority } from '../certificates.ts'
import { createAuthority } from '../certificates.ts'
import { nobody, startPeer } from '../external/peer.ts'
import { expectNoTraceOf, thrownBy } from '../external/traces.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import { virtualClock } from '../virtual-clock.ts'
import { EVENTS, says, status } from './samples.ts'

const TOKEN = 'canary-of-a-token'
const never = new AbortController().signal
const answer = says(status())
let directory = ''
let authority: Authority
let clock: VirtualClock

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyhole-exchange-'))
  authority = createAuthority()
  writeFileSync(join(directory, 'token'), TOKEN)
  writeFileSync(join(directory, 'ca.crt'), authority.ca)
  writeFileSync(join(directory, 'other.crt'), createAuthority('another').ca)
})
afterAll(() => rmSync(directory, { recursive: true, force: true }))

function clientTo(origin: string, options: Partial<ClientOptions> = {}) {
  clock = virtualClock()
  return rotationClient({
    origin,
    tokenFile: join(directory, 'token'),
    caFile: join(directory, 'ca.crt'),
    after: clock.after,
    ...options,
  })
}

/** How it fails; no timer is left behind. */
async function kindOf(act: Promise<unknown>): Promise<ClientErrorKind> {
  const error = await thrownBy(act)
  expect(error).toBeInstanceOf(ClientError)
  expectNoTraceOf([TOKEN], error)
  expect(clock.timers()).toBe(0)
  return (error as ClientError).kind
}

const rotateOptions = { idempotencyKey: 'one', signal: never, told: () => {} }

describe('trust', () => {
  test('is in the CA that was given, for the host that was named', async () => {
    await using peer = await startPeer((reply) => answer(reply), authority.issue())
    expect(await clientTo(peer.url).status(never)).toEqual(status())
    expect(clock.timers()).toBe(0)
  })

  test('is not in a CA that was not given, nor for another host, and no token leaves', async () => {
    await using peer = await startPeer((reply) => answer(reply), authority.issue())
    expect(await kindOf(clientTo(peer.url, { caFile: join(directory, 'other.crt') }).status(never))).toBe('tls')
    expect(await kindOf(clientTo(peer.url, { caFile: undefined }).status(never))).toBe('tls')
    await using other = await startPeer((reply) => answer(reply), authority.issue({ dns: ['else.example'], ips: [] }))
    expect(await kindOf(clientTo(other.url).status(never))).toBe('tls')
    expect([...peer.seen, ...other.seen]).toEqual([])
  })

  test('ends where TLS does', async () => {
    await using plain = await startPeer((reply) => answer(reply))
    expect(await kindOf(clientTo(plain.url.replace('http:', 'https:')).status(never))).toBe('tls')
    expect(plain.seen).toEqual([])
  })

  test('never falls back to the public CAs for a file that holds none', async () => {
    await using peer = await startPeer((reply) => answer(reply), authority.issue())
    for (const [name, content] of [
      ['empty', ''],
      ['text', 'not a certificate'],
      ['half', authority.ca.slice(0, 200)],
      ['cut', `${authority.ca}${authority.ca.slice(0, 60)}`],
    ] as const) {
      const caFile = join(directory, name)
      writeFileSync(caFile, content)
      expect(await kindOf(clientTo(peer.url, { caFile }).status(never))).toBe('ca-file')
    }
    expect(await kindOf(clientTo(peer.url, { caFile: join(directory, 'none') }).status(never))).toBe('ca-file')
    expect(peer.connections.made).toBe(0)
  })

  test('follows a CA that is renewed', async () => {
    await using peer = await startPeer((reply) => answer(reply), authority.issue())
    const caFile = join(directory, 'renewed.crt')
    writeFileSync(caFile, createAuthority('old').ca)
    const client = clientTo(peer.url, { caFile })
    expect(await kindOf(client.status(never))).toBe('tls')
    writeFileSync(caFile, authority.ca)
    expect(await client.status(never)).toEqual(status())
  })
})

describe('what the environment says', () => {
  test('turns no verification off, and adds no proxy', async () => {
    await using proxy = await startPeer((reply) => reply.end())
    await using peer = await startPeer((reply) => answer(reply), createAuthority('another').issue())
    const code = `
      import { rotationClient } from ${JSON.stringify(join(import.meta.dirname, '../../src/client/rotation-client.ts'))}
      import { systemClock } from ${JSON.stringify(join(import.meta.dirname, '../../src/clock.ts'))}
      const [origin, tokenFile, caFile] = process.argv.slice(1)
      for (const to of [origin, process.env.PLAIN]) {
        await rotationClient({ origin: to, tokenFile, caFile, after: systemClock.after })
          .status(new AbortController().signal)
          .then(() => console.log('answered'), (error) => console.log(error.kind))
      }`
    await using plain = await startPeer((reply) => answer(reply))
    const child = spawn(
      process.execPath,
      ['--input-type=module', '-e', code, peer.url, join(directory, 'token'), join(directory, 'ca.crt')],
      {
        env: {
          NODE_TLS_REJECT_UNAUTHORIZED: '0',
          NODE_USE_ENV_PROXY: '1',
          HTTP_PROXY: proxy.url,
          HTTPS_PROXY: proxy.url,
          http_proxy: proxy.url,
          https_proxy: proxy.url,
          PLAIN: plain.url,
        },
        stdio: ['ignore', 'pipe', 'ignore'],
      },
    )
    expect(await text(child.stdout)).toBe('tls\nanswered\n')
    expect(proxy.connections.made).toBe(0)
    expect(peer.seen).toEqual([])
  })
})

describe('a call', () => {
  test('to nobody is unreachable', async () => {
    using gone = await nobody()
    expect(await kindOf(clientTo(gone.url).status(never))).toBe('unreachable')
  })

  test('that gets no connection in time is unreachable', async () => {
    // Speaks no TLS, and nothing else.
    const { promise: connected, resolve } = Promise.withResolvers<void>()
    const silent = createServer((socket) => {
      socket.on('error', () => {})
      resolve()
    })
    await new Promise<void>((done) => silent.listen(0, '127.0.0.1', done))
    const { port } = silent.address() as { port: number }
    const kind = kindOf(clientTo(`https://127.0.0.1:${port}`).status(never))
    await connected
    await clock.advance(LIMITS.connectMs)
    expect(await kind).toBe('unreachable')
    silent.close()
  })

  test('that gets no answer in time says so, and is gone', async () => {
    await using peer = await startPeer(() => {})
    const kind = kindOf(clientTo(peer.url).status(never))
    await peer.request(0)
    await clock.advance(LIMITS.answerMs - 1)
    expect(clock.timers()).toBe(1)
    await clock.advance(1)
    expect(await kind).toBe('timeout')
  })

  test('whose answer falls silent says so, and a line more gives it more time', async () => {
    const { promise: replied, resolve } = Promise.withResolvers<{ write(text: string): void }>()
    await using peer = await startPeer((reply) => {
      reply.writeHead(200, { 'content-type': 'application/x-ndjson' })
      reply.flushHeaders()
      resolve(reply)
    })
    const heard: (() => void)[] = []
    const told = () => heard.shift()?.()
    const client = clientTo(peer.url)
    const kind = kindOf(client.rotate({}, { ...rotateOptions, told }))
    const reply = await replied
    for (let line = 0; line < 3; line++) {
      await new Promise<void>((done) => {
        heard.push(done)
        reply.write(`${JSON.stringify(EVENTS[1])}\n`)
      })
      await clock.advance(LIMITS.silenceMs - 1)
    }
    await clock.advance(1)
    expect(await kind).toBe('timeout')
  })

  test('that is given up ends at once, before it began or while it runs', async () => {
    await using peer = await startPeer(() => {})
    expect(await kindOf(clientTo(peer.url).status(AbortSignal.abort()))).toBe('aborted')
    expect(peer.connections.made).toBe(0)
    const giving = new AbortController()
    const kind = kindOf(clientTo(peer.url).status(giving.signal))
    await peer.request(0)
    giving.abort()
    expect(await kind).toBe('aborted')
  })

  test('whose listener throws ends with what it threw', async () => {
    await using peer = await startPeer((reply) => {
      reply.writeHead(200, { 'content-type': 'application/x-ndjson' })
      reply.write(`${JSON.stringify(EVENTS[0])}\n`)
    })
    const bug = new Error('a defect')
    const told = () => {
      throw bug
    }
    expect(await thrownBy(clientTo(peer.url).rotate({}, { ...rotateOptions, told }))).toBe(bug)
    expect(clock.timers()).toBe(0)
  })
})
