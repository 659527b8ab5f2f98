/** The read path, end to end: real tokens, real reviews, real ciphertext. */
import { afterAll, beforeAll, describe, expect, inject, test } from 'vitest'
import { ISSUER } from './processes.ts'
import { LEGACY_SECRET, pythonLibrary } from './python.ts'
import { AUDIENCE, DERIVED_KEY, SECRETS } from './set-up.ts'
import { claimsOf } from './tokens.ts'
import type { World } from './world.ts'
import {
  API,
  CERTIFICATE,
  contextOf,
  DICTIONARY,
  JOB,
  MIGRATOR,
  putSealed,
  REPORTS,
  STRANGER,
  startWorld,
} from './world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld(inject('connection'))
})
afterAll(() => world[Symbol.asyncDispose]())

describe('a granted workload', () => {
  test('gets the bytes of its keys and no other key', async () => {
    const { answer, text } = await world.get('/secrets/db', await world.tokenOf(API))
    expect(answer).toBe('200')
    expect(text).toContain('"LEDGER":12345678901234567890')
    expect(JSON.parse(text)).toMatchObject({ data: { PGHOST: 'db' }, missing: [] })
    expect(Object.keys(JSON.parse(text).data)).toEqual(['PGHOST', 'LEDGER'])
  })

  test('gets every key when all are granted', async () => {
    const { json } = await world.get('/secrets/db', await world.tokenOf(MIGRATOR))
    expect(json['data']).toEqual(JSON.parse(DICTIONARY))
  })

  test('gets the Secret of another namespace by its full name', async () => {
    const { json } = await world.get('/secrets/db.payments', await world.tokenOf(REPORTS))
    expect(json['data']).toEqual({ PGHOST: 'db' })
  })

  test('gets raw bytes of a file', async () => {
    const { json } = await world.get('/secrets/files', await world.tokenOf(API))
    expect(json).toMatchObject({ encoding: 'base64', data: { 'tls.crt': CERTIFICATE.toString('base64') } })
  })

  test('gets 304 for what it has, also from a fresh review', async () => {
    const { etag } = await world.get('/secrets/db', await world.tokenOf(API))
    const again = await world.get('/secrets/db', await world.tokenOf(API), { 'if-none-match': String(etag) })
    expect(again).toMatchObject({ answer: '304', text: '' })
  })

  test('lists what it may read', async () => {
    const { json } = await world.get('/secrets', await world.tokenOf(REPORTS))
    expect(json).toEqual({ secrets: [{ name: 'db.payments', keys: ['PGHOST'], all: false }] })
  })

  test('gets a Secret that the Python library wrote', async () => {
    const library = await pythonLibrary(inject('connection'), world.operator, inject('programs'))
    await library.write('{"PGHOST": "old", "PGPORT": 5432, "PGPASSWORD": "python-canary"}')
    const { answer, json } = await world.get('/secrets/legacy', await world.tokenOf(API))
    expect([answer, json['data']]).toEqual(['200', { PGHOST: 'old', PGPORT: 5432 }])
    expect(await world.operator.kubernetes.getSecret(LEGACY_SECRET)).toBeDefined()
  })

  test('gets a Secret encrypted under a newer key version, and one that is older', async () => {
    await world.operator.vault.rotateTransitKey(DERIVED_KEY)
    expect((await world.get('/secrets/db', await world.tokenOf(API))).answer).toBe('200')
    await putSealed(world.operator, SECRETS.db, { 'secrets.json': DICTIONARY })
    expect((await world.get('/secrets/db', await world.tokenOf(API))).answer).toBe('200')
  })
})

describe('a token', () => {
  const deny = async (token: Promise<string>): Promise<string> => (await world.get('/secrets/db', await token)).answer

  /** The claims of a good token with these changed, signed with the cluster's key. */
  async function changed(change: Readonly<Record<string, unknown>>, key: 'cluster' | 'stranger' = 'cluster') {
    return world.operator.kubernetes.signToken({ ...claimsOf(await world.tokenOf(API)), ...change }, key)
  }
  const nowSeconds = Math.floor(Date.now() / 1_000)

  test('that changes nothing is taken when the cluster signed it, so that the refusals below have their own reasons', async () => {
    expect(await deny(changed({}))).toBe('200')
  })

  test('signed by a stranger is refused', async () => {
    expect(await deny(changed({}, 'stranger'))).toBe('401 TOKEN_REJECTED')
  })

  test('bound to no pod is refused', async () => {
    const order = { namespace: 'payments', serviceAccount: 'api', audiences: [AUDIENCE.keyhole] }
    expect(await deny(world.operator.kubernetes.issueToken(order))).toBe('403 NOT_GRANTED')
  })

  test('bound to no pod is taken where the reader says so', async () => {
    expect(await deny(world.operator.kubernetes.issueToken({ ...JOB, audiences: [AUDIENCE.keyhole] }))).toBe('200')
  })

  test.each([
    ['the API server', [ISSUER]],
    ['Vault', [AUDIENCE.vault]],
    ['keyhole and the API server', [AUDIENCE.keyhole, ISSUER]],
  ])('for %s is refused', async (_title, audiences) => {
    expect(await deny(world.tokenOf(API, { audiences }))).toBe('401 TOKEN_AUDIENCE')
  })

  test('that expired is refused', async () => {
    const times = { iat: nowSeconds - 900, nbf: nowSeconds - 900, exp: nowSeconds - 300 }
    expect(await deny(changed(times))).toBe('401 TOKEN_REJECTED')
  })

  test('that expired a moment ago, within the skew of clocks, is refused by the API server', async () => {
    const times = { iat: nowSeconds - 900, nbf: nowSeconds - 900, exp: nowSeconds - 20 }
    expect(await deny(changed(times))).toBe('401 TOKEN_REJECTED')
  })

  test('that is not valid yet is refused', async () => {
    const times = { iat: nowSeconds + 600, nbf: nowSeconds + 600, exp: nowSeconds + 1_200 }
    expect(await deny(changed(times))).toBe('401 TOKEN_REJECTED')
  })

  test('that lives for a year is refused', async () => {
    expect(await deny(changed({ exp: nowSeconds + 31_536_000 }))).toBe('401 TOKEN_REJECTED')
  })

  test('of a person is refused', async () => {
    expect(await deny(Promise.resolve(world.operator.kubernetes.userToken))).toBe('401 TOKEN_REJECTED')
  })

  test('of a node is refused', async () => {
    expect(await deny(Promise.resolve(world.operator.kubernetes.nodeToken))).toBe('401 TOKEN_REJECTED')
  })

  test('of a ServiceAccount that was deleted and made again is refused', async () => {
    const account = { namespace: 'payments', name: 'again' }
    await world.operator.kubernetes.createServiceAccount(account)
    const token = await world.tokenOf({ namespace: 'payments', serviceAccount: 'again' })
    await world.operator.kubernetes.deleteServiceAccount(account)
    await world.operator.kubernetes.createServiceAccount(account)
    expect(await deny(Promise.resolve(token))).toBe('401 TOKEN_REJECTED')
  })

  test.each([
    ['a grant that exists', '/secrets/db.payments'],
    ['a grant that does not', '/secrets/nothing.payments'],
  ])('of a stranger is told the same about %s', async (_title, path) => {
    const { answer, json } = await world.get(path, await world.tokenOf(STRANGER))
    expect([answer, json['detail']]).toEqual(['403 NOT_GRANTED', expect.stringContaining('bi/stranger')])
    expect(json['detail']).not.toContain('payments')
  })
})

describe('ciphertext', () => {
  const readMoved = async (): Promise<string> => (await world.get('/secrets/moved', await world.tokenOf(API))).answer
  const putMoved = (ciphertext: string): Promise<unknown> =>
    world.operator.kubernetes.putSecret({
      namespace: 'payments',
      name: SECRETS.moved,
      data: { 'secrets.json': ciphertext },
    })

  test('of this place is opened', async () => {
    await putSealed(world.operator, SECRETS.moved, { 'secrets.json': '{}' })
    expect(await readMoved()).toBe('200')
  })

  test('moved here from another Secret is refused', async () => {
    const other = await world.operator.kubernetes.getSecret({ namespace: 'payments', name: SECRETS.db })
    await putMoved(other?.['secrets.json'] ?? '')
    expect(await readMoved()).toBe('422 CIPHERTEXT_REJECTED')
  })

  test.each([
    ['namespace', contextOf('bi', SECRETS.moved, 'secrets.json')],
    ['data key', contextOf('payments', SECRETS.moved, 'other.json')],
    ['realm', Buffer.from(`keyhole/1/other/payments/${SECRETS.moved}/secrets.json`).toString('base64')],
  ])('made for another %s is refused', async (_title, context) => {
    await putMoved(await world.operator.vault.encrypt(DERIVED_KEY, '{}', context))
    expect(await readMoved()).toBe('422 CIPHERTEXT_REJECTED')
  })

  test('that was tampered with is refused', async () => {
    const context = contextOf('payments', SECRETS.moved, 'secrets.json')
    const sealed = await world.operator.vault.encrypt(DERIVED_KEY, '{}', context)
    await putMoved(sealed.replace(/.{6}$/, (end) => (end === 'AAAAAA' ? 'BBBBBB' : 'AAAAAA')))
    expect(await readMoved()).toBe('422 CIPHERTEXT_REJECTED')
  })

  test('of a version that was retired is refused', async () => {
    const context = contextOf('payments', SECRETS.moved, 'secrets.json')
    const old = await world.operator.vault.encrypt(DERIVED_KEY, '{}', context)
    await world.operator.vault.rotateTransitKey(DERIVED_KEY)
    const version = Number(/^vault:v(\d+):/.exec(old)?.[1])
    await world.operator.vault.configureTransitKey(DERIVED_KEY, { minDecryptionVersion: version + 1 })
    await putMoved(old)
    const answer = await readMoved()
    await world.operator.vault.configureTransitKey(DERIVED_KEY, { minDecryptionVersion: 1 })
    expect(answer).toBe('422 CIPHERTEXT_REJECTED')
  })

  test('that is missing is told apart from a Secret that is not granted', async () => {
    await world.operator.kubernetes.deleteSecret({ namespace: 'payments', name: SECRETS.moved })
    expect(await readMoved()).toBe('404 SECRET_MISSING')
  })
})

test('neither the audit log nor keyhole’s own log holds a value or a token', async () => {
  const written = JSON.stringify([await world.keyhole.auditRecords(), world.keyhole.logLines])
  expect(written).toContain('"db"')
  expect(written).not.toMatch(/canary|12345678901234567890|eyJ|hv[bs]\.|vault:v\d/)
})
