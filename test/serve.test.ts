/** A keyhole that serves, from its first line to its last. Exit codes and signals are test/process's. */
import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { verify } from '../src/audit-log/verify.ts'
import { silence } from '../src/standins/faults.ts'
import type { KeyholeOnStandins } from '../src/testing/start-keyhole.ts'
import { startKeyhole } from '../src/testing/start-keyhole.ts'
import { dial } from './http/line.ts'
import { get, keptPorts, parsed, until } from './process/world.ts'
import { hold } from './routes/world.ts'
import type { VirtualClock } from './virtual-clock.ts'
import { virtualClock } from './virtual-clock.ts'

interface Served extends KeyholeOnStandins {
  readonly clock: VirtualClock
  readonly audit: readonly string[]
}

async function served(settings: Readonly<Record<string, string>> = {}): Promise<Served> {
  const clock = virtualClock()
  const audit: string[] = []
  // Nothing else than these tests send asks Kubernetes or Vault for anything.
  const reader = { KEYHOLE_SERVE: 'read', ...settings }
  const keyhole = await startKeyhole({ clock, settings: reader, audited: (line) => audit.push(line) })
  return { ...keyhole, clock, audit }
}

const messages = ({ logLines }: Served) => parsed(logLines).map(({ msg }) => msg)

describe('what the log says of a life', () => {
  test('is where it serves, under which policy, that it drains, the last head, and that it stopped', async () => {
    const keyhole = await served()
    await keyhole.stop()
    const lines = parsed(keyhole.logLines)
    expect(messages(keyhole).filter((msg) => msg !== 'transit key')).toEqual([
      'serving plain HTTP: tokens and secrets cross the network in the clear',
      'serving',
      'draining',
      'audit head',
      'stopped',
    ])
    expect(lines.find(({ msg }) => msg === 'serving')).toMatchObject({
      level: 'info',
      url: keyhole.url,
      managementUrl: keyhole.managementUrl,
      policy: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    })
  })
})

describe('an audit sink that fails', () => {
  test('is told of once, with its errno, and again when it works', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'keyhole-serve-'))
    const [here, away] = [join(directory, 'here'), join(directory, 'away')]
    mkdirSync(here)
    await using keyhole = await served({ KEYHOLE_AUDIT: `file:${join(here, 'audit.log')}` })
    const token = keyhole.tokenOf('api')
    const ask = async () => (await get(`${keyhole.url}/secrets`, { token })).status
    expect(await ask()).toBe(200)
    renameSync(here, away)
    expect([await ask(), await ask()]).toEqual([503, 503])
    renameSync(away, here)
    await until(async () => {
      await keyhole.clock.advance(250)
      return keyhole.serving.wired.health.ready()
    })
    expect(await ask()).toBe(200)
    const told = parsed(keyhole.logLines).filter(({ msg }) => String(msg).startsWith('audit sink'))
    expect(told).toEqual([
      expect.objectContaining({ level: 'error', code: 'ENOENT' }),
      expect.objectContaining({ level: 'info', msg: 'audit sink works again' }),
    ])
    rmSync(directory, { recursive: true })
  })
})

describe('a drain', () => {
  test('makes it unready at once, ends what is in flight with its record, takes no new connection, and stops', async () => {
    await using keyhole = await served(await keptPorts())
    const agent = new Agent({ keepAlive: true })
    const held = hold(keyhole.vault, /decrypt\/payments/)
    const inFlight = get(`${keyhole.url}/secrets/db`, { token: keyhole.tokenOf('api'), agent })
    await held.arrived
    expect((await get(`${keyhole.managementUrl}/readyz`)).status).toBe(200)
    const stopped = keyhole.stop()
    const notReady = await get(`${keyhole.managementUrl}/readyz?verbose`)
    expect([notReady.status, notReady.body]).toEqual([503, expect.stringContaining('[-] serving: draining')])
    expect((await get(`${keyhole.managementUrl}/livez`)).status).toBe(200)
    await expect(get(`${keyhole.url}/secrets`)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    held.release()
    const reply = await inFlight
    expect([reply.status, reply.headers.connection]).toEqual([200, 'close'])
    // No time passes on this clock: had it waited for the keep-alive or its own bound, it would wait forever.
    await stopped
    agent.destroy()
    const { broken, chains } = verify(keyhole.audit)
    expect([broken, chains.map(({ stopped: ended }) => ended)]).toEqual([undefined, [true]])
    expect(parsed(keyhole.audit).map(({ kind, outcome }) => outcome ?? kind)).toEqual(['start', 'disclosed', 'stop'])
    await expect(get(`${keyhole.managementUrl}/livez`)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })

  test('ends a kept-alive connection as soon as its reader has the reply that was leaving', async () => {
    await using keyhole = await served()
    await using line = await dial(keyhole.url)
    line.send(`GET /secrets/db HTTP/1.1\r\nHost: keyhole\r\nAuthorization: Bearer ${keyhole.tokenOf('api')}\r\n\r\n`)
    expect((await line.answer()).status).toBe(200)
    await keyhole.stop()
    expect(await line.closed()).toBe('')
  })

  test('cuts off what is not over by its bound, and records it', async () => {
    await using keyhole = await served({ KEYHOLE_DRAIN_MS: '4000', KEYHOLE_UPSTREAM_TIMEOUT_MS: '30000' })
    keyhole.vault.faults.inject({ path: /decrypt\/payments/ }, silence())
    const inFlight = get(`${keyhole.url}/secrets/db`, { token: keyhole.tokenOf('api') })
    const cut = inFlight.catch((error: unknown) => error)
    await until(() => keyhole.kubernetes.requests.count('GET', /secrets\/payments-db/) > 0)
    const stopped = keyhole.stop()
    await keyhole.clock.advance(3_999)
    expect(messages(keyhole)).not.toContain('stopped')
    await keyhole.clock.advance(1)
    expect(await cut).toMatchObject({ code: 'ECONNRESET' })
    await stopped
    expect(messages(keyhole)).toContain('the drain bound has passed: what is still in flight is cut off')
    expect(parsed(keyhole.audit).map(({ kind, outcome }) => outcome ?? kind)).toEqual(['start', 'abandoned', 'stop'])
    expect(verify(keyhole.audit).broken).toBeUndefined()
  })

  test.each<readonly [what: string, sent: string]>([
    ['half a request', 'GET /secrets/db HTTP/1.1\r\nHost:'],
    [
      'the headers of a request with a body that does not come',
      'POST /secrets HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n',
    ],
  ])('is not held up beyond its bound by %s', async (_what, sent) => {
    await using keyhole = await served({ KEYHOLE_DRAIN_MS: '4000' })
    await using line = await dial(keyhole.url, { holdsOn: true })
    await using other = await dial(keyhole.managementUrl, { holdsOn: true })
    line.send(sent)
    other.send(sent)
    // Answered behind it on the same loop: by then the other has arrived.
    await get(`${keyhole.url}/nowhere`)
    await get(`${keyhole.managementUrl}/livez`)
    const stopped = keyhole.stop()
    await until(() => messages(keyhole).includes('draining'))
    await keyhole.clock.advance(4_000)
    await stopped
    expect(messages(keyhole).at(-1)).toBe('stopped')
  })

  test('is one, however often it is asked for', async () => {
    await using keyhole = await served()
    await Promise.all([keyhole.serving.stop(), keyhole.serving.stop(), keyhole.stop()])
    expect(messages(keyhole).filter((msg) => msg === 'draining')).toHaveLength(1)
  })

  test('leaves no timer behind', async () => {
    const keyhole = await served()
    await get(`${keyhole.url}/secrets/db`, { token: keyhole.tokenOf('api') })
    await keyhole.stop()
    expect(keyhole.clock.timers()).toBe(0)
  })
})
