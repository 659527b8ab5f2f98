import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:https'
import { connect as connectPlainly } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TLSSocket } from 'node:tls'
import { connect } from 'node:tls'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readTlsPair } from '../../src/http/tls.ts'
import { publish } from '../../src/testing/mounted-volume.ts'
import type { Authority } from '../certificates.ts'
import { createAuthority } from '../certificates.ts'
import type { World } from '../routes/world.ts'
import { startWorld } from '../routes/world.ts'
import { face } from './face.ts'
import { get } from './line.ts'

/** An hour on, so that certificates made during the test are valid by a clock that stands. */
const nowMs = Date.now() + 3_600_000

let authority: Authority
let directory: string
let world: World
beforeAll(async () => {
  authority = createAuthority()
  directory = await mkdtemp(join(tmpdir(), 'keyhole-tls-'))
  await mount(authority.issue())
  const settings = {
    KEYHOLE_TLS_CERT_FILE: join(directory, 'tls.crt'),
    KEYHOLE_TLS_KEY_FILE: join(directory, 'tls.key'),
  }
  world = await startWorld({ settings }, nowMs)
})
afterAll(async () => {
  await world.stop()
  await rm(directory, { recursive: true, force: true })
})

/** As the kubelet renews a mounted Secret of type kubernetes.io/tls. */
async function mount({ cert, key }: { cert: string; key: string }): Promise<void> {
  await publish(directory, { 'tls.crt': cert, 'tls.key': key })
}

function dialled(options: object = {}): Promise<TLSSocket> {
  const { port } = new URL(world.url)
  return new Promise((resolve, reject) => {
    const socket = connect({
      host: '127.0.0.1',
      port: Number(port),
      ca: authority.ca,
      servername: 'localhost',
      ...options,
    })
    socket.once('secureConnect', () => resolve(socket)).once('error', reject)
  })
}

async function serialOf(options?: object): Promise<string> {
  const socket = await dialled(options)
  const { serialNumber } = socket.getPeerCertificate()
  socket.destroy()
  return serialNumber
}

/** The status line of the answer to one more request on an open connection. */
function statusOn(socket: TLSSocket): Promise<string | undefined> {
  return new Promise((resolve) => {
    socket.once('data', (chunk: Buffer) => resolve(chunk.toString('latin1').split('\r\n')[0]))
    socket.write(get('/secrets', { Authorization: `Bearer ${world.tokenOf('api')}` }))
  })
}

/** Its own certificate whole, the next one only begun. */
function cut({ cert, key }: { cert: string; key: string }): { cert: string; key: string } {
  return { cert: `${cert}${cert.replace(/\n\w{20}/, '\n')}`, key }
}

describe('the serving certificate', () => {
  it('is that of the files, and answers are given over it', async () => {
    const status = await new Promise((resolve, reject) => {
      const headers = { Authorization: `Bearer ${world.tokenOf('api')}` }
      request(`${world.url}/secrets/db`, { ca: authority.ca, headers, servername: 'localhost' }, (answer) => {
        answer.resume()
        resolve(answer.statusCode)
      })
        .on('error', reject)
        .end()
    })
    expect(status).toBe(200)
  })

  it('is renewed for new connections, and those that are open go on', async () => {
    const open = await dialled()
    expect(await statusOn(open)).toBe('HTTP/1.1 200 OK')
    const before = await serialOf()
    await mount(authority.issue())
    await world.serving.tls?.check()
    expect(await serialOf()).not.toBe(before)
    expect(await statusOn(open)).toBe('HTTP/1.1 200 OK')
    open.destroy()
    expect(world.logLines.join('\n')).toContain('serving certificate renewed')
  })

  it('is looked at again every few seconds', async () => {
    const before = await serialOf()
    const expiresAt = world.serving.tls?.expiresAt()
    await mount(authority.issue())
    await world.clock.advance(10_000)
    while ((await serialOf()) === before) await new Promise(setImmediate)
    expect(world.serving.tls?.expiresAt()).toBeGreaterThanOrEqual(expiresAt ?? Number.NaN)
  })

  it.each([
    [
      'a key of another certificate',
      () => ({ cert: authority.issue().cert, key: authority.issue().key }),
      'tls.key does not hold',
    ],
    ['no certificate', () => ({ cert: 'nonsense', key: authority.issue().key }), 'tls.crt does not hold'],
    ['no key', () => ({ cert: authority.issue().cert, key: '' }), 'tls.key does not hold'],
    ['nothing', () => ({ cert: '', key: '' }), 'tls.crt does not hold'],
    ['a chain that is cut', () => cut(authority.issue()), 'tls.crt does not hold'],
  ])('stays what it was when the files hold %s, and the log says so', async (_what, files, problem) => {
    const before = await serialOf()
    await mount(files())
    const lines = world.logLines.length
    await world.serving.tls?.check()
    await world.serving.tls?.check()
    expect(await serialOf()).toBe(before)
    expect(world.logLines.length).toBe(lines + 1)
    const { msg, problem: told } = JSON.parse(world.logLines.at(-1) ?? '{}') as { msg: string; problem: string }
    expect([msg, told]).toEqual(['serving certificate not renewed', expect.stringContaining(problem)])
    expect(told).not.toContain('PRIVATE')
    await mount(authority.issue())
    await world.serving.tls?.check()
  })

  it('is shown by its end in the metrics', async () => {
    const text = await (await fetch(`${world.managementUrl}/metrics`)).text()
    expect(text).toMatch(/^keyhole_certificate_expiry_seconds [1-9]/m)
  })
})

describe('a connection without TLS', () => {
  it('gets no answer', async () => {
    const { port } = new URL(world.url)
    const socket = connectPlainly(Number(port), '127.0.0.1')
    const chunks: Buffer[] = []
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.write(get('/secrets'))
    await new Promise((resolve) => socket.once('close', resolve))
    expect(Buffer.concat(chunks).toString('latin1')).not.toContain('HTTP')
  })

  it.each([
    ['nothing', ''],
    ['half a handshake', '\x16\x03\x01\x02'],
  ])('that sends %s is closed with the time for headers', async (_what, text) => {
    const impatient = await face(world, { headersTimeoutMs: 50, tls: { ...authority.issue(), minVersion: 'TLSv1.2' } })
    const { port } = new URL(impatient.url)
    const socket = connectPlainly(Number(port), '127.0.0.1')
    if (text !== '') socket.write(Buffer.from(text, 'latin1'))
    socket.resume()
    await new Promise((resolve) => socket.once('close', resolve))
    expect(await impatient.connections()).toBe(0)
    await impatient.stop()
  })
})

describe('old versions of TLS', () => {
  it.each([
    ['TLSv1.1', 'TLSv1.2'],
    ['TLSv1.2', 'TLSv1.3'],
  ] as const)('%s is refused where %s is the oldest', async (offered, oldest) => {
    const strict = await face(world, { tls: { ...authority.issue(), minVersion: oldest } })
    const port = Number(new URL(strict.url).port)
    const lax = { minVersion: 'TLSv1' as const, maxVersion: offered, ciphers: 'DEFAULT@SECLEVEL=0' }
    await expect(dialled({ port, ...lax })).rejects.toThrow(/protocol version|unsupported protocol|alert/i)
    await strict.stop()
  })
})

describe('at the start', () => {
  it.each([
    ['a certificate that is not there', 'absent.crt', 'tls.key', 'absent.crt: ENOENT'],
    ['a key that is not there', 'tls.crt', 'absent.key', 'absent.key: ENOENT'],
    ['a certificate that is none', 'nonsense', 'tls.key', 'nonsense does not hold a PEM certificate'],
    ['a key that is none', 'tls.crt', 'nonsense', 'nonsense does not hold the private key of'],
    ['a pair the wrong way round', 'tls.key', 'tls.crt', 'tls.key does not hold a PEM certificate'],
  ])('%s is named', async (_what, cert, key, message) => {
    await writeFile(join(directory, 'nonsense'), 'PRIVATE nonsense')
    const files = { certFile: join(directory, cert), keyFile: join(directory, key) }
    const thrown: unknown = await readTlsPair(files, nowMs).catch((error: unknown) => error)
    expect(String(thrown)).toContain(message)
    expect(String(thrown)).not.toContain('PRIVATE')
  })

  it.each([
    ['has expired', 2 * 86_400_000, 'has expired on'],
    ['is not valid yet', -2 * 86_400_000, 'is not valid before'],
  ])('a certificate that %s is named', async (_what, laterMs, message) => {
    await mount(authority.issue())
    const files = { certFile: join(directory, 'tls.crt'), keyFile: join(directory, 'tls.key') }
    await expect(readTlsPair(files, nowMs + laterMs)).rejects.toThrow(message)
  })
})
