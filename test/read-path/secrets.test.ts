/** What can be wrong with a Secret, with the ciphertext in it, and with the API server's answer about it. */
import { describe, expect, test } from 'vitest'
import type { Fault } from '../../src/standins/faults.ts'
import { changeJson, cut, garbage, html, huge, redirect, silence, stall, status } from '../../src/standins/faults.ts'
import { KEYHOLE, SAMPLE_REALM } from '../../src/testing/sample.ts'
import {
  announcing,
  DECRYPT,
  elsewhere,
  encoded,
  hold,
  kubernetesStatus,
  MARKER,
  padded,
  SECRET,
  vaultErrors,
  wire,
} from './faults.ts'
import type { Making, Refusal, World } from './world.ts'
import { DICTIONARY, POLICY, startWorld } from './world.ts'

const SECRET_MISSING: Refusal = { status: 404, code: 'SECRET_MISSING' }
const REJECTED: Refusal = { status: 422, code: 'CIPHERTEXT_REJECTED' }
const UNREADABLE: Refusal = { status: 422, code: 'SECRET_UNREADABLE' }
const KUBERNETES_AWAY: Refusal = { status: 503, code: 'KUBERNETES_UNAVAILABLE', retryAfter: 2 }

/** Where `db` rests. */
const HERE: Making = {
  plaintext: DICTIONARY,
  realm: SAMPLE_REALM,
  namespace: 'payments',
  secret: 'payments-db',
  dataKey: 'secrets.json',
  transitKey: 'payments',
}

const gets = ({ kubernetes }: World): number => kubernetes.requests.count('GET', SECRET)
const decrypts = ({ vault }: World): number => vault.requests.count('POST', DECRYPT)

/** Counts from here on. */
function countAnew({ kubernetes, vault }: World): void {
  kubernetes.requests.clear()
  vault.requests.clear()
}

/** The Secret holds this, as it is. */
const stored =
  (text: string) =>
  ({ upstream }: World): void =>
    upstream.putRaw('payments-db', { 'secrets.json': text })

/** The Secret holds a ciphertext that was made for somewhere else. */
const madeFor =
  (other: Partial<Making>) =>
  ({ upstream }: World): void =>
    upstream.putRaw('payments-db', { 'secrets.json': upstream.seal({ ...HERE, ...other }) })

/** The Secret holds its ciphertext, spoiled. */
const spoiled =
  (spoil: (ciphertext: string) => string) =>
  ({ upstream }: World): void =>
    upstream.putRaw('payments-db', { 'secrets.json': spoil(upstream.seal(HERE)) })

function flip(text: string, at: number): string {
  const index = at < 0 ? text.length + at : at
  return `${text.slice(0, index)}${text[index] === 'A' ? 'B' : 'A'}${text.slice(index + 1)}`
}

const PREFIX = 'vault:v1:'.length

test.each<readonly [string, (world: World) => void, Refusal, decryptions: number]>([
  [
    'is missing',
    ({ kubernetes }) => kubernetes.deleteSecret({ namespace: 'payments', name: 'payments-db' }),
    { ...SECRET_MISSING, why: 'no-such-secret' },
    0,
  ],
  [
    'lacks its data key',
    ({ upstream }) => upstream.putRaw('payments-db', { other: 'x' }),
    { ...SECRET_MISSING, why: 'no-such-data-key' },
    0,
  ],
  [
    'has no data',
    ({ upstream }) => upstream.putRaw('payments-db', {}),
    { ...SECRET_MISSING, why: 'no-such-data-key' },
    0,
  ],
  ['is empty', stored(''), { ...REJECTED, why: 'empty' }, 0],
  ['holds its values in the clear', stored(DICTIONARY), { ...REJECTED, why: 'not-transit-ciphertext' }, 0],
  ['holds the prefix and nothing else', stored('vault:v1:'), REJECTED, 0],
  ['holds version 0', stored('vault:v0:AAAA'), REJECTED, 0],
  ['holds a version that is none', stored('vault:vN:AAAA'), REJECTED, 0],
  ['holds a version beyond all counting', stored('vault:v99999999999:AAAA'), REJECTED, 0],
  ['holds a version with a sign', stored('vault:v+1:AAAA'), REJECTED, 0],
  ['holds what is no base64 behind the prefix', stored('vault:v1:%%%%'), REJECTED, 0],
  ['holds a ciphertext and a line end, as echo leaves one', spoiled((text) => `${text}\n`), REJECTED, 0],
  ['holds a ciphertext after a blank', spoiled((text) => ` ${text}`), REJECTED, 0],
  ['holds two ciphertexts', spoiled((text) => `${text}${text}`), REJECTED, 0],
  ['holds a byte order mark before its ciphertext', spoiled((text) => `\u{feff}${text}`), REJECTED, 0],
  [
    'holds ciphertext of another Secret',
    madeFor({ secret: 'payments-other' }),
    { ...REJECTED, why: 'vault-not-authentic' },
    1,
  ],
  ['holds ciphertext of another data key', madeFor({ dataKey: 'old.json' }), REJECTED, 1],
  ['holds ciphertext of another namespace', madeFor({ namespace: 'bi' }), REJECTED, 1],
  ['holds ciphertext of another realm', madeFor({ realm: 'other-cluster' }), REJECTED, 1],
  ['holds ciphertext of another Transit key', madeFor({ transitKey: 'spare' }), REJECTED, 1],
  ['holds ciphertext with its nonce altered', spoiled((text) => flip(text, PREFIX)), REJECTED, 1],
  ['holds ciphertext with its middle altered', spoiled((text) => flip(text, 60)), REJECTED, 1],
  ['holds ciphertext with its tag altered', spoiled((text) => flip(text, -6)), REJECTED, 1],
  ['holds ciphertext cut short', spoiled((text) => text.slice(0, PREFIX + 40)), REJECTED, 1],
  ['holds ciphertext of three bytes', stored('vault:v1:AAAA'), REJECTED, 1],
])('a Secret that %s is refused, and read once it is mended', async (_title, ruin, refusal, decryptions) => {
  await using world = await startWorld()
  ruin(world)
  countAnew(world)
  world.refused(await world.ask('/secrets/db'), refusal)
  expect([gets(world), decrypts(world)]).toEqual([1, decryptions])
  await world.bystander()
  world.upstream.put('payments-db', 'secrets.json', DICTIONARY)
  world.served(await world.ask('/secrets/db'))
})

test.each<readonly [string, unknown]>([
  ['no base64', '%%% not base64 %%%'],
  ['base64url', 'dmF1bHQ6djE6_w=='],
  ['base64 without its padding', 'dmF1bHQ6djE6QUFBQQ'],
  ['base64 with bits to spare', 'dmF1bHQ6djE6QUFBQR=='],
  ['base64 on two lines', 'dmF1bHQ6\ndjE6QUFBQQ=='],
])('a data key whose value is %s is refused before Vault is asked', async (_title, value) => {
  await using world = await startWorld()
  world.kubernetes.faults.inject(
    { path: SECRET },
    changeJson((body) => ({ ...body, data: { 'secrets.json': value } })),
  )
  countAnew(world)
  world.refused(await world.ask('/secrets/db'), { ...REJECTED, why: 'not-base64' })
  expect(decrypts(world)).toBe(0)
})

describe('too old', () => {
  /** Raises the least version that the key opens, as the end of a rotation does. */
  function retire({ vault }: World): void {
    vault.transit().configureKey('payments', { minDecryptionVersion: vault.transit().rotateKey('payments') })
  }

  /** Something happens between keyhole's read of the Secret and Vault's look at the ciphertext. */
  function beforeDecrypt({ vault }: World, happens: readonly (() => void)[]): void {
    const left = [...happens]
    vault.faults.inject({ path: DECRYPT }, (_request, next) => {
      left.shift()?.()
      return next()
    })
  }

  const rewrap = ({ upstream }: World): void => void upstream.put('payments-db', 'secrets.json', DICTIONARY)

  test('and the same when read again: refused after two reads and one decryption', async () => {
    await using world = await startWorld()
    retire(world)
    countAnew(world)
    world.refused(await world.ask('/secrets/db'), { ...REJECTED, why: 'vault-too-old' })
    expect([gets(world), decrypts(world)]).toEqual([2, 1])
    await world.bystander()
    rewrap(world)
    world.served(await world.ask('/secrets/db'))
  })

  test('because it was re-wrapped between the two reads: served, with the tag and version of what was opened', async () => {
    await using world = await startWorld()
    beforeDecrypt(world, [
      () => {
        retire(world)
        rewrap(world)
      },
    ])
    countAnew(world)
    const reply = await world.ask('/secrets/db')
    world.served(reply)
    expect([gets(world), decrypts(world)]).toEqual([2, 2])
    const again = await world.ask('/secrets/db', { headers: { 'if-none-match': reply.headers['etag'] ?? '' } })
    expect(again.status).toBe(304)
    expect(world.records().at(-2)?.['transitKey']).toEqual({ mount: 'transit', name: 'payments', versions: [2] })
  })

  test('twice, though it was re-wrapped meanwhile: refused, and not tried for ever', async () => {
    await using world = await startWorld()
    const rotate = () => {
      retire(world)
      rewrap(world)
    }
    beforeDecrypt(world, [rotate, () => retire(world), rotate, rotate])
    countAnew(world)
    world.refused(await world.ask('/secrets/db'), { ...REJECTED, why: 'vault-too-old' })
    expect([gets(world), decrypts(world)]).toEqual([2, 2])
  })

  test.each<readonly [string, (world: World) => void, Refusal]>([
    [
      'deleted',
      ({ kubernetes }) => kubernetes.deleteSecret({ namespace: 'payments', name: 'payments-db' }),
      SECRET_MISSING,
    ],
    ['emptied', stored(''), REJECTED],
    [
      'closed to keyhole',
      ({ kubernetes }) => kubernetes.faults.inject({ path: SECRET }, kubernetesStatus(403)),
      UNREADABLE,
    ],
    ['out of reach', ({ kubernetes }) => kubernetes.faults.inject({ path: SECRET }, cut('reset')), KUBERNETES_AWAY],
    ['moved here from elsewhere', (world) => madeFor({ secret: 'payments-other' })(world), REJECTED],
  ])('and %s before the second read: refused for that', async (_title, happens, refusal) => {
    await using world = await startWorld()
    beforeDecrypt(world, [
      () => {
        retire(world)
        happens(world)
      },
    ])
    world.refused(await world.ask('/secrets/db'), refusal)
    await world.bystander()
  })

  test('of one file among good ones: nothing of the good ones leaves', async () => {
    await using world = await startWorld()
    const place = { ...HERE, secret: 'payments-tls' }
    const old = world.upstream.seal({ ...place, dataKey: 'tls.key', plaintext: 'canary old key' })
    retire(world)
    const crt = world.upstream.seal({ ...place, dataKey: 'tls.crt', plaintext: 'canary certificate 40ab\n' })
    world.upstream.putRaw('payments-tls', { 'tls.crt': crt, 'tls.key': old })
    world.refused(await world.ask('/secrets/tls'), { ...REJECTED, why: 'vault-too-old' })
    const alone = await world.ask('/secrets/tls?key=tls.crt')
    expect(alone.status).toBe(200)
  })
})

describe('too new', () => {
  test('once, from a standby that lags: asked again and served', async () => {
    await using world = await startWorld()
    const lagging = vaultErrors(400, 'invalid ciphertext: version is too new')
    world.vault.faults.inject({ path: DECRYPT, calls: [1] }, lagging)
    countAnew(world)
    world.served(await world.ask('/secrets/db'))
    expect([gets(world), decrypts(world)]).toEqual([1, 2])
  })

  test('twice, from a Vault restored from a backup or in a forged Secret: no outage of ours, and no third call', async () => {
    await using world = await startWorld()
    stored('vault:v7:AAAA')(world)
    countAnew(world)
    world.refused(await world.ask('/secrets/db'), { ...REJECTED, why: 'vault-too-new' })
    expect([gets(world), decrypts(world)]).toEqual([1, 2])
    await world.bystander()
  })
})

describe('files', () => {
  const place = { ...HERE, secret: 'payments-tls' }
  const CRT = 'canary certificate 40ab\n'
  const KEY = 'canary private key 9e21\n'

  test.each<readonly [string, (world: World) => { crt: string; key: string }]>([
    [
      'tampered with',
      ({ upstream: { seal } }) => ({
        crt: seal({ ...place, dataKey: 'tls.crt', plaintext: CRT }),
        key: flip(seal({ ...place, dataKey: 'tls.key', plaintext: KEY }), 30),
      }),
    ],
    [
      'swapped with its neighbour',
      ({ upstream: { seal } }) => ({
        crt: seal({ ...place, dataKey: 'tls.key', plaintext: KEY }),
        key: seal({ ...place, dataKey: 'tls.crt', plaintext: CRT }),
      }),
    ],
    [
      'not ciphertext',
      ({ upstream: { seal } }) => ({ crt: seal({ ...place, dataKey: 'tls.crt', plaintext: CRT }), key: KEY }),
    ],
    ['empty', ({ upstream: { seal } }) => ({ crt: seal({ ...place, dataKey: 'tls.crt', plaintext: CRT }), key: '' })],
  ])('of which one is %s are refused together', async (_title, make) => {
    await using world = await startWorld()
    const { crt, key } = make(world)
    world.upstream.putRaw('payments-tls', { 'tls.crt': crt, 'tls.key': key })
    world.refused(await world.ask('/secrets/tls'), REJECTED)
    await world.bystander()
  })

  test('that the Secret has beside the granted ones cost nothing: what is wrong with them is not looked at', async () => {
    await using world = await startWorld()
    const crt = world.upstream.seal({ ...place, dataKey: 'tls.crt', plaintext: CRT })
    world.upstream.putRaw('payments-tls', { 'tls.crt': crt, 'ca.key': 'rubbish', constructor: 'rubbish' })
    const reply = await world.ask('/secrets/tls')
    expect(reply.text).toBe(
      `{"name":"tls","encoding":"base64","data":{"tls.crt":"${Buffer.from(CRT).toString('base64')}"},"missing":["tls.key"]}`,
    )
  })
})

test('a data key named __proto__ is nobody’s prototype, and no key either', async () => {
  await using world = await startWorld({
    policy: {
      ...POLICY,
      'payments.yaml': (POLICY['payments.yaml'] ?? '').replace('[tls.crt, tls.key]', '[tls.crt, __proto__]'),
    },
  })
  const seal = (dataKey: string) => world.upstream.seal({ ...HERE, secret: 'payments-tls', dataKey, plaintext: 'text' })
  const data = [
    ['tls.crt', seal('tls.crt')],
    ['__proto__', seal('__proto__')],
  ] as const
  world.upstream.putRaw('payments-tls', Object.fromEntries(data))
  const reply = await world.ask('/secrets/tls')
  expect(reply.text).toBe('{"name":"tls","encoding":"base64","data":{"tls.crt":"dGV4dA=="},"missing":["__proto__"]}')
  world.refused(await world.ask('/secrets/tls?key=__proto__'), { status: 404, code: 'KEY_MISSING' })
})

const WRONG_ANSWERS: readonly (readonly [string, Fault, Refusal])[] = [
  ['is 403', kubernetesStatus(403), { ...UNREADABLE, why: 'rbac' }],
  ['is 401', kubernetesStatus(401), KUBERNETES_AWAY],
  ['is 429', kubernetesStatus(429), KUBERNETES_AWAY],
  ['is 500', kubernetesStatus(500), KUBERNETES_AWAY],
  ['is 410', kubernetesStatus(410), KUBERNETES_AWAY],
  ['is a 404 that is not about a Secret', kubernetesStatus(404), KUBERNETES_AWAY],
  ["is a proxy's 404", html(404), KUBERNETES_AWAY],
  ["is a proxy's page with 200", html(200), KUBERNETES_AWAY],
  ["is a proxy's page with 502", html(502), KUBERNETES_AWAY],
  ['is no HTTP', garbage(Buffer.from(`${MARKER}\r\n\r\n`)), KUBERNETES_AWAY],
  ['is cut off before it begins', cut('before'), KUBERNETES_AWAY],
  ['is cut in the middle', cut('mid-body'), KUBERNETES_AWAY],
  ['is 64 MiB long', huge(64), KUBERNETES_AWAY],
  ['is longer than keyhole reads, and good otherwise', padded(), KUBERNETES_AWAY],
  ['announces 64 MiB', announcing(), KUBERNETES_AWAY],
  ['says that it is compressed, unasked', encoded(), KUBERNETES_AWAY],
  ['announces more than it holds', wire('HTTP/1.1 200 OK\r\nContent-Length: 999', MARKER), KUBERNETES_AWAY],
  ['is empty', status(200, ''), KUBERNETES_AWAY],
  ['is a list', status(200, []), KUBERNETES_AWAY],
  ['is another kind of object', changeJson((body) => ({ ...body, kind: 'ConfigMap' })), KUBERNETES_AWAY],
  [
    'is another Secret',
    changeJson((body) => ({ ...body, metadata: { ...(body['metadata'] as object), name: 'payments-tls' } })),
    KUBERNETES_AWAY,
  ],
  [
    "is another namespace's Secret",
    changeJson((body) => ({ ...body, metadata: { ...(body['metadata'] as object), namespace: 'bi' } })),
    KUBERNETES_AWAY,
  ],
  [
    'has no uid',
    changeJson((body) => ({ ...body, metadata: { ...(body['metadata'] as object), uid: undefined } })),
    KUBERNETES_AWAY,
  ],
  [
    'has data that is no text',
    changeJson((body) => ({ ...body, data: { 'secrets.json': { MARKER } } })),
    KUBERNETES_AWAY,
  ],
]

test.each(WRONG_ANSWERS)(
  'an answer about the Secret that %s is refused, and not remembered',
  async (_title, fault, refusal) => {
    await using world = await startWorld()
    const injected = world.kubernetes.faults.inject({ path: SECRET }, fault)
    countAnew(world)
    world.refused(await world.ask('/secrets/db'), refusal)
    expect(decrypts(world)).toBe(0)
    await world.bystander()
    injected.remove()
    world.served(await world.ask('/secrets/db'))
  },
)

test('a right that keyhole lacks is the fault of that Secret, and the log says which right', async () => {
  await using world = await startWorld()
  world.kubernetes.disallow({ namespace: KEYHOLE.namespace, name: KEYHOLE.serviceAccount })
  world.kubernetes.allow(
    { namespace: KEYHOLE.namespace, name: KEYHOLE.serviceAccount },
    { verbs: ['create'], group: 'authentication.k8s.io', resource: 'tokenreviews' },
    { verbs: ['get'], group: '', resource: 'secrets', namespace: 'bi', names: ['bi-books'] },
  )
  const reply = await world.ask('/secrets/db')
  world.refused(reply, UNREADABLE)
  expect(world.keyhole.logLines.find((line) => line.includes(reply.requestId))).toContain('resourceNames')
  await world.bystander()
})

test('an answer about the Secret that redirects takes no token of keyhole elsewhere', async () => {
  await using world = await startWorld()
  await using other = await elsewhere()
  world.kubernetes.faults.inject({ path: SECRET }, redirect(`${other.url}${SECRET}`))
  world.refused(await world.ask('/secrets/db'), KUBERNETES_AWAY)
  expect(other.visits()).toBe(0)
})

test.each([
  ['silence', silence()],
  ['half an answer, and then silence', stall()],
])('%s about the Secret costs one caller its two seconds, and the others nothing', async (_title, fault) => {
  await using world = await startWorld()
  world.kubernetes.faults.inject({ path: SECRET }, fault)
  const held = hold(world.kubernetes, { path: SECRET })
  const reply = world.ask('/secrets/db')
  await held.arrived
  held.release()
  await world.bystander()
  await world.clock.advance(2_000)
  world.refused(await reply, KUBERNETES_AWAY)
  world.kubernetes.faults.clear()
  world.served(await world.ask('/secrets/db'))
})
