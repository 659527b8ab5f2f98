/** TLS as it is served: from mounted files, from TLS 1.2 up, renewed under open connections. */
import { mkdtempSync, rmSync } from 'node:fs'
import { Agent } from 'node:https'
import { connect as dial } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { SecureVersion, TLSSocket } from 'node:tls'
import { connect } from 'node:tls'
import { afterAll, afterEach, beforeEach, describe, expect, test } from 'vitest'
import { publish } from '../src/testing/mounted-volume.ts'
import type { KeyholeOnStandins } from '../src/testing/start-keyhole.ts'
import { startKeyhole } from '../src/testing/start-keyhole.ts'
import { createAuthority } from './certificates.ts'
import { get, parsed, until } from './process/world.ts'
import { virtualClock } from './virtual-clock.ts'

const authority = createAuthority()
const first = authority.issue()
const second = authority.issue()
const LOOK_MS = 10_000

describe('a keyhole that serves TLS', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-serve-tls-'))
  const mounted = join(directory, 'tls')
  const agents: Agent[] = []
  let keyhole: KeyholeOnStandins | undefined

  const mount = ({ cert, key }: { cert: string; key: string }) => publish(mounted, { 'tls.crt': cert, 'tls.key': key })

  beforeEach(() => mount(first))
  afterEach(async () => {
    for (const agent of agents.splice(0)) agent.destroy()
    await keyhole?.stop()
    keyhole = undefined
    rmSync(mounted, { recursive: true })
  })
  afterAll(() => rmSync(directory, { recursive: true }))

  /** @param stopping aborts as a signal comes. */
  async function serving(settings: Readonly<Record<string, string>> = {}, stopping = new AbortController().signal) {
    const clock = virtualClock(Date.now() + 1_000)
    const files = { KEYHOLE_TLS_CERT_FILE: join(mounted, 'tls.crt'), KEYHOLE_TLS_KEY_FILE: join(mounted, 'tls.key') }
    keyhole = await startKeyhole({ clock, settings: { ...files, ...settings }, surroundings: { stopping } })
    return { ...keyhole, clock }
  }

  /** One connection, kept. */
  function client() {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, maxCachedSessions: 0, ca: authority.ca })
    agents.push(agent)
    return agent
  }

  const socketsOf = (agent: Agent) =>
    [...Object.values(agent.freeSockets), ...Object.values(agent.sockets)].flat() as TLSSocket[]
  /** Node tells it once per connection. */
  const serialOf = (agent: Agent) => socketsOf(agent)[0]?.getPeerX509Certificate()?.serialNumber

  const messages = ({ logLines }: KeyholeOnStandins) => parsed(logLines).map(({ msg }) => msg)

  function handshake(url: string, version: SecureVersion): Promise<string | null> {
    const { promise, resolve, reject } = Promise.withResolvers<string | null>()
    const { hostname: host, port } = new URL(url)
    // Without it OpenSSL would refuse the old versions by itself, on this side.
    const ciphers = 'DEFAULT@SECLEVEL=0'
    const socket = connect({
      host,
      port: Number(port),
      ca: authority.ca,
      minVersion: version,
      maxVersion: version,
      ciphers,
    })
    socket.once('secureConnect', () => {
      resolve(socket.getProtocol())
      socket.destroy()
    })
    socket.once('error', reject)
    return promise
  }

  test('answers over https, and says so', async () => {
    const running = await serving()
    expect(running.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/)
    const reply = await get(`${running.url}/secrets/db`, { token: running.tokenOf('api'), agent: client() })
    expect([reply.status, reply.headers['strict-transport-security']]).toEqual([
      200,
      expect.stringContaining('max-age='),
    ])
    expect(messages(running)).not.toContain('serving plain HTTP: tokens and secrets cross the network in the clear')
  })

  test.each<readonly [least: 'TLSv1.2' | 'TLSv1.3', version: SecureVersion, outcome: string]>([
    ['TLSv1.2', 'TLSv1', 'refused'],
    ['TLSv1.2', 'TLSv1.1', 'refused'],
    ['TLSv1.2', 'TLSv1.2', 'TLSv1.2'],
    ['TLSv1.2', 'TLSv1.3', 'TLSv1.3'],
    ['TLSv1.3', 'TLSv1.2', 'refused'],
    ['TLSv1.3', 'TLSv1.3', 'TLSv1.3'],
  ])('from %s up: %s is %s, also after a renewal', async (least, version, outcome) => {
    const running = await serving({ KEYHOLE_TLS_MIN_VERSION: least })
    const tried = async () =>
      await handshake(running.url, version).catch((error: NodeJS.ErrnoException) => {
        expect(error.code).toMatch(/PROTOCOL_VERSION|ECONNRESET/)
        return 'refused'
      })
    expect(await tried()).toBe(outcome)
    await mount(second)
    await running.serving.tls?.check()
    expect(await tried()).toBe(outcome)
  })

  test('gives new connections the renewed certificate, and drops none that is open', async () => {
    const running = await serving()
    const [old, fresh] = [client(), client()]
    const token = running.tokenOf('api')
    const ask = (agent: Agent) => get(`${running.url}/secrets/db`, { token, agent })
    expect((await ask(old)).status).toBe(200)
    const [serial, connection] = [serialOf(old), socketsOf(old)[0]?.localPort]
    await mount(second)
    await running.clock.advance(LOOK_MS)
    await until(() => messages(running).includes('serving certificate renewed'))
    expect((await ask(old)).status).toBe(200)
    expect(socketsOf(old).map(({ localPort }) => localPort)).toEqual([connection])
    expect((await ask(fresh)).status).toBe(200)
    expect(serialOf(fresh)).not.toBe(serial)
    const expires = new Date(running.serving.tls?.expiresAt() ?? 0)
    expect(parsed(running.logLines).find(({ msg }) => msg === 'serving certificate renewed')).toMatchObject({
      level: 'info',
      expires: expires.toISOString(),
    })
    const metrics = await get(`${running.managementUrl}/metrics`)
    expect(metrics.body).toMatch(
      new RegExp(`^keyhole_certificate_expiry_timestamp_seconds ${expires.getTime() / 1000}$`, 'm'),
    )
  })

  test('keeps the one it has when the new pair does not fit, and says which file to look at', async () => {
    const running = await serving()
    await mount({ cert: second.cert, key: first.key })
    await running.clock.advance(LOOK_MS)
    await until(() => messages(running).includes('serving certificate not renewed'))
    expect(parsed(running.logLines).find(({ msg }) => msg === 'serving certificate not renewed')).toMatchObject({
      level: 'error',
      problem: `${join(mounted, 'tls.key')} does not hold the private key of ${join(mounted, 'tls.crt')}`,
    })
    expect((await get(`${running.url}/secrets`, { agent: client() })).status).toBe(401)
  })

  test('answers a request that comes on a kept-alive connection after a signal, and ends with it', async () => {
    const stopping = new AbortController()
    const running = await serving({}, stopping.signal)
    const agent = client()
    const ask = () => get(`${running.url}/secrets/db`, { token: running.tokenOf('api'), agent })
    expect((await ask()).headers.connection).toBe('keep-alive')
    stopping.abort()
    const stopped = running.stop()
    const { status, headers } = await ask()
    expect([status, headers.connection]).toEqual([200, 'close'])
    // No time has passed on this clock.
    await stopped
  })

  test('drains over TLS, whoever is still in a handshake', async () => {
    const stopping = new AbortController()
    const running = await serving({ KEYHOLE_DRAIN_MS: '1000' }, stopping.signal)
    const { hostname: host, port } = new URL(running.url)
    const silent = dial({ host, port: Number(port) })
    await new Promise<void>((resolve) => silent.once('connect', resolve))
    const closed = new Promise<void>((resolve) => silent.once('close', () => resolve()))
    expect((await get(`${running.url}/secrets`, { agent: client() })).status).toBe(401)
    stopping.abort()
    const stopped = running.stop()
    await running.clock.advance(999)
    expect(messages(running)).not.toContain('stopped')
    await running.clock.advance(1)
    await stopped
    await closed
  })
})
