import { afterEach, describe, expect, it, vi } from 'vitest'
import { systemClock } from '../../src/clock.ts'
import { UpstreamError } from '../../src/errors.ts'
import type { Sender } from '../../src/external/send.ts'
import { openSend } from '../../src/external/send.ts'
import { openVaultRotation } from '../../src/external/vault-rotation.ts'
import { token } from '../../src/opaque.ts'
import type { RewrapItem, TransitRotation } from '../../src/services/rotation/ports.ts'
import type { Handler, Peer, Seen } from './peer.ts'
import { json, startPeer, startRawPeer } from './peer.ts'
import { expectNoTraceOf, thrownBy } from './traces.ts'

const senders: Sender[] = []
const never = new AbortController().signal

function vaultAt(peer: Peer, options: { readonly namespace?: string } = {}): TransitRotation {
  const limits = { connections: 4, maxBodyBytes: 4 * 1024 * 1024, callTimeoutMs: 60_000, clock: systemClock }
  const sender = openSend({ ...limits, origin: peer.url })
  senders.push(sender)
  return openVaultRotation({ send: sender.send, ...options })
}

afterEach(async () => {
  vi.unstubAllEnvs()
  await Promise.all(senders.splice(0).map((sender) => sender.close()))
})

const KEY = { token: token('vault-token'), mount: 'transit', key: 'payments' }
const ITEMS: readonly RewrapItem[] = ['one', 'two', 'three'].map((text) => ({
  ciphertext: `vault:v1:${base64(text)}`,
  context: base64(`place of ${text}`),
}))

function base64(text: string): string {
  return Buffer.from(text).toString('base64')
}

const answering =
  (status: number, body: unknown): Handler =>
  (reply) =>
    json(reply, status, body)

/** As Vault 1.21 tells of a key. */
function told(data: object = {}): object {
  return {
    request_id: 'x',
    lease_id: '',
    renewable: false,
    lease_duration: 0,
    data: {
      name: 'payments',
      type: 'aes256-gcm96',
      derived: true,
      latest_version: 3,
      min_decryption_version: 2,
      min_encryption_version: 0,
      min_available_version: 0,
      keys: { 2: 1_795_571_709, 3: 1_795_571_774 },
      ...data,
    },
    warnings: null,
    auth: null,
    mount_type: 'transit',
  }
}

/** Answers with the key, its minimum being what was asked for, and re-wraps by naming version 3. */
const obeying: Handler = (reply, { body, path }: Seen) => {
  const sent = body === '' ? {} : JSON.parse(body)
  if (sent.batch_input === undefined) return json(reply, 200, told({ ...sent, keys: { 3: 1_795_571_774 } }))
  expect(path).toContain('/rewrap/')
  const results = sent.batch_input.map(({ ciphertext, reference }: RewrapItem & { reference: string }) => ({
    ciphertext: ciphertext.replace('vault:v1:', 'vault:v3:'),
    key_version: 3,
    reference,
  }))
  json(reply, 200, { data: { batch_results: results } })
}

type Act = (vault: TransitRotation, key?: Partial<typeof KEY>, signal?: AbortSignal) => Promise<unknown>

const CALLS: readonly [string, string, string, Act][] = [
  [
    'readKey',
    'GET',
    '/v1/transit/keys/payments',
    (vault, key, signal = never) => vault.readKey({ ...KEY, ...key }, signal),
  ],
  [
    'rotateKey',
    'POST',
    '/v1/transit/keys/payments/rotate',
    (vault, key, signal = never) => vault.rotateKey({ ...KEY, ...key }, signal),
  ],
  [
    'setMinDecryptionVersion',
    'POST',
    '/v1/transit/keys/payments/config',
    (vault, key, signal = never) => vault.setMinDecryptionVersion({ ...KEY, version: 2, ...key }, signal),
  ],
  [
    'rewrap',
    'POST',
    '/v1/transit/rewrap/payments',
    (vault, key, signal = never) => vault.rewrap({ ...KEY, items: ITEMS, ...key }, signal),
  ],
]

describe('readKey', () => {
  it('tells the versions of a key, and when each was made, in milliseconds', async () => {
    await using peer = await startPeer(answering(200, told()))
    expect(await vaultAt(peer).readKey(KEY, never)).toEqual({
      derived: true,
      latestVersion: 3,
      minDecryptionVersion: 2,
      createdAtMs: new Map([
        [2, 1_795_571_709_000],
        [3, 1_795_571_774_000],
      ]),
    })
    expect(peer.seen[0]).toMatchObject({ method: 'GET', body: '' })
    expect(peer.seen[0]?.headers['content-type']).toBeUndefined()
  })

  it('reads the times of a key with a public part', async () => {
    const keys = { 3: { name: 'rsa-2048', creation_time: '2026-11-25T01:46:16.123456789Z', public_key: 'x' } }
    await using peer = await startPeer(answering(200, told({ keys })))
    expect((await vaultAt(peer).readKey(KEY, never)).createdAtMs.get(3)).toBe(Date.UTC(2026, 10, 25, 1, 46, 16, 123))
  })

  it.each<[string, string, unknown]>([
    ['a key that is not there', 'key-missing', { errors: [] }],
    [
      'a mount that is not there',
      'mount-missing',
      { errors: ['no handler for route "canary". route entry not found.'] },
    ],
    ['another engine', 'mount-missing', { errors: ['1 error occurred:\n\t* unsupported path\n\n'] }],
    ['a versioned key-value store', 'mount-missing', { data: null, warnings: ['Invalid path for a versioned canary'] }],
    ['a proxy', 'mount-missing', '<html>canary</html>'],
    ['errors that are none', 'mount-missing', { errors: {} }],
    ['nothing', 'mount-missing', ''],
  ])('tells a 404 of %s: %s', async (_what, kind, body) => {
    await using peer = await startPeer((reply) => {
      reply.writeHead(404).end(typeof body === 'string' ? body : JSON.stringify(body))
    })
    const error = await thrownBy(vaultAt(peer).readKey(KEY, never))
    expect(error).toMatchObject({ kind, status: 404 })
    expectNoTraceOf(['canary', 'vault-token'], error)
  })

  it.each<[string, object]>([
    ['no word on derivation', { derived: undefined }],
    ['a word for derivation', { derived: 'true' }],
    ['no latest version', { latest_version: undefined }],
    ['a latest version of zero', { latest_version: 0 }],
    ['a latest version below zero', { latest_version: -1 }],
    ['half a latest version', { latest_version: 2.5 }],
    ['a latest version in quotes', { latest_version: '3' }],
    ['a latest version beyond all counting', { latest_version: 2 ** 53 }],
    ['no minimum', { min_decryption_version: undefined }],
    ['a minimum of zero', { min_decryption_version: 0 }],
    ['null for a minimum', { min_decryption_version: null }],
    ['a minimum beyond the latest version', { min_decryption_version: 4 }],
    ['no times', { keys: undefined }],
    ['null for times', { keys: null }],
    ['a list of times', { keys: [1, 2, 3, 1_795_571_774] }],
    ['no time of the latest version', { keys: { 2: 1_795_571_709 } }],
    ['a time of a version to come', { keys: { 3: 1_795_571_774, 4: 1_795_571_775 } }],
    ['a time of version zero', { keys: { 0: 1, 3: 1_795_571_774 } }],
    ['a time of version 03', { keys: { '03': 1, 3: 1_795_571_774 } }],
    ['a time of a name', { keys: { constructor: 1, 3: 1_795_571_774 } }],
    ['a time in quotes', { keys: { 3: '1795571774' } }],
    ['a time of zero', { keys: { 3: 0 } }],
    ['a time before all others', { keys: { 3: -1 } }],
    ['a time beyond all counting', { keys: { 3: 1e300 } }],
    ['null for a time', { keys: { 3: null } }],
    ['an object without a time', { keys: { 3: {} } }],
    ['an object with a word for a time', { keys: { 3: { creation_time: 'canary' } } }],
  ])('is "garbage" for %s', async (_what, data) => {
    await using peer = await startPeer(answering(200, told(data)))
    const error = await thrownBy(vaultAt(peer).readKey(KEY, never))
    expect(error).toMatchObject({ kind: 'garbage', status: 200 })
    expectNoTraceOf(['canary', 'vault-token'], error)
  })

  it('takes no version for a prototype', async () => {
    const body = JSON.stringify(told()).replace('"keys":{', '"keys":{"__proto__":{"creation_time":1},')
    await using peer = await startPeer((reply) => reply.writeHead(200).end(body))
    expect(await kindOf(vaultAt(peer).readKey(KEY, never))).toBe('garbage')
  })

  it('stays an error of its own for 200,000 versions', async () => {
    const keys = Object.fromEntries(Array.from({ length: 200_000 }, (_, at) => [at + 4, 1]))
    await using peer = await startPeer(answering(200, told({ keys: { ...keys, 3: 1 } })))
    expect(await kindOf(vaultAt(peer).readKey(KEY, never))).toBe('garbage')
  })
})

describe('rotateKey', () => {
  it('posts an empty object, once', async () => {
    await using peer = await startPeer(obeying)
    expect(await vaultAt(peer).rotateKey(KEY, never)).toBeUndefined()
    expect(peer.seen.map(({ body }) => body)).toEqual(['{}'])
  })

  it.each([
    ['key not found', 'key-missing'],
    ['something new', 'bad-request'],
  ])('is, for %j, "%s"', async (text, kind) => {
    await using peer = await startPeer(answering(400, { errors: [text] }))
    expect(await thrownBy(vaultAt(peer).rotateKey(KEY, never))).toMatchObject({ kind, status: 400 })
    expect(peer.seen).toHaveLength(1)
  })

  it('does not take a page for a rotation', async () => {
    await using peer = await startPeer((reply) => reply.writeHead(200).end('<html>canary</html>'))
    expect(await kindOf(vaultAt(peer).rotateKey(KEY, never))).toBe('garbage')
  })
})

describe('setMinDecryptionVersion', () => {
  it('posts this parameter and no other', async () => {
    await using peer = await startPeer(obeying)
    const request = Object.assign({ ...KEY, version: 2 }, { exportable: true })
    expect(await vaultAt(peer).setMinDecryptionVersion(request, never)).toBeUndefined()
    expect(peer.seen.map(({ body }) => JSON.parse(body))).toEqual([{ min_decryption_version: 2 }])
  })

  it.each([0, -1, 1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])(
    'asks nothing for version %d',
    async (version) => {
      await using peer = await startPeer(obeying)
      expect(await kindOf(vaultAt(peer).setMinDecryptionVersion({ ...KEY, version }, never))).toBe('bad-request')
      expect(peer.connections.made).toBe(0)
    },
  )

  it('is "garbage" where the key is told to have another minimum', async () => {
    await using peer = await startPeer(answering(200, told({ min_decryption_version: 1 })))
    expect(await kindOf(vaultAt(peer).setMinDecryptionVersion({ ...KEY, version: 2 }, never))).toBe('garbage')
  })

  it.each([
    ['cannot set min decryption version of 2, latest key version is 1', 'bad-request'],
    ['no existing key named payments could be found', 'key-missing'],
  ])('is, for %j, "%s"', async (text, kind) => {
    await using peer = await startPeer(answering(400, { errors: [text] }))
    expect(await thrownBy(vaultAt(peer).setMinDecryptionVersion({ ...KEY, version: 2 }, never))).toMatchObject({ kind })
  })
})

describe('rewrap', () => {
  it('asks for all items in one batch, and keeps their order', async () => {
    await using peer = await startPeer(obeying)
    expect(await vaultAt(peer).rewrap({ ...KEY, items: ITEMS }, never)).toEqual(
      ITEMS.map(({ ciphertext }) => ({ ciphertext: ciphertext.replace('v1', 'v3'), keyVersion: 3 })),
    )
    expect(peer.seen.map(({ body }) => JSON.parse(body))).toEqual([
      { batch_input: ITEMS.map((item, index) => ({ ...item, reference: String(index) })) },
    ])
  })

  it('asks for one item in a batch, too, without a context where there is none, and no other field', async () => {
    await using peer = await startPeer(obeying)
    const item = Object.assign({ ciphertext: 'vault:v1:b25l' }, { key_version: 1, nonce: 'x' })
    await vaultAt(peer).rewrap({ ...KEY, items: [item] }, never)
    expect(JSON.parse(peer.seen[0]?.body ?? '')).toEqual({
      batch_input: [{ ciphertext: 'vault:v1:b25l', reference: '0' }],
    })
  })

  it('asks nothing for no items, nor for more than 250', async () => {
    await using peer = await startPeer(obeying)
    const items = Array.from({ length: 251 }, () => ({ ciphertext: 'vault:v1:b25l' }))
    expect(await vaultAt(peer).rewrap({ ...KEY, items: [] }, never)).toEqual([])
    expect(await kindOf(vaultAt(peer).rewrap({ ...KEY, items }, never))).toBe('bad-request')
    expect(peer.connections.made).toBe(0)
    expect(await vaultAt(peer).rewrap({ ...KEY, items: items.slice(1) }, never)).toHaveLength(250)
  })

  const good = (reference: string) => ({ ciphertext: 'vault:v3:b25l', key_version: 3, reference })

  it.each([
    ["missing 'context' for key derivation; the key was created using a derived key", 'context-missing'],
    ['cipher: message authentication failed', 'not-authentic'],
    ['ciphertext or signature version is disallowed by policy (too old)', 'too-old'],
    ['invalid ciphertext: version is too new', 'too-new'],
    ['invalid ciphertext: no prefix', 'no-prefix'],
    ['invalid ciphertext length', 'malformed-ciphertext'],
    ['missing ciphertext to decrypt', 'malformed-ciphertext'],
    ['illegal base64 data at input byte 0', 'bad-request'],
    ['canary', 'bad-request'],
  ])('says of the item with the error %j that it is "%s", and re-wraps the others', async (error, refused) => {
    const results = [good('0'), { error, reference: '1' }, good('2')]
    await using peer = await startPeer(answering(200, { data: { batch_results: results } }))
    const wrapped = { ciphertext: 'vault:v3:b25l', keyVersion: 3 }
    expect(await vaultAt(peer).rewrap({ ...KEY, items: ITEMS }, never)).toEqual([wrapped, { refused }, wrapped])
  })

  it.each<[string, unknown]>([
    ['one outcome too few', [good('0'), good('1')]],
    ['one too many', [good('0'), good('1'), good('2'), good('3')]],
    ['none', []],
    ['another order', [good('1'), good('0'), good('2')]],
    ['one twice', [good('0'), good('0'), good('2')]],
    ['a reference that is a number', [good('0'), { ...good('1'), reference: 1 }, good('2')]],
    ['no references', ITEMS.map(() => ({ ciphertext: 'vault:v3:b25l', key_version: 3 }))],
    ['an outcome that is null', [good('0'), null, good('2')]],
    ['an outcome that is a string', [good('0'), 'vault:v3:b25l', good('2')]],
    ['an outcome that is a list', [good('0'), [], good('2')]],
    ['neither ciphertext nor error', [good('0'), { reference: '1' }, good('2')]],
    ['an error that is an object', [good('0'), { error: { text: 'canary' }, reference: '1' }, good('2')]],
    ['an error in another order', [good('0'), { error: 'canary', reference: '2' }, good('2')]],
    ['null for an error', [good('0'), { ...good('1'), error: null }, good('2')]],
    ['an object of outcomes', { 0: good('0'), 1: good('1'), 2: good('2') }],
    ['null', null],
    ['nothing', undefined],
  ])('is "garbage" as a whole for %s', async (_what, results) => {
    await using peer = await startPeer(answering(200, { data: { batch_results: results } }))
    const error = await thrownBy(vaultAt(peer).rewrap({ ...KEY, items: ITEMS }, never))
    expect(error).toMatchObject({ kind: 'garbage', status: 200 })
    expectNoTraceOf(['canary', 'vault-token', base64('one')], error)
  })

  it.each<[string, object]>([
    ['is empty', { ciphertext: '' }],
    ['is a number', { ciphertext: 5 }],
    ['is the plaintext', { ciphertext: base64('one') }],
    ['has no prefix', { ciphertext: 'v3:b25l' }],
    ['has a version of zero', { ciphertext: 'vault:v0:b25l', key_version: 0 }],
    ['has a version with a zero before', { ciphertext: 'vault:v03:b25l' }],
    ['has no version', { ciphertext: 'vault:v:b25l' }],
    ['has a version beyond all counting', { ciphertext: 'vault:v12345678901:b25l', key_version: 12_345_678_901 }],
    ['has no body', { ciphertext: 'vault:v3:' }],
    ['has a body that is cut short', { ciphertext: 'vault:v3:b25lb' }],
    ['has a body in base64url', { ciphertext: 'vault:v3:b25_-w==' }],
    ['has three paddings', { ciphertext: 'vault:v3:b===' }],
    ['has a line behind', { ciphertext: 'vault:v3:b25l\n' }],
    ['has a line before', { ciphertext: '\nvault:v3:b25l' }],
    ['has another version than it is said to have', { key_version: 2 }],
    ['has a version that is not told', { key_version: undefined }],
    ['has a version told in quotes', { key_version: '3' }],
  ])('is "garbage" as a whole where a new ciphertext %s', async (_what, flaw) => {
    const results = [good('0'), { ...good('1'), ...flaw }, good('2')]
    await using peer = await startPeer(answering(200, { data: { batch_results: results } }))
    expect(await kindOf(vaultAt(peer).rewrap({ ...KEY, items: ITEMS }, never))).toBe('garbage')
  })

  it('takes a ciphertext of a megabyte', async () => {
    const ciphertext = `vault:v3:${'A'.repeat(1024 * 1024)}`
    await using peer = await startPeer(
      answering(200, { data: { batch_results: [{ ciphertext, key_version: 3, reference: '0' }] } }),
    )
    const items = [{ ciphertext: 'vault:v1:b25l' }]
    expect(await vaultAt(peer).rewrap({ ...KEY, items }, never)).toEqual([{ ciphertext, keyVersion: 3 }])
  })

  it.each([
    ['encryption key not found', 'key-missing'],
    ['context should be set either in all the request blocks or in none', 'bad-request'],
    ['missing batch input to process', 'bad-request'],
  ])('is, for a batch refused with %j, "%s"', async (text, kind) => {
    await using peer = await startPeer(answering(400, { errors: [text] }))
    expect(await thrownBy(vaultAt(peer).rewrap({ ...KEY, items: ITEMS }, never))).toMatchObject({ kind, status: 400 })
  })

  it.each<[number, string]>([
    [413, 'http: request body too large'],
    [413, ''],
    [500, 'JSON string value exceeds allowed length'],
    [500, 'JSON array exceeds allowed element count'],
    [500, 'JSON payload exceeds allowed token count'],
  ])('is "too-large" for status %i and %j', async (status, text) => {
    await using peer = await startPeer(answering(status, { errors: [text] }))
    expect(await thrownBy(vaultAt(peer).rewrap({ ...KEY, items: ITEMS }, never))).toMatchObject({
      kind: 'too-large',
      status,
    })
  })
})

describe.each(CALLS)('%s', (_name, method, path, call) => {
  it('goes to one path, with the token in its header', async () => {
    await using peer = await startPeer(obeying)
    await call(vaultAt(peer, { namespace: 'team/one' }))
    expect(peer.seen).toMatchObject([{ method, path }])
    expect(peer.seen[0]?.headers).toMatchObject({
      'x-vault-token': 'vault-token',
      'x-vault-namespace': 'team/one',
      'x-vault-request': 'true',
    })
    await call(vaultAt(peer), { mount: 'team/transit' })
    expect(peer.seen[1]?.path).toBe(path.replace('transit', 'team/transit'))
  })

  it.each<[number, string, unknown]>([
    [201, 'garbage', told()],
    [204, 'garbage', undefined],
    [307, 'redirected', {}],
    [400, 'bad-request', '<html>canary</html>'],
    [401, 'unauthorized', {}],
    [403, 'forbidden', { errors: ['1 error occurred:\n\t* permission denied\n\n'] }],
    [404, 'mount-missing', { errors: ['no handler for route "canary". route entry not found.'] }],
    [405, 'mount-missing', { errors: ['1 error occurred:\n\t* unsupported operation\n\n'] }],
    [412, 'standby', { errors: ['required index state not present'] }],
    [413, 'too-large', '<html>canary</html>'],
    [418, 'garbage', {}],
    [429, 'throttled', { errors: ['request path "canary": rate limit quota exceeded'] }],
    [472, 'standby', {}],
    [473, 'standby', {}],
    [500, 'unavailable', { errors: ['internal error canary'] }],
    [500, 'standby', { errors: ['local node not active but active cluster node not found'] }],
    [502, 'unavailable', '<html>canary</html>'],
    [503, 'sealed', { errors: ['Vault is sealed'] }],
    [503, 'standby', { errors: ['Vault is in standby mode'] }],
    [503, 'unavailable', {}],
    [504, 'unavailable', undefined],
  ])('is, for status %i, "%s", and asks once', async (status, kind, body) => {
    await using peer = await startPeer((reply) => {
      reply.writeHead(status, { location: 'http://evil.invalid/v1/sys/health' })
      reply.end(typeof body === 'string' ? body : body === undefined ? '' : JSON.stringify(body))
    })
    const error = await thrownBy(call(vaultAt(peer)))
    expect(error).toBeInstanceOf(UpstreamError)
    expect(error).toMatchObject({ kind, status, upstream: 'vault' })
    expectNoTraceOf(['canary', 'vault-token', 'b25l', base64('one')], error)
    expect(peer.seen).toHaveLength(1)
  })

  it.each([
    '',
    '<html>canary</html>',
    'null',
    '[]',
    '"canary"',
    '{}',
    '{"data":null}',
    '{"data":[]}',
    '{"data":"canary"}',
    '{"data":{}}',
    '{"data":{"latest_version":3,"min_decr',
    '\0canary',
    '['.repeat(100_000),
  ])('is "garbage" for %j under status 200', async (body) => {
    await using peer = await startPeer((reply) => reply.writeHead(200).end(body))
    const error = await thrownBy(call(vaultAt(peer)))
    expect(error).toMatchObject({ kind: 'garbage' })
    expectNoTraceOf(['canary', 'vault-token'], error)
  })

  it('is "unavailable" for an answer that is cut', async () => {
    await using peer = await startRawPeer((socket) => {
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{"data":{"canary":')
    })
    const error = await thrownBy(call(vaultAt(peer)))
    expect(error).toMatchObject({ kind: 'unavailable', cause: { code: 'reset' } })
    expectNoTraceOf(['canary'], error)
  })

  it('is "too-large" for an answer of 64 MiB', async () => {
    await using peer = await startPeer((reply) => reply.writeHead(200).end(Buffer.alloc(64 * 1024 * 1024, 'x')))
    expect(await kindOf(call(vaultAt(peer)))).toBe('too-large')
  })

  it('carries the signal of this call to the wire', async () => {
    await using peer = await startPeer(() => {})
    const leaving = new AbortController()
    const refused = kindOf(call(vaultAt(peer), {}, leaving.signal))
    await peer.request(0)
    leaving.abort(new Error('canary'))
    expect(await refused).toBe('aborted')
  })

  it('takes neither token nor namespace from the environment, nor from another call', async () => {
    vi.stubEnv('VAULT_TOKEN', 'canary')
    vi.stubEnv('VAULT_NAMESPACE', 'canary')
    vi.stubEnv('VAULT_PREFIX', '/canary')
    await using peer = await startPeer(obeying)
    const vault = vaultAt(peer)
    await call(vault, { token: token('first-token') })
    await call(vault)
    expect(JSON.stringify(peer.seen)).not.toContain('canary')
    expect(peer.seen[1]?.headers['x-vault-token']).toBe('vault-token')
    expect(JSON.stringify(peer.seen[1])).not.toContain('first-token')
  })

  const tricks = ['..', '.', '', '../sys', 'a/../b', 'a//b', '/a', 'a/', '%2e%2e', 'a%2fb', 'a\\b', 'a?b', 'a#b']

  it.each([...tricks, 'a b', 'a\0', 'a\n', 'ä', 'a&#x2F;..', '-a'])(
    'takes %j neither for a mount nor for a key',
    async (name) => {
      await using peer = await startPeer(obeying)
      expect(await kindOf(call(vaultAt(peer), { mount: name }))).toBe('bad-request')
      expect(await kindOf(call(vaultAt(peer), { key: name }))).toBe('bad-request')
      expect(peer.connections.made).toBe(0)
    },
  )

  it.each(['payments/rotate', 'x'.repeat(300)])('takes %j for no key', async (key) => {
    await using peer = await startPeer(obeying)
    expect(await kindOf(call(vaultAt(peer), { key }))).toBe('bad-request')
    expect(peer.connections.made).toBe(0)
  })
})

it('wipes every answer', async () => {
  const bodies: Buffer[] = []
  await using peer = await startPeer(obeying)
  const limits = { connections: 4, maxBodyBytes: 1024 * 1024, callTimeoutMs: 60_000, clock: systemClock }
  const sender = openSend({ ...limits, origin: peer.url })
  senders.push(sender)
  const vault = openVaultRotation({
    send: async (request, signal) => {
      const answer = await sender.send(request, signal)
      bodies.push(answer.body)
      return answer
    },
  })
  for (const [, , , call] of CALLS) await call(vault)
  expect(bodies).toHaveLength(CALLS.length)
  for (const body of bodies) expect(body.every((byte) => byte === 0)).toBe(true)
})

async function kindOf(act: Promise<unknown>): Promise<string> {
  const error = await thrownBy(act)
  expect(error).toBeInstanceOf(UpstreamError)
  return (error as UpstreamError).kind
}
