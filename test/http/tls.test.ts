import { mkdtempSync, rmSync } from 'node:fs'
import type { Server } from 'node:https'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { connect } from 'node:tls'
import { afterAll, beforeEach, describe, expect, test } from 'vitest'
import type { TlsFiles } from '../../src/http/tls.ts'
import { readTlsPair, renewTls, TlsFileError } from '../../src/http/tls.ts'
import { publish } from '../../src/testing/mounted-volume.ts'
import { createAuthority } from '../certificates.ts'
import { virtualClock } from '../virtual-clock.ts'

const authority = createAuthority()
const first = authority.issue()
const second = authority.issue()
const directory = mkdtempSync(join(tmpdir(), 'keyhole-tls-'))
const files: TlsFiles = { certFile: join(directory, 'tls.crt'), keyFile: join(directory, 'tls.key') }
const now = () => Date.now() + 1_000

afterAll(() => rmSync(directory, { recursive: true }))

function mount({ cert, key }: { cert: string; key: string }): Promise<void> {
  return publish(directory, { 'tls.crt': cert, 'tls.key': key })
}

async function problem(nowMs = now()): Promise<string> {
  try {
    await readTlsPair(files, nowMs)
    return 'none'
  } catch (error) {
    expect(error).toBeInstanceOf(TlsFileError)
    return (error as TlsFileError).message.replaceAll(`${directory}/`, '')
  }
}

describe('a pair of files', () => {
  test('is read with the end of its validity', async () => {
    await mount(first)
    const pair = await readTlsPair(files, now())
    expect([pair.cert, pair.key]).toEqual([first.cert, first.key])
    expect(pair.expiresAt - now()).toBeGreaterThan(86_000_000)
    expect(pair.expiresAt - now()).toBeLessThanOrEqual(86_400_000)
  })

  test('may hold a chain', async () => {
    await mount({ cert: first.cert + authority.ca, key: first.key })
    expect(await problem()).toBe('none')
  })

  const HALF = '-----BEGIN CERTIFICATE-----\ncanary-canary'
  test.each<readonly [what: string, cert: string, key: string, told: string]>([
    ['an empty certificate', '', first.key, 'tls.crt does not hold a PEM certificate'],
    ['a certificate that is a key', first.key, first.key, 'tls.crt does not hold a PEM certificate'],
    ['half a certificate', HALF, first.key, 'tls.crt does not hold a PEM certificate'],
    ['half a chain', `${first.cert}${HALF}`, first.key, 'tls.crt does not hold a PEM certificate'],
    ['an empty key', first.cert, '', 'tls.key does not hold the private key of tls.crt'],
    ['a key that is a certificate', first.cert, first.cert, 'tls.key does not hold the private key of tls.crt'],
    ['the key of another', first.cert, second.key, 'tls.key does not hold the private key of tls.crt'],
  ])('is refused with %s, and nothing of it is quoted', async (_what, cert, key, told) => {
    await mount({ cert, key })
    expect(await problem()).toBe(told)
  })

  test('is refused before and after its days', async () => {
    await mount(first)
    const { expiresAt } = await readTlsPair(files, now())
    expect(await problem(expiresAt)).toBe('none')
    expect(await problem(expiresAt + 1)).toBe(`tls.crt has expired on ${new Date(expiresAt).toISOString()}`)
    expect(await problem(expiresAt - 90_000_000)).toMatch(/^tls\.crt is not valid before \d{4}-/)
  })

  test('is refused when it is not there', async () => {
    await publish(directory, { 'tls.crt': first.cert })
    expect(await problem()).toBe('cannot read tls.key: ENOENT')
  })
})

describe('a certificate that is renewed', () => {
  const clock = virtualClock(now())
  let renewed: number[] = []
  let failed: string[] = []
  const dialled: TLSSocket[] = []

  beforeEach(async () => {
    renewed = []
    failed = []
    await mount(first)
  })

  async function serving() {
    const initial = await readTlsPair(files, clock.now())
    const server = createServer({ ...initial, minVersion: 'TLSv1.2' }, (_request, response) => response.end('ok'))
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const renewal = renewTls({
      files,
      initial,
      server,
      minVersion: 'TLSv1.2',
      clock,
      everyMs: 10_000,
      renewed: ({ expiresAt }) => renewed.push(expiresAt),
      failed: (told) => failed.push(told.replaceAll(`${directory}/`, '')),
    })
    return {
      server,
      renewal,
      async [Symbol.asyncDispose]() {
        renewal.stop()
        for (const socket of dialled) socket.destroy()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  }

  /** A connection, once its handshake is over. */
  function dial(server: Server): Promise<TLSSocket> {
    const { promise, resolve, reject } = Promise.withResolvers<TLSSocket>()
    const socket = connect({ port: (server.address() as AddressInfo).port, host: '127.0.0.1', ca: authority.ca })
    dialled.push(socket)
    socket.once('secureConnect', () => resolve(socket)).once('error', reject)
    return promise
  }

  const serialOf = (socket: TLSSocket) => socket.getPeerX509Certificate()?.serialNumber

  function ask(socket: TLSSocket): Promise<string> {
    const { promise, resolve, reject } = Promise.withResolvers<string>()
    socket.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1')))
    socket.once('error', reject).once('close', () => reject(new Error('dropped')))
    socket.write('GET / HTTP/1.1\r\nHost: keyhole\r\n\r\n')
    return promise
  }

  test('is given to new connections, while those that are open go on', async () => {
    await using running = await serving()
    const old = await dial(running.server)
    expect(await ask(old)).toMatch(/^HTTP\/1\.1 200 /)
    await mount(second)
    await running.renewal.check()
    expect(renewed).toEqual([running.renewal.expiresAt()])
    expect(await ask(old)).toMatch(/^HTTP\/1\.1 200 /)
    const fresh = await dial(running.server)
    expect(serialOf(fresh)).not.toBe(serialOf(old))
    expect(failed).toEqual([])
  })

  test('is looked at every so often, and said to be renewed once', async () => {
    await using running = await serving()
    await mount(second)
    const before = serialOf(await dial(running.server))
    await clock.advance(10_000)
    await running.renewal.check()
    await clock.advance(10_000)
    await running.renewal.check()
    expect(renewed).toHaveLength(1)
    expect(serialOf(await dial(running.server))).not.toBe(before)
  })

  test.each<readonly [what: string, files: Record<string, string>, told: string]>([
    [
      'a pair that does not fit, as half a swap shows',
      { 'tls.crt': second.cert, 'tls.key': first.key },
      'tls.key does not hold the private key of tls.crt',
    ],
    ['garbage', { 'tls.crt': 'garbage', 'tls.key': 'garbage' }, 'tls.crt does not hold a PEM certificate'],
    ['nothing', {}, 'cannot read tls.crt: ENOENT'],
  ])('is left as it was by %s, which is told once and mended later', async (_what, broken, told) => {
    await using running = await serving()
    const serial = serialOf(await dial(running.server))
    await publish(directory, broken)
    await running.renewal.check()
    await running.renewal.check()
    expect(failed).toEqual([told])
    expect(serialOf(await dial(running.server))).toBe(serial)
    await mount(second)
    await running.renewal.check()
    expect(renewed).toHaveLength(1)
    await publish(directory, broken)
    await running.renewal.check()
    expect(failed).toEqual([told, told])
  })

  test('is left as it was by one that has expired', async () => {
    await using running = await serving()
    await mount(second)
    const today = clock.now()
    clock.set(today + 2 * 86_400_000)
    await running.renewal.check()
    clock.set(today)
    expect(failed).toEqual([expect.stringMatching(/^tls\.crt has expired on /)])
    expect(renewed).toEqual([])
  })

  test('is left as it was by one that OpenSSL will not serve, and says no more of it', async () => {
    await using running = await serving()
    const stubborn = {
      setSecureContext() {
        throw new Error('canary')
      },
    }
    const renewal = renewTls({
      files,
      initial: await readTlsPair(files, clock.now()),
      server: stubborn,
      minVersion: 'TLSv1.2',
      clock,
      everyMs: 10_000,
      renewed: ({ expiresAt }) => renewed.push(expiresAt),
      failed: (told) => failed.push(told),
    })
    await mount(second)
    await renewal.check()
    renewal.stop()
    expect([failed, renewed]).toEqual([['OpenSSL does not accept the pair'], []])
    running.renewal.stop()
  })

  test('leaves no timer once it is stopped', async () => {
    {
      await using _running = await serving()
      expect(clock.timers()).toBe(1)
    }
    expect(clock.timers()).toBe(0)
  })
})
