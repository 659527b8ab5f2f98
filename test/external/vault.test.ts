import { afterEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { UpstreamError } from '../../src/errors.ts'
import type { Send, Sender } from '../../src/external/send.ts'
import { openSend } from '../../src/external/send.ts'
import type { Vault, VaultOptions } from '../../src/external/vault.ts'
import { openVault } from '../../src/external/vault.ts'
import { token } from '../../src/opaque.ts'
import type { DecryptItem, DecryptRequest } from '../../src/services/decrypt.ts'
import { createAuthority } from '../certificates.ts'
import { inChild } from './child.ts'
import type { Handler, Peer, Seen } from './peer.ts'
import { json, nobody, startPeer } from './peer.ts'
import { expectNoTraceOf, thrownBy } from './traces.ts'

const senders: Sender[] = []
const never = new AbortController().signal

function sendingTo(peer: Pick<Peer, 'url'>, ca?: string): Send {
  const options = { connections: 4, maxBodyBytes: 4 * 1024 * 1024, callTimeoutMs: 60_000, clock: systemClock }
  const sender = openSend({ ...options, origin: peer.url, ...(ca !== undefined && { ca: () => ca }) })
  senders.push(sender)
  return sender.send
}

function vaultAt(peer: Pick<Peer, 'url'>, options: Partial<VaultOptions> = {}): Vault {
  return openVault({ send: sendingTo(peer), ...options })
}

afterEach(async () => {
  vi.unstubAllEnvs()
  await Promise.all(senders.splice(0).map((sender) => sender.close()))
})

const LOGIN = { mount: 'kubernetes', role: 'reader', jwt: token('own-jwt') }
const ONE: DecryptRequest = {
  token: token('vault-token'),
  mount: 'transit',
  key: 'payments',
  items: [{ ciphertext: 'vault:v1:b25l', context: 'cGxhY2U=' }],
}
const THREE: DecryptRequest = {
  ...ONE,
  items: ['one', 'two', 'three'].map((text) => ({
    ciphertext: `vault:v1:${base64(text)}`,
    context: base64(`place of ${text}`),
  })),
}

function base64(text: string | Buffer): string {
  return Buffer.from(text).toString('base64')
}

/** Decrypts by taking the version off. */
function opened({ ciphertext }: DecryptItem): string {
  return ciphertext.split(':')[2] ?? ''
}

function decrypting(reply: Parameters<Handler>[0], { body }: Seen): void {
  const request = JSON.parse(body)
  const data =
    request.batch_input === undefined
      ? { plaintext: opened(request) }
      : {
          batch_results: request.batch_input.map((item: DecryptItem & { reference: string }) => ({
            plaintext: opened(item),
            reference: item.reference,
          })),
        }
  json(reply, 200, {
    request_id: 'x',
    lease_id: '',
    renewable: false,
    lease_duration: 0,
    data,
    warnings: null,
    auth: null,
  })
}

const granting: Handler = (reply) =>
  json(reply, 200, { auth: { client_token: 'hvb.session', lease_duration: 10, renewable: false, token_type: 'batch' } })

const answering =
  (status: number, body: unknown): Handler =>
  (reply) =>
    json(reply, status, body)

async function kindOf(act: Promise<unknown>): Promise<string> {
  const error = await thrownBy(act)
  expect(error).toBeInstanceOf(UpstreamError)
  expect((error as UpstreamError).upstream).toBe('vault')
  return (error as UpstreamError).kind
}

describe('login', () => {
  it('posts role and JWT to the mount, and gets a token that does not print', async () => {
    await using peer = await startPeer(granting)
    const { token: session, leaseSeconds } = await vaultAt(peer).login(LOGIN, never)
    expect([session.reveal(), String(session), leaseSeconds]).toEqual(['hvb.session', '[token]', 10])
    expect(peer.seen[0]).toMatchObject({ method: 'POST', path: '/v1/auth/kubernetes/login' })
    expect(JSON.parse(peer.seen[0]?.body ?? '')).toEqual({ role: 'reader', jwt: 'own-jwt' })
    expect(JSON.stringify([peer.seen[0]?.path, peer.seen[0]?.headers])).not.toContain('own-jwt')
  })

  it('asks at a mount within a path, too', async () => {
    await using peer = await startPeer(granting)
    await vaultAt(peer).login({ ...LOGIN, mount: 'clusters/one' }, never)
    expect(peer.seen[0]?.path).toBe('/v1/auth/clusters/one/login')
  })

  it.each<[string, unknown]>([
    ['no auth', { data: {} }],
    ['null for auth', { auth: null }],
    ['no token', { auth: { lease_duration: 10 } }],
    ['an empty token', { auth: { client_token: '', lease_duration: 10 } }],
    ['a token that would end its header', { auth: { client_token: 'a\r\nx: y', lease_duration: 10 } }],
    ['a token that is a number', { auth: { client_token: 1, lease_duration: 10 } }],
    ['no lease', { auth: { client_token: 'canary' } }],
    ['a lease without an end', { auth: { client_token: 'canary', lease_duration: 0 } }],
    ['a lease that is past', { auth: { client_token: 'canary', lease_duration: -1 } }],
    ['a lease in words', { auth: { client_token: 'canary', lease_duration: '10' } }],
    ['half a second', { auth: { client_token: 'canary', lease_duration: 0.5 } }],
    ['a list', []],
    ['null', null],
  ])('is "garbage" for %s', async (_what, body) => {
    await using peer = await startPeer(answering(200, body))
    const error = await thrownBy(vaultAt(peer).login(LOGIN, never))
    expect(error).toMatchObject({ kind: 'garbage' })
    expectNoTraceOf(['canary', 'own-jwt'], error)
  })

  it('is "role-missing" for a role that Vault does not know', async () => {
    await using peer = await startPeer(answering(400, { errors: ['invalid role name "reader"'] }))
    expect(await kindOf(vaultAt(peer).login(LOGIN, never))).toBe('role-missing')
  })
})

describe('decrypt', () => {
  it('asks for one item plainly, with the token in its header', async () => {
    await using peer = await startPeer(decrypting)
    const [bytes, ...others] = await vaultAt(peer).decrypt(ONE, never)
    expect([bytes?.toString(), others]).toEqual(['one', []])
    const [request] = peer.seen
    expect(request).toMatchObject({ method: 'POST', path: '/v1/transit/decrypt/payments' })
    expect(JSON.parse(request?.body ?? '')).toEqual({ ciphertext: 'vault:v1:b25l', context: 'cGxhY2U=' })
    expect(request?.headers['x-vault-token']).toBe('vault-token')
  })

  it('asks for several in one batch, and keeps their order', async () => {
    await using peer = await startPeer(decrypting)
    const found = await vaultAt(peer).decrypt(THREE, never)
    expect(found.map((bytes) => bytes.toString())).toEqual(['one', 'two', 'three'])
    expect(peer.seen).toHaveLength(1)
    expect(JSON.parse(peer.seen[0]?.body ?? '').batch_input).toEqual(
      THREE.items.map((item, index) => ({ ...item, reference: String(index) })),
    )
  })

  it('sends no context where there is none, and no other field of an item', async () => {
    await using peer = await startPeer(decrypting)
    const item: DecryptItem = Object.assign({ ciphertext: 'vault:v1:b25l' }, { nonce: 'x' })
    await vaultAt(peer).decrypt({ ...ONE, items: [item] }, never)
    expect(JSON.parse(peer.seen[0]?.body ?? '')).toEqual({ ciphertext: 'vault:v1:b25l' })
  })

  it('asks nothing for no items', async () => {
    await using peer = await startPeer(decrypting)
    expect(await vaultAt(peer).decrypt({ ...ONE, items: [] }, never)).toEqual([])
    expect(peer.connections.made).toBe(0)
  })

  it('gives every byte value back, and an empty plaintext as empty, in memory of their own', async () => {
    const all = Buffer.from(Array.from({ length: 256 }, (_, value) => value))
    await using peer = await startPeer(decrypting)
    const items = [all, Buffer.alloc(0)].map((bytes) => ({ ciphertext: `vault:v1:${base64(bytes)}` }))
    const [first, second] = await vaultAt(peer).decrypt({ ...ONE, items }, never)
    expect(first?.equals(all)).toBe(true)
    expect(first?.buffer.byteLength).toBe(256)
    expect(second).toHaveLength(0)
  })

  it('opens a plaintext of 1 MiB', async () => {
    const large = Buffer.alloc(1024 * 1024, 'x')
    await using peer = await startPeer(decrypting)
    const items = [{ ciphertext: `vault:v1:${base64(large)}` }]
    const [bytes] = await vaultAt(peer).decrypt({ ...ONE, items }, never)
    expect(bytes?.equals(large)).toBe(true)
  })

  it('wipes the answer, and what was opened of a batch that failed', async () => {
    const bodies: Buffer[] = []
    const decoded: Buffer[] = []
    await using peer = await startPeer((reply, seen) => {
      if (seen.path.endsWith('/one')) return decrypting(reply, seen)
      const results = ['b25l', '!'].map((plaintext, index) => ({ plaintext, reference: String(index) }))
      json(reply, seen.path.endsWith('/refused') ? 400 : 200, { data: { batch_results: results } })
    })
    const send = sendingTo(peer)
    const vault = openVault({
      send: async (request, signal) => {
        const answer = await send(request, signal)
        bodies.push(answer.body)
        return answer
      },
    })
    const allocate = Buffer.allocUnsafeSlow.bind(Buffer)
    const spy = vi.spyOn(Buffer, 'allocUnsafeSlow').mockImplementation((size) => {
      const buffer = allocate(size)
      if (size === 65) decoded.push(buffer.subarray(0, 3))
      return buffer
    })
    await vault.decrypt({ ...ONE, key: 'one' }, never)
    const two = { ...ONE, items: THREE.items.slice(0, 2) }
    expect(await kindOf(vault.decrypt(two, never))).toBe('garbage')
    await kindOf(vault.decrypt({ ...two, key: 'refused' }, never))
    spy.mockRestore()
    expect(bodies).toHaveLength(3)
    for (const body of bodies) expect(body.every((byte) => byte === 0)).toBe(true)
    expect(decoded.map((bytes) => bytes.toString())).toEqual(['one', '\0\0\0'])
  })

  it.each<[string, unknown]>([
    ['no data', {}],
    ['null for data', { data: null }],
    ['no plaintext', { data: {} }],
    ['null for a plaintext', { data: { plaintext: null } }],
    ['a number for a plaintext', { data: { plaintext: 1 } }],
    ['a plaintext that is no base64', { data: { plaintext: 'canary!' } }],
    ['a plaintext without its padding', { data: { plaintext: 'b25lMg' } }],
    ['the results of a batch', { data: { batch_results: [{ plaintext: 'b25l', reference: '0' }] } }],
    ['a list', []],
    ['null', null],
  ])('is "garbage" for %s where one plaintext was asked for', async (_what, body) => {
    await using peer = await startPeer(answering(200, body))
    const error = await thrownBy(vaultAt(peer).decrypt(ONE, never))
    expect(error).toMatchObject({ kind: 'garbage', status: 200 })
    expectNoTraceOf(['canary', 'vault-token'], error)
  })

  const item = (reference: string) => ({ plaintext: base64(`plaintext ${reference}`), reference })

  it.each<[string, unknown]>([
    ['one result too few', [item('0'), item('1')]],
    ['one too many', [item('0'), item('1'), item('2'), item('3')]],
    ['none', []],
    ['another order', [item('1'), item('0'), item('2')]],
    ['one twice', [item('0'), item('0'), item('2')]],
    ['no references', [{ plaintext: 'b25l' }, { plaintext: 'b25l' }, { plaintext: 'b25l' }]],
    ['a result without plaintext', [item('0'), { reference: '1' }, item('2')]],
    ['a result that is null', [item('0'), null, item('2')]],
    ['a result that is a string', [item('0'), 'x', item('2')]],
    ['an object of results', { 0: item('0'), 1: item('1'), 2: item('2') }],
    ['null', null],
  ])('is "garbage" for a batch with %s', async (_what, results) => {
    await using peer = await startPeer(answering(200, { data: { batch_results: results } }))
    expect(await kindOf(vaultAt(peer).decrypt(THREE, never))).toBe('garbage')
  })

  it('does not choose between two plaintexts', async () => {
    await using peer = await startPeer((reply) => {
      reply.writeHead(200).end('{"data":{"plaintext":"b25l","plaintext":"dHdv"}}')
    })
    expect(await kindOf(vaultAt(peer).decrypt(ONE, never))).toBe('garbage')
  })

  it('refuses a batch of which one item failed, even under status 200', async () => {
    const results = [
      item('0'),
      { error: 'cipher: message authentication failed', plaintext: '', reference: '1' },
      item('2'),
    ]
    await using peer = await startPeer(answering(200, { data: { batch_results: results } }))
    expect(await kindOf(vaultAt(peer).decrypt(THREE, never))).toBe('not-authentic')
  })

  it('refuses more than 250 items without a call', async () => {
    await using peer = await startPeer(decrypting)
    const items = Array.from({ length: 251 }, () => ({ ciphertext: 'vault:v1:b25l' }))
    expect(await kindOf(vaultAt(peer).decrypt({ ...ONE, items }, never))).toBe('bad-request')
    expect(await vaultAt(peer).decrypt({ ...ONE, items: items.slice(1) }, never)).toHaveLength(250)
    expect(peer.seen).toHaveLength(1)
  })
})

describe('a refusal of Transit', () => {
  const context =
    "missing 'context' for key derivation; the key was created using a derived key, which means additional, per-request information must be included in order to perform operations with the key"

  it.each([
    [context, 'context-missing'],
    ['ciphertext or signature version is disallowed by policy (too old)', 'too-old'],
    ['invalid ciphertext: version is too new', 'too-new'],
    ['cipher: message authentication failed', 'not-authentic'],
    ['invalid ciphertext: no prefix', 'no-prefix'],
    ['invalid ciphertext: wrong number of fields', 'malformed-ciphertext'],
    ['invalid ciphertext: version number could not be decoded', 'malformed-ciphertext'],
    ['invalid ciphertext: could not decode base64', 'malformed-ciphertext'],
    ['invalid ciphertext length', 'malformed-ciphertext'],
    ['missing ciphertext to decrypt', 'malformed-ciphertext'],
    ['encryption key not found', 'key-missing'],
    ['context should be set either in all the request blocks or in none', 'bad-request'],
    ['illegal base64 data at input byte 4', 'bad-request'],
    ['something "new" of canary', 'bad-request'],
    ['', 'bad-request'],
  ])('with the text %j is "%s", alone and within a batch', async (text, kind) => {
    const error = text === '' ? {} : { error: text }
    const results = [
      { plaintext: base64('canary'), reference: '0' },
      { plaintext: '', ...error, reference: '1' },
      { plaintext: base64('canary'), reference: '2' },
    ]
    await using alone = await startPeer(answering(400, { errors: [text] }))
    await using batch = await startPeer(answering(400, { request_id: 'x', data: { batch_results: results } }))
    for (const [peer, request] of [
      [alone, ONE],
      [alone, THREE],
      [batch, THREE],
    ] as const) {
      const thrown = await thrownBy(vaultAt(peer).decrypt(request, never))
      expect(thrown).toMatchObject({ kind, status: 400 })
      expectNoTraceOf(['canary', base64('canary'), 'vault-token', 'b25l'], thrown)
    }
  })

  it.each<[string, string]>([
    ['nothing', ''],
    ['a page', '<html>canary</html>'],
    ['null', 'null'],
    ['no errors', '{"errors":[]}'],
    ['errors that are none', '{"errors":"canary"}'],
    ['an error that is a number', '{"errors":[1]}'],
    ['results that are none', '{"data":{"batch_results":"canary"}}'],
    ['something else', '{"data":{"other":"canary"}}'],
  ])('that holds %s is "bad-request"', async (_what, body) => {
    await using peer = await startPeer((reply) => reply.writeHead(400).end(body))
    const error = await thrownBy(vaultAt(peer).decrypt(ONE, never))
    expect(error).toMatchObject({ kind: 'bad-request' })
    expectNoTraceOf(['canary'], error)
  })

  it('is read from its beginning only, however long', async () => {
    await using peer = await startPeer(answering(400, { errors: [`${'x'.repeat(5_000)}encryption key not found`] }))
    expect(await kindOf(vaultAt(peer).decrypt(ONE, never))).toBe('bad-request')
  })
})

const calls: [string, (vault: Vault, signal?: AbortSignal) => Promise<unknown>][] = [
  ['login', (vault, signal = never) => vault.login(LOGIN, signal)],
  ['decrypt of one', (vault, signal = never) => vault.decrypt(ONE, signal)],
  ['decrypt of three', (vault, signal = never) => vault.decrypt(THREE, signal)],
]

describe.each(calls)('%s', (_name, call) => {
  it.each([
    [201, 'garbage', {}],
    [204, 'garbage', undefined],
    [301, 'redirected', {}],
    [307, 'redirected', {}],
    [401, 'unauthorized', {}],
    [403, 'forbidden', { errors: ['permission denied'] }],
    [404, 'mount-missing', { errors: ['no handler for route "canary/login". route entry not found.'] }],
    [405, 'mount-missing', { errors: ['1 error occurred:\n\t* unsupported operation\n\n'] }],
    [408, 'unavailable', {}],
    [412, 'standby', { errors: ['required index state not present'] }],
    [413, 'too-large', { errors: ['http: request body too large'] }],
    [418, 'garbage', {}],
    [429, 'throttled', { errors: ['request path "canary": rate limit quota exceeded'] }],
    [472, 'standby', {}],
    [473, 'standby', {}],
    [500, 'unavailable', { errors: ['internal error canary'] }],
    [500, 'standby', { errors: ['local node not active but active cluster node not found'] }],
    [502, 'unavailable', '<html>canary</html>'],
    [503, 'sealed', { errors: ['Vault is sealed'] }],
    [503, 'standby', { errors: ['Vault is in standby mode'] }],
    [503, 'standby', { errors: ['node is not active'] }],
    [503, 'standby', { errors: ['no active Vault instance found'] }],
    [503, 'unavailable', { errors: ['overloaded, try again later'] }],
    [503, 'unavailable', {}],
    [503, 'unavailable', null],
    [504, 'unavailable', undefined],
  ])('is, for status %i, "%s" by %j', async (status, kind, body) => {
    await using peer = await startPeer((reply) => {
      reply.writeHead(status, { location: 'http://evil.invalid/v1/sys/health' })
      reply.end(body === undefined ? '' : JSON.stringify(body))
    })
    const error = await thrownBy(call(vaultAt(peer)))
    expect(error).toMatchObject({ kind, status })
    expectNoTraceOf(['canary', 'own-jwt', 'vault-token', 'b25l'], error)
  })

  it.each(['', '<html>canary</html>', '{"auth":{"client_token":"canary', '\0canary', '{"data":'])(
    'is "garbage" for %j under status 200',
    async (body) => {
      await using peer = await startPeer((reply) => reply.writeHead(200).end(body))
      const error = await thrownBy(call(vaultAt(peer)))
      expect(error).toMatchObject({ kind: 'garbage' })
      expectNoTraceOf(['canary', 'own-jwt', 'vault-token'], error)
    },
  )

  it('is "too-large" for an answer beyond the bound', async () => {
    await using peer = await startPeer((reply) => reply.writeHead(200).end(Buffer.alloc(5 * 1024 * 1024, 'x')))
    expect(await kindOf(call(vaultAt(peer)))).toBe('too-large')
  })

  it('is "unavailable" when nobody listens, or the peer is not to be trusted and sees nothing', async () => {
    using gone = await nobody()
    expect(await thrownBy(call(vaultAt(gone)))).toMatchObject({ kind: 'unavailable', cause: { code: 'refused' } })
    await using impostor = await startPeer(granting, createAuthority('impostor').issue())
    const vault = openVault({ send: sendingTo(impostor, createAuthority().ca) })
    expect(await thrownBy(call(vault))).toMatchObject({ kind: 'unavailable', cause: { code: 'tls' } })
    expect(impostor.seen).toHaveLength(0)
  })

  it('carries the signal of this call to the wire', async () => {
    await using peer = await startPeer(() => {})
    const leaving = new AbortController()
    const refused = kindOf(call(vaultAt(peer), leaving.signal))
    await peer.request(0)
    const [connection] = peer.connections.open
    const closed = new Promise((resolve) => connection?.on('close', resolve))
    leaving.abort(new Error('canary'))
    expect(await refused).toBe('aborted')
    await closed
  })

  it("sends neither token nor namespace of the environment, nor another's, nor to another path", async () => {
    vi.stubEnv('VAULT_TOKEN', 'canary')
    vi.stubEnv('VAULT_NAMESPACE', 'canary')
    vi.stubEnv('VAULT_PREFIX', '/canary')
    vi.stubEnv('VAULT_ADDR', 'http://canary.invalid')
    vi.stubEnv('VAULT_SKIP_VERIFY', '1')
    await using peer = await startPeer((reply, seen) =>
      (seen.path.includes('login') ? granting : decrypting)(reply, seen),
    )
    const vault = vaultAt(peer)
    await vault.decrypt({ ...ONE, token: token('first-token') }, never)
    await call(vault)
    const last = peer.seen.at(-1)
    expect(JSON.stringify(peer.seen)).not.toContain('canary')
    expect(JSON.stringify(last)).not.toContain('first-token')
    expect(last?.headers['x-vault-namespace']).toBeUndefined()
    if (last?.path.includes('login')) expect(last.headers['x-vault-token']).toBeUndefined()
    else expect(last?.headers['x-vault-token']).toBe('vault-token')
  })

  it('names its namespace', async () => {
    await using peer = await startPeer((reply, seen) =>
      (seen.path.includes('login') ? granting : decrypting)(reply, seen),
    )
    await call(vaultAt(peer, { namespace: 'team/one' }))
    expect(peer.seen[0]?.headers['x-vault-namespace']).toBe('team/one')
  })

  it('makes no more connections than the pool may, over 1,000 calls, 32 at a time', async () => {
    await using peer = await startPeer((reply, seen) =>
      (seen.path.includes('login') ? granting : decrypting)(reply, seen),
    )
    const vault = vaultAt(peer)
    let left = 1_000
    const worker = async () => {
      while (left-- > 0) await call(vault)
    }
    await Promise.all(Array.from({ length: 32 }, worker))
    expect(peer.seen).toHaveLength(1_000)
    expect(peer.connections.made).toBeLessThanOrEqual(4)
  })

  it('keeps its connections over refusals', async () => {
    await using peer = await startPeer((reply) => json(reply, peer.seen.length % 2 === 0 ? 403 : 503, { errors: [] }))
    const vault = vaultAt(peer)
    for (let at = 0; at < 200; at += 1) await call(vault).catch(() => {})
    expect(peer.connections.made).toBeLessThanOrEqual(4)
  })
})

describe('a name', () => {
  const tricks = [
    '..',
    '.',
    '',
    '../sys',
    'a/../b',
    'a//b',
    '/a',
    'a/',
    '%2e%2e',
    'a%2fb',
    'a\\b',
    'a?b',
    'a#b',
    'a b',
    'a\0',
    'a\n',
    'ä',
    '&#x2F;',
    'a&#x2F;..',
    '-a',
    'a-',
    'a..b',
  ]

  it.each(tricks)('%j is refused as a mount, without a call', async (mount) => {
    await using peer = await startPeer(granting)
    expect(await kindOf(vaultAt(peer).login({ ...LOGIN, mount }, never))).toBe('bad-request')
    expect(await kindOf(vaultAt(peer).decrypt({ ...ONE, mount }, never))).toBe('bad-request')
    expect(peer.connections.made).toBe(0)
  })

  it.each([...tricks, 'a/b', 'x'.repeat(129)])('%j is refused as a key and as a role, without a call', async (name) => {
    await using peer = await startPeer(granting)
    expect(await kindOf(vaultAt(peer).login({ ...LOGIN, role: name }, never))).toBe('bad-request')
    expect(await kindOf(vaultAt(peer).decrypt({ ...ONE, key: name }, never))).toBe('bad-request')
    expect(peer.connections.made).toBe(0)
  })
})

it('prints nothing for DEBUG=*, through either SDK', async () => {
  await using peer = await startPeer((reply, seen) => {
    const { path } = seen
    if (path.includes('tokenreviews')) {
      const status = { authenticated: true, user: { username: 'u' }, audiences: ['keyhole'] }
      return json(reply, 201, { kind: 'TokenReview', apiVersion: 'authentication.k8s.io/v1', status })
    }
    if (path.includes('/secrets/')) {
      const metadata = { name: 'db', namespace: 'payments', uid: 'uid', resourceVersion: '1' }
      return json(reply, 200, { kind: 'Secret', apiVersion: 'v1', metadata, type: 'Opaque' })
    }
    if (path.includes('login')) return granting(reply, seen)
    json(reply, 200, { data: { plaintext: base64('canary') } })
  })
  const env = { DEBUG: '*', DEBUG_COLORS: '0', DEBUG_DEPTH: '10', VAULT_TOKEN: 'canary-environment' }
  const child = await inChild(env, 'both', peer.url)
  expect(child).toEqual({ stdout: 'true uid 10 1', stderr: '' })
  expect(JSON.stringify(peer.seen)).not.toContain('canary-environment')
})
