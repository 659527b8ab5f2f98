/** The example consumers as processes: what they put up with, what they refuse, and that nobody sees a value. */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { serve } from '../../src/standins/server.ts'
import { SAMPLE_DICTIONARY } from '../../src/testing/sample.ts'
import type { KeyholeOnStandins } from '../../src/testing/start-keyhole.ts'
import { startKeyhole } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { createAuthority } from '../certificates.ts'
import type { Handler } from '../external/peer.ts'
import { startPeer } from '../external/peer.ts'
import { get, until } from '../process/world.ts'

const EXAMPLES = join(import.meta.dirname, '../../examples')
const TOKEN = 'canary-of-a-token'
const authority = createAuthority()
const tls = authority.issue()
const GOOD = JSON.stringify({
  name: 'db',
  data: { PGHOST: 'canary-of-a-value', PGPORT: 12345678901234567890n.toString() },
  missing: [],
})

let directory = ''
const file = (name: string) => join(directory, name)
const children: ChildProcess[] = []

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'keyhole-example-'))
  writeFileSync(file('token'), `${TOKEN}\n`)
  writeFileSync(file('ca.crt'), authority.ca)
})
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  rmSync(directory, { recursive: true, force: true })
})

interface Running {
  readonly child: ChildProcess
  readonly said: () => string
  readonly exited: Promise<number | null>
}

function run(script: string, environment: Readonly<Record<string, string>>): Running {
  const child = spawn(process.execPath, [join(EXAMPLES, script)], {
    env: {
      KEYHOLE_CACERT: file('ca.crt'),
      KEYHOLE_TOKEN_FILE: file('token'),
      PORT: '0',
      INTO: directory,
      ...environment,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (said += chunk.toString()))
  const exited = new Promise<number | null>((resolve) => child.once('close', resolve))
  return { child, said: () => said, exited }
}

const boot = (address: string, environment = {}) =>
  run('payments-api/boot.mjs', { KEYHOLE_ADDR: address, ...environment })

/** Its port, once it serves. */
async function portOf({ said, exited }: Running): Promise<string> {
  const ended = exited.then((code) => Promise.reject(new Error(`exit ${code}: ${said()}`)))
  return await Promise.race([ended, until(() => /serving on (\d+) /.exec(said())?.[1])])
}

function answer(reply: ServerResponse, status: number, body: string, headers: Record<string, string> = {}): void {
  reply.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body)
}

function problem(reply: ServerResponse, status: number, code: string, retryable: boolean, headers = {}): void {
  answer(reply, status, JSON.stringify({ code, detail: `about ${code}`, retryable }), headers)
}

describe('a service that boots ends, and says why, when keyhole', () => {
  async function refused(handler: Handler): Promise<string> {
    await using peer = await startPeer(handler, tls)
    const running = boot(peer.url)
    expect(await running.exited).toBe(1)
    expect(peer.seen).toHaveLength(1)
    expect(running.said()).not.toContain('canary')
    return running.said()
  }

  test.each([
    [401, 'TOKEN_REJECTED'],
    [403, 'NOT_GRANTED'],
    [404, 'SECRET_MISSING'],
    [422, 'CIPHERTEXT_REJECTED'],
    [500, 'INTERNAL'],
  ])('answers %i %s', async (status, code) => {
    expect(await refused((reply) => problem(reply, status, code, false))).toBe(
      `keyhole refuses: ${code}: about ${code}\n`,
    )
  })

  test('sends it elsewhere with its token, where it does not go', async () => {
    const said = await refused((reply) => answer(reply, 302, GOOD, { location: '/secrets/db' }))
    expect(said).toBe('keyhole refuses: status 302, and none of its answers\n')
  })

  test.each([
    ['a page', '<html>canary</html>'],
    ['no values', '{"name":"db"}'],
    ['a list', '{"data":["canary"]}'],
    ['null', '{"data":null}'],
    ['half of an answer', GOOD.slice(0, -5)],
  ])('answers 200 with %s', async (_title, body) => {
    expect(await refused((reply) => answer(reply, 200, body))).toBe(
      'keyhole refuses: status 200, and none of its answers\n',
    )
  })

  test('answers without end', async () => {
    expect(await refused((reply) => answer(reply, 200, 'x'.repeat(3_000_000)))).toBe(
      'an answer that is too long for keyhole\n',
    )
  })
})

describe('a service that boots sends its token to nobody', () => {
  test('whose certificate another CA has signed', async () => {
    await using peer = await startPeer((reply) => answer(reply, 200, GOOD), createAuthority('another').issue())
    const running = boot(peer.url)
    expect(await running.exited).toBe(1)
    expect(running.said()).toMatch(/^the call to https:\/\/127\.0\.0\.1:\d+ fails: UNABLE_TO_VERIFY_LEAF_SIGNATURE\n$/)
    expect(peer.seen).toEqual([])
  })

  test('whose certificate is for another name', async () => {
    await using peer = await startPeer(
      (reply) => answer(reply, 200, GOOD),
      authority.issue({ dns: ['other'], ips: [] }),
    )
    const running = boot(peer.url)
    expect(await running.exited).toBe(1)
    expect(running.said()).toContain('ERR_TLS_CERT_ALTNAME_INVALID')
    expect(peer.seen).toEqual([])
  })

  test('in the clear, or at an address that is none', async () => {
    for (const [address, why] of [
      ['http://127.0.0.1:1', 'ERR_INVALID_PROTOCOL'],
      ['keyhole', 'ERR_INVALID_URL'],
    ] as const) {
      const running = boot(address)
      expect(await running.exited).toBe(1)
      expect(running.said()).toBe(`the call to ${address} fails: ${why}\n`)
    }
  })

  test('without a token, or a CA to tell keyhole by', async () => {
    for (const [name, what] of [
      ['KEYHOLE_TOKEN_FILE', 'token'],
      ['KEYHOLE_CACERT', 'CA'],
    ] as const) {
      const running = boot('https://127.0.0.1:1', { [name]: file('nowhere') })
      expect(await running.exited).toBe(1)
      expect(running.said()).toBe(`the ${what} cannot be read from ${file('nowhere')} (ENOENT)\n`)
    }
  })
})

describe('a service that boots waits', () => {
  test.each([
    [503, 'VAULT_SEALED'],
    [504, 'DEADLINE'],
    [429, 'RATE_LIMITED'],
  ])('while keyhole answers %i %s, as long as it says, and asks with the token of the moment', async (status, code) => {
    await using peer = await startPeer((reply) => {
      if (peer.seen.length === 1) problem(reply, status, code, true, { 'retry-after': '1' })
      else answer(reply, 200, GOOD)
      writeFileSync(file('token'), 'renewed')
    }, tls)
    const running = boot(peer.url)
    await portOf(running)
    expect(running.said()).toContain(`keyhole is not to be had yet (${code}: about ${code}); asking again in 1 s\n`)
    expect(peer.seen.map(({ headers }) => headers.authorization)).toEqual([`Bearer ${TOKEN}`, 'Bearer renewed'])
  })

  test('while a gateway answers 503 in its place, and a peer hangs up in the middle', async () => {
    await using peer = await startPeer((reply) => {
      const asked = peer.seen.length
      if (asked === 1) answer(reply, 503, '<html>', { 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' })
      else if (asked === 2) reply.writeHead(200, { 'content-length': '1000' }).write('{', () => reply.destroy())
      else answer(reply, 200, GOOD)
    }, tls)
    const running = boot(peer.url)
    await portOf(running)
    expect(running.said()).toContain('(status 503, and none of its answers); asking again in 2 s\n')
    expect(running.said()).toContain('(ECONNRESET); asking again in 2 s\n')
  })

  test('while nobody is there', async () => {
    await using server = await serve({ clock: systemClock, tls, handler: () => ({ status: 200, body: GOOD }) })
    await server.stop()
    const running = boot(server.url)
    await until(() => running.said().includes('(ECONNREFUSED); asking again in 2 s\n'))
    await server.restart()
    await portOf(running)
  })

  test('and stops at once when it is told to', async () => {
    await using peer = await startPeer((reply) => problem(reply, 503, 'X', true, { 'retry-after': '60' }), tls)
    const running = boot(peer.url)
    await until(() => running.said().includes('asking again in 60 s'))
    running.child.kill('SIGTERM')
    expect(await running.exited).toBe(0)
  })
})

describe('with keyhole itself', () => {
  let keyhole: KeyholeOnStandins
  beforeEach(async () => {
    writeFileSync(file('tls.crt'), tls.cert)
    writeFileSync(file('tls.key'), tls.key)
    const settings = { ...UNBOUNDED, KEYHOLE_TLS_CERT_FILE: file('tls.crt'), KEYHOLE_TLS_KEY_FILE: file('tls.key') }
    keyhole = await startKeyhole({ settings })
    writeFileSync(file('token'), keyhole.tokenOf('api'))
  })
  afterEach(() => keyhole.stop())

  const values = Object.entries(JSON.parse(SAMPLE_DICTIONARY) as Record<string, unknown>)
  const isSeen = (text: string) =>
    values.filter(([, value]) => String(value).length > 4 && text.includes(String(value)))

  test('a service shows which keys it got at boot, and no value', async () => {
    const running = boot(keyhole.url)
    const origin = `http://127.0.0.1:${await portOf(running)}`
    const keys = ['PGHOST', 'PGPORT', 'PGUSER', 'PGPASSWORD', 'LEDGER_ID']
    expect(await get(`${origin}/ready`)).toMatchObject({ status: 200, body: JSON.stringify({ keys }) })
    expect((await get(`${origin}/secrets`)).status).toBe(404)
    expect(running.said()).toMatch(/^serving on \d+ with the keys PGHOST, PGPORT, PGUSER, PGPASSWORD, LEDGER_ID\n$/)
    expect(isSeen(running.said())).toEqual([])
    running.child.kill('SIGTERM')
    expect(await running.exited).toBe(0)
  })

  test('a stranger gets nothing, and learns why from keyhole', async () => {
    writeFileSync(file('token'), keyhole.tokenOf('stranger'))
    const running = boot(keyhole.url)
    expect(await running.exited).toBe(1)
    expect(running.said()).toBe(
      'keyhole refuses: NOT_GRANTED: lab/notebook has no such grant. GET /secrets lists what it has.\n',
    )
  })

  test('another team has its own subset in files that only it may read', async () => {
    writeFileSync(file('token'), keyhole.tokenOf('reports'))
    const fetch = () => run('bi-reports/fetch.mjs', { KEYHOLE_ADDR: keyhole.url })
    // The second time over what the first has left there.
    for (const running of [fetch(), fetch()]) {
      expect(await running.exited).toBe(0)
      expect(running.said()).toBe('fetched PGHOST, PGPORT\n')
    }
    expect(readdirSync(directory).filter((name) => name.startsWith('PG'))).toEqual(['PGHOST', 'PGPORT'])
    expect(readFileSync(file('PGHOST'), 'utf8')).toBe('db.payments.svc')
    expect(statSync(file('PGHOST')).mode & 0o777).toBe(0o400)
  })
})

describe('what is fetched into files', () => {
  test.each(['../../etc/passwd', '.', 'a/b', ''])('has no file called %j', async (key) => {
    await using peer = await startPeer(
      (reply) => answer(reply, 200, JSON.stringify({ data: { [key]: 'canary' } })),
      tls,
    )
    const running = run('bi-reports/fetch.mjs', { KEYHOLE_ADDR: peer.url })
    expect(await running.exited).toBe(1)
    expect(running.said()).toBe(`a key is called ${JSON.stringify(key)}, which is no name for a file here\n`)
  })

  test('is what the secret holds, to the last digit', async () => {
    const body = '{"data":{"A":"text","B":12345678901234567890,"C":1.0,"D":{"e":[true,null]},"F":7}}'
    await using peer = await startPeer((reply) => answer(reply, 200, body), tls)
    expect(await run('bi-reports/fetch.mjs', { KEYHOLE_ADDR: peer.url }).exited).toBe(0)
    const found = Object.fromEntries([...'ABCDF'].map((key) => [key, readFileSync(file(key), 'utf8')]))
    expect(found).toEqual({ A: 'text', B: '12345678901234567890', C: '1.0', D: '{"e":[true,null]}', F: '7' })
  })
})

test('both examples ask in the same way', () => {
  const text = (example: string) => readFileSync(join(EXAMPLES, example, 'read-secret.mjs'), 'utf8')
  expect(text('bi-reports')).toBe(text('payments-api'))
})
