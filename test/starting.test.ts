/** What keeps keyhole from starting, or makes it wait, as whoever starts it is told. Exit codes are test/process/exit.test.ts's. */
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { verify } from '../src/audit-log/verify.ts'
import { StartError, starting } from '../src/starting.ts'
import type { Standins } from '../src/testing/start-keyhole.ts'
import { startKeyholeOn, startStandins } from '../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../src/testing/unbounded.ts'
import { Stopped } from '../src/waiting.ts'
import { createAuthority } from './certificates.ts'
import { get, keptPorts, until } from './process/world.ts'
import { virtualClock } from './virtual-clock.ts'

const CANARY = 'canary-in-a-file'

describe('a start', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-starting-'))
  const at = (name: string) => join(directory, name)
  const taken = createServer()
  const authority = createAuthority()
  let standins: Standins

  beforeAll(async () => {
    standins = await startStandins()
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
    const [one, other] = [authority.issue(), authority.issue()]
    for (const [name, text] of Object.entries({
      garbage: CANARY,
      'half-a-ca': `${authority.ca}-----BEGIN CERTIFICATE-----\n${CANARY}\n-----END CERTIFICATE-----\n`,
      'two-words': `${CANARY} ${CANARY}`,
      empty: '',
      'one.crt': one.cert,
      'one.key': one.key,
      'other.key': other.key,
    })) {
      writeFileSync(at(name), text)
    }
    mkdirSync(at('directory'))
    symlinkSync(at('audit.log'), at('link'))
  })

  afterAll(async () => {
    taken.close()
    await standins[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
  })

  type Settings = Readonly<Record<string, string>>
  const port = () => (taken.address() as AddressInfo).port
  const tls = (cert: string, key: string) => () => ({ KEYHOLE_TLS_CERT_FILE: at(cert), KEYHOLE_TLS_KEY_FILE: at(key) })

  /** What is said, with the directory's name left out; stopped as soon as it says that it waits. */
  async function told(settings: Settings): Promise<string> {
    const stopping = new AbortController()
    const waits: string[] = []
    const logged = (line: string) => {
      const { msg, setting, problem } = JSON.parse(line)
      if (msg !== 'waiting to start') return
      waits.push(`waits for ${setting}: ${problem}`)
      stopping.abort()
    }
    try {
      const surroundings = { stopping: stopping.signal }
      await using _keyhole = await startKeyholeOn(standins.upstreams, {
        settings: { ...UNBOUNDED, ...settings },
        surroundings,
        logged,
      })
      return 'it started'
    } catch (error) {
      if (error instanceof Stopped) return waits.join('\n').replaceAll(directory, '')
      expect(error).toBeInstanceOf(StartError)
      return (error as StartError).message.replaceAll(directory, '')
    }
  }

  type Case = readonly [what: string, settings: () => Readonly<Record<string, string>>, told: string | RegExp]
  const WAITS: readonly Case[] = [
    [
      'a policy directory that is not there',
      () => ({ KEYHOLE_POLICY_DIR: at('nowhere') }),
      /^KEYHOLE_POLICY_DIR: .*\/nowhere does not exist\. Mount the ConfigMap/,
    ],
    [
      'a policy directory that is a file',
      () => ({ KEYHOLE_POLICY_DIR: at('garbage') }),
      /^KEYHOLE_POLICY_DIR: .*\/garbage is not a directory/,
    ],
    [
      'no token of its own',
      () => ({ KEYHOLE_KUBERNETES_TOKEN_FILE: at('nowhere') }),
      'KEYHOLE_KUBERNETES_TOKEN_FILE: cannot use /nowhere: ENOENT (no such file or directory)',
    ],
    [
      'a directory for a token',
      () => ({ KEYHOLE_KUBERNETES_TOKEN_FILE: at('directory') }),
      'KEYHOLE_KUBERNETES_TOKEN_FILE: cannot use /directory: EISDIR (illegal operation on a directory)',
    ],
    [
      'a token file of two words',
      () => ({ KEYHOLE_VAULT_TOKEN_FILE: at('two-words') }),
      'KEYHOLE_VAULT_TOKEN_FILE: cannot use /two-words: it holds no token',
    ],
    [
      'an empty token file',
      () => ({ KEYHOLE_VAULT_TOKEN_FILE: at('empty') }),
      'KEYHOLE_VAULT_TOKEN_FILE: cannot use /empty: it holds no token',
    ],
    [
      'a CA that is none',
      () => ({ VAULT_ADDR: 'https://127.0.0.1:1', VAULT_CACERT: at('garbage') }),
      'VAULT_CACERT: cannot use /garbage: it holds no certificate in PEM',
    ],
    [
      'a CA of which half is none',
      () => ({ KEYHOLE_KUBERNETES_URL: 'https://127.0.0.1:1', KEYHOLE_KUBERNETES_CACERT: at('half-a-ca') }),
      'KEYHOLE_KUBERNETES_CACERT: cannot use /half-a-ca: it holds no certificate in PEM',
    ],
    ['no certificate', tls('nowhere', 'one.key'), /^KEYHOLE_TLS_CERT_FILE: cannot read \/nowhere: ENOENT \(/],
    ['no key', tls('one.crt', 'nowhere'), /^KEYHOLE_TLS_CERT_FILE: cannot read \/nowhere: ENOENT \(/],
    [
      'a certificate that is none',
      tls('garbage', 'one.key'),
      'KEYHOLE_TLS_CERT_FILE: /garbage does not hold a PEM certificate',
    ],
    [
      'the key of another certificate',
      tls('one.crt', 'other.key'),
      'KEYHOLE_TLS_CERT_FILE: /other.key does not hold the private key of /one.crt',
    ],
  ]
  test.each(WAITS)(
    'waits for %s, and names the setting and what is wrong, in one line',
    async (_what, settings, expected) => {
      expectLine(await told(settings()), expected, 'waits for ')
    },
  )

  const FAILS: readonly Case[] = [
    [
      'an audit file in a directory that is not there',
      () => ({ KEYHOLE_AUDIT: `file:${at('nowhere/audit.log')}` }),
      'KEYHOLE_AUDIT: audit sink: ENOENT (no such file or directory)',
    ],
    [
      'a device for an audit file',
      () => ({ KEYHOLE_AUDIT: 'file:/dev/full' }),
      'KEYHOLE_AUDIT: audit sink: not-a-file',
    ],
    [
      'a directory for an audit file',
      () => ({ KEYHOLE_AUDIT: `file:${at('directory')}` }),
      'KEYHOLE_AUDIT: audit sink: EISDIR (illegal operation on a directory)',
    ],
    [
      'a link for an audit file',
      () => ({ KEYHOLE_AUDIT: `file:${at('link')}` }),
      /^KEYHOLE_AUDIT: audit sink: ELOOP \(/,
    ],
    [
      'a port that is taken',
      () => ({ KEYHOLE_LISTEN: `127.0.0.1:${port()}` }),
      /^KEYHOLE_LISTEN: listen EADDRINUSE: address already in use 127\.0\.0\.1:\d+$/,
    ],
    [
      'a management port that is taken',
      () => ({ KEYHOLE_MANAGEMENT_LISTEN: `127.0.0.1:${port()}` }),
      /^KEYHOLE_MANAGEMENT_LISTEN: listen EADDRINUSE: address already in use 127\.0\.0\.1:\d+$/,
    ],
    [
      'an address that is not of this machine',
      () => ({ KEYHOLE_MANAGEMENT_LISTEN: '192.0.2.1:0' }),
      /^KEYHOLE_MANAGEMENT_LISTEN: listen EADDRNOTAVAIL: /,
    ],
  ]
  test.each(FAILS)(
    'fails for %s, and names the setting and what is wrong, in one line',
    async (_what, settings, expected) => {
      expectLine(await told(settings()), expected, '')
    },
  )

  function expectLine(line: string, expected: string | RegExp, before: string): void {
    expect(line.startsWith(before), line).toBe(true)
    const said = line.slice(before.length)
    expect(said).toMatch(typeof expected === 'string' ? new RegExp(`^${RegExp.escape(expected)}$`) : expected)
    expect(said).not.toMatch(/\n|canary/)
  }

  test('leaves a log that says it stopped, when only a port was missing', async () => {
    const lines: string[] = []
    const settings = { ...UNBOUNDED, KEYHOLE_LISTEN: `127.0.0.1:${port()}` }
    await expect(
      startKeyholeOn(standins.upstreams, { settings, audited: (line) => lines.push(line) }),
    ).rejects.toBeInstanceOf(StartError)
    expect(verify(lines)).toMatchObject({ broken: undefined, lines: 2, chains: [{ stopped: true }] })
  })

  test('that is told to stop once its files are there goes on: whoever told it so stops it in order', async () => {
    const stopping = new AbortController()
    const surroundings = {
      stopping: stopping.signal,
      random(bytes: number) {
        stopping.abort()
        return randomBytes(bytes)
      },
    }
    await using keyhole = await startKeyholeOn(standins.upstreams, { settings: UNBOUNDED, surroundings })
    expect([stopping.signal.aborted, (await get(`${keyhole.managementUrl}/readyz`)).status]).toEqual([true, 200])
  })

  test('that was given up while it waited leaves no record, and nothing open', async () => {
    const lines: string[] = []
    const clock = virtualClock()
    const stopping = new AbortController()
    let managementUrl = ''
    const surroundings = { stopping: stopping.signal }
    const started = startKeyholeOn(standins.upstreams, {
      clock,
      settings: { ...(await keptPorts()), KEYHOLE_POLICY_DIR: at('nowhere'), KEYHOLE_LOG_LEVEL: 'debug' },
      surroundings,
      audited: (line) => lines.push(line),
      logged(line) {
        managementUrl = JSON.parse(line).managementUrl ?? managementUrl
      },
    })
    await until(() => managementUrl !== '')
    expect((await get(`${managementUrl}/livez`)).status).toBe(200)
    stopping.abort()
    await expect(started).rejects.toBeInstanceOf(Stopped)
    expect([lines, clock.timers()]).toEqual([[], 0])
    await expect(get(`${managementUrl}/livez`)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  })
})

describe('a step of the start', () => {
  class Readable extends Error {}

  test('hands on what it makes', async () => {
    expect(await starting('SETTING', () => 'made')).toBe('made')
  })

  test('tells what it was told to be fit to read, and nothing else', async () => {
    const fail = (error: unknown) => () => Promise.reject(error)
    await expect(starting('SETTING', fail(new Readable('unfit')), Readable)).rejects.toThrow(/^SETTING: unfit$/)
    const defect = new SyntaxError(`Unexpected token in ${CANARY}`)
    await expect(starting('SETTING', fail(defect), Readable)).rejects.toBe(defect)
    await expect(starting('SETTING', fail('a string'), Readable)).rejects.toBe('a string')
  })

  test('keeps an errno that it has no words for', async () => {
    const unknown = () => Promise.reject(new Readable('cannot: ENOSUCHERRNO'))
    await expect(starting('SETTING', unknown, Readable)).rejects.toThrow(/^SETTING: cannot: ENOSUCHERRNO$/)
  })
})
