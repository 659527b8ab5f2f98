/**
 * What somebody's environment and everybody's errors cannot make the process print or do: debug output of Node and of
 * the SDKs, proxies, a Vault token that lies about, certificates that nobody is to check.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:https'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Fault } from '../../src/standins/faults.ts'
import { changeJson, cut, garbage, html, redirect, status } from '../../src/standins/faults.ts'
import type { KeyholeProcess } from '../../src/testing/keyhole-process.ts'
import { startKeyholeProcess } from '../../src/testing/keyhole-process.ts'
import { publish } from '../../src/testing/mounted-volume.ts'
import { putSealed } from '../../src/testing/sample.ts'
import type { Standins } from '../../src/testing/start-keyhole.ts'
import { startStandins } from '../../src/testing/start-keyhole.ts'
import { UNBOUNDED } from '../../src/testing/unbounded.ts'
import { createAuthority } from '../certificates.ts'
import type { Reply } from './world.ts'
import { get, parsed, until } from './world.ts'

/** In every text that a fault puts on the wire. */
const CANARY = 'canary-of-an-upstream'
const PASTED = 'eyJhbGciOiJSUzI1NiJ9.canary-pasted-by-a-caller.signature'
const VALUES = ['canary-value-granted', 'canary-value-withheld']

describe('a process in a hostile environment', () => {
  const directory = mkdtempSync(join(tmpdir(), 'keyhole-environment-'))
  const authority = createAuthority()
  const agent = new Agent({ keepAlive: true, ca: authority.ca })
  /** Counts who falls for a proxy. */
  const proxy = createServer((socket) => {
    proxied += 1
    socket.destroy()
  })
  let proxied = 0
  let standins: Standins
  let keyhole: KeyholeProcess
  let token: string

  beforeAll(async () => {
    const pair = authority.issue()
    writeFileSync(join(directory, 'tls.crt'), pair.cert)
    writeFileSync(join(directory, 'tls.key'), pair.key)
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
    const proxyUrl = `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`
    standins = await startStandins(undefined, { ...pair, ca: authority.ca })
    const [granted, withheld] = VALUES
    putSealed(standins.kubernetes, standins.vault, {
      namespace: 'payments',
      name: 'payments-db',
      data: { 'secrets.json': JSON.stringify({ PGHOST: granted, MIGRATOR_PASSWORD: withheld }) },
    })
    keyhole = await startKeyholeProcess(standins.upstreams, {
      settings: {
        ...UNBOUNDED,
        KEYHOLE_LOG_LEVEL: 'debug',
        KEYHOLE_REVIEW_KEEP_MS: '0',
        KEYHOLE_REFUSALS_PER_SECOND: '1000',
        KEYHOLE_REFUSALS_BURST: '10000',
        KEYHOLE_TLS_CERT_FILE: join(directory, 'tls.crt'),
        KEYHOLE_TLS_KEY_FILE: join(directory, 'tls.key'),
        NODE_DEBUG: 'http,https,tls,net,stream,undici,fetch',
        NODE_OPTIONS: '--trace-warnings --trace-uncaught',
        NODE_TLS_REJECT_UNAUTHORIZED: '0',
        DEBUG: '*',
        HTTP_PROXY: proxyUrl,
        HTTPS_PROXY: proxyUrl,
        ALL_PROXY: proxyUrl,
        http_proxy: proxyUrl,
        https_proxy: proxyUrl,
        NODE_USE_ENV_PROXY: '1',
        VAULT_TOKEN: PASTED,
        VAULT_SKIP_VERIFY: 'true',
      },
    })
    token = standins.tokenOf('api')
  })

  afterAll(async () => {
    agent.destroy()
    proxy.close()
    await keyhole?.[Symbol.asyncDispose]()
    await standins?.[Symbol.asyncDispose]()
    rmSync(directory, { recursive: true })
  })

  const ask = (path: string, headers: Record<string, string> = {}): Promise<Reply> =>
    get(keyhole.url + path, { token, agent, headers })

  function everything(): string {
    return [
      ...keyhole.logLines,
      ...keyhole.outputLines,
      readFileSync(join(keyhole.directory, 'audit.log'), 'utf8'),
    ].join('\n')
  }

  /** Also what is left of each when only its end is printed, and of values their bytes in hex. */
  function secrets(): readonly string[] {
    const { kubernetes, vault } = standins.upstreams
    const own = [kubernetes.tokenFile, vault.tokenFile].map((file) => readFileSync(file, 'utf8'))
    const tokens = [token, PASTED, ...own].flatMap((jwt) => [jwt, jwt.slice(-40)])
    const hex = VALUES.map((value) => Buffer.from(value.slice(0, 16)).toString('hex').replace(/../g, '$& ').trim())
    return [...tokens, ...VALUES, ...hex, CANARY, 'canary', 'hvb.']
  }

  function printed(): readonly string[] {
    const text = everything()
    return secrets().filter((secret) => text.includes(secret))
  }

  test('serves as in any other', async () => {
    const reply = await ask('/secrets/db')
    expect([reply.status, JSON.parse(reply.body)]).toEqual([
      200,
      { name: 'db', data: { PGHOST: VALUES[0] }, missing: ['LEDGER_ID', 'PGPASSWORD', 'PGPORT', 'PGUSER'] },
    ])
    expect((await ask('/secrets/db', { 'if-none-match': reply.headers.etag ?? '' })).status).toBe(304)
    expect((await ask('/secrets')).status).toBe(200)
    expect((await ask('/secrets/tls?key=tls.key', { accept: 'application/octet-stream' })).status).toBe(200)
  })

  test('has the debug output of Node that was asked for, so that what follows means something', () => {
    expect(everything()).toMatch(/^(?:HTTP|NET|TLS|STREAM|UNDICI) \d+: /m)
  })

  test('asks Vault with its own session, and never a proxy', () => {
    expect(standins.vault.requests.sightings(PASTED)).toEqual([])
    expect(proxied).toBe(0)
  })

  test('prints no token and no value of what it serves', () => {
    expect(printed()).toEqual([])
  })

  test.each<readonly [what: string, path: string, headers: Record<string, string>, status: number]>([
    ['as a bearer token', '/secrets/db', { authorization: `Bearer ${PASTED}` }, 401],
    ['as a name', `/secrets/${PASTED}`, {}, 400],
    ['as a key', `/secrets/db?key=${PASTED}`, {}, 403],
    ['as a parameter', `/secrets/db?${PASTED}=1`, {}, 400],
    ['as a path', `/${PASTED}`, {}, 404],
    ['as a path that is none', `/%zz${PASTED}`, {}, 400],
    ['as an ETag', '/secrets/db', { 'if-none-match': PASTED }, 200],
    ['as what is accepted', '/secrets/db', { accept: PASTED }, 406],
    ['as an unknown header', '/secrets/nothing', { [PASTED.replaceAll('.', '-')]: PASTED }, 403],
  ])('prints no token that was pasted %s', async (_what, path, headers, expected) => {
    const reply = await ask(path, headers)
    expect(reply.body).not.toContain('canary-pasted')
    expect(reply.status).toBe(expected)
    expect(printed()).toEqual([])
  })

  const BODY = { message: CANARY, errors: [CANARY], kind: 'Status', reason: CANARY, code: 500 }
  const FAULTS: readonly (readonly [what: string, fault: () => Fault])[] = [
    ['500', () => status(500, BODY)],
    ['400', () => status(400, BODY)],
    ['401', () => status(401, BODY)],
    ['403', () => status(403, BODY)],
    ['404', () => status(404, BODY)],
    ['422', () => status(422, BODY)],
    ['429', () => status(429, BODY)],
    ['a status of Vault on standby', () => status(473, BODY)],
    ['HTML', () => html()],
    ['a redirect', () => redirect(`https://${CANARY}.example/`)],
    ['text in place of JSON', () => status(200, `${CANARY}`)],
    ['JSON of another shape', () => status(200, { data: { plaintext: CANARY }, status: CANARY, auth: CANARY })],
    ['half of its JSON', () => changeJson((body) => ({ ...body, data: CANARY, status: CANARY }))],
    ['half its body', () => cut('mid-body')],
    ['a reset', () => cut('reset')],
    ['bytes that are not HTTP', () => garbage(Buffer.from(`${CANARY}\r\n\r\n`))],
    ['a header of 64 KiB', () => status(200, '', { 'x-long': CANARY.repeat(3_000) })],
  ]
  const PLACES = {
    TokenReview: /tokenreviews/,
    'GET Secret': /secrets\/payments-db/,
    login: /login/,
    decrypt: /decrypt/,
  }
  const WHERE = Object.entries(PLACES).flatMap(([place, path]) =>
    FAULTS.map(([what, fault]) => [what, place, path, fault] as const),
  )

  test.each(WHERE)('prints nothing of %s answered to %s', async (_what, place, path, fault) => {
    const standin = /TokenReview|Secret/.test(place) ? standins.kubernetes : standins.vault
    const injected = standin.faults.inject({ path }, fault())
    try {
      const reply = await ask('/secrets/db')
      expect(reply.body).not.toContain('canary-of')
      expect(reply.body).not.toContain('withheld')
    } finally {
      injected.remove()
    }
    expect(printed()).toEqual([])
  })

  test.each<readonly [what: string, text: string]>([
    ['that is no JSON', VALUES[1] ?? ''],
    ['that is cut short', `{"PGHOST":"${VALUES[1]}`],
    ['with a key twice', `{"PGHOST":"${VALUES[1]}","PGHOST":"${VALUES[1]}"}`],
    ['that is a list', `["${VALUES[1]}"]`],
  ])('prints nothing of a Secret %s', async (_what, text) => {
    putSealed(standins.kubernetes, standins.vault, {
      namespace: 'payments',
      name: 'payments-db',
      data: { 'secrets.json': text },
    })
    const reply = await ask('/secrets/db')
    expect([reply.status, reply.body]).toEqual([422, expect.not.stringContaining('canary')])
    expect(printed()).toEqual([])
  })

  test('prints nothing of a Secret that holds its values in the clear', async () => {
    const secret = { namespace: 'payments', name: 'payments-db', data: { 'secrets.json': VALUES[1] ?? '' } }
    standins.kubernetes.putSecret(secret)
    const reply = await ask('/secrets/db')
    expect([reply.status, reply.body]).toEqual([422, expect.not.stringContaining('canary')])
    expect(printed()).toEqual([])
  })

  test('trusts nobody whom its CA did not sign, whatever NODE_TLS_REJECT_UNAUTHORIZED says', async () => {
    const stranger = createAuthority()
    const { kubernetes, vault } = standins.upstreams
    const tokens = {
      kubernetes: readFileSync(kubernetes.tokenFile, 'utf8'),
      vault: readFileSync(vault.tokenFile, 'utf8'),
    }
    await publish(standins.credentials, { ...tokens, 'ca.crt': stranger.ca })
    // The CA is read again every few seconds; from then on it does not know its upstreams, and says nothing to them.
    const refused = await until(async () => {
      const reply = await ask('/secrets/db')
      return reply.status === 503 && reply
    })
    expect(JSON.parse(refused.body)).toMatchObject({ code: 'KUBERNETES_UNAVAILABLE' })
    const asked = standins.kubernetes.requests.entries().length
    expect((await ask('/secrets/db')).status).toBe(503)
    expect(standins.kubernetes.requests.entries()).toHaveLength(asked)
    await publish(standins.credentials, { ...tokens, 'ca.crt': `${stranger.ca}${authority.ca}` })
    await until(async () => (await ask('/secrets')).status === 200)
    expect(printed()).toEqual([])
  })

  test('says for each failed request what failed and how, by words of ours, under the id of its reply', () => {
    const lines = parsed(keyhole.logLines).filter(({ msg }) => String(msg).startsWith('refused: '))
    expect(lines.length).toBeGreaterThan(20)
    for (const line of lines) {
      expect(line).toMatchObject({
        level: expect.stringMatching(/^(?:warn|error)$/),
        requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
        why: expect.stringMatching(/^[a-z0-9-]+$/),
      })
    }
  })
})
