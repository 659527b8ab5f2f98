/**
 * Each right that an operator gives the rotator is needed: without it a rotation stops, and says which; given back, the next
 * one finishes. And no wider right is there: what a stolen token of the rotator's would be used for, the servers refuse.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, inject, test } from 'vitest'
import type { Call, Called, Failed } from './call.ts'
import { bearer, caller, expectStatus } from './call.ts'
import { pathOf } from './kubernetes-operator.ts'
import { expectOnly } from './only.ts'
import { ISSUER } from './processes.ts'
import type { Estate, RotationRight } from './rotation-set-up.ts'
import { applyLease, estateOf, giveRights, leasePath, RIGHTS } from './rotation-set-up.ts'
import type { RotationWorld } from './rotation-world.ts'
import { podToken, rotate, startRotationWorld } from './rotation-world.ts'
import { AUDIENCE, CRON, DERIVED_KEY, KEYHOLE, ROTATOR, SECRETS } from './set-up.ts'

const connection = inject('connection')
const ESTATE: Estate = estateOf('rights', 1, 2)
const [NAMESPACE = ''] = ESTATE.namespaces
const [NAME = ''] = ESTATE.secrets

let world: RotationWorld
beforeAll(async () => {
  // Without grace, so that every rotation also raises the minimum.
  world = await startRotationWorld(connection, ESTATE, { grace: 0 })
})
afterAll(() => world[Symbol.asyncDispose]())

/** What a rotation without the right comes to: its answer, then the code of the key as a whole, or of each of its Secrets. */
const WITHOUT: Readonly<Record<RotationRight, readonly string[]>> = {
  reviewTokens: ['503 KUBERNETES_UNAVAILABLE'],
  getSecrets: ['500 ROTATION_INCOMPLETE', 'UNREADABLE'],
  patchSecrets: ['500 ROTATION_INCOMPLETE', 'UNWRITABLE'],
  getLease: ['500 LEASE_UNUSABLE'],
  updateLease: ['500 LEASE_UNUSABLE'],
  createLease: ['500 LEASE_UNUSABLE'],
  rewrap: ['500 ROTATION_INCOMPLETE', 'KEY_UNUSABLE'],
  readKey: ['500 ROTATION_INCOMPLETE', 'KEY_UNUSABLE'],
  rotateKey: ['500 ROTATION_INCOMPLETE', 'KEY_UNUSABLE'],
  configureKey: ['500 ROTATION_INCOMPLETE', 'KEY_UNUSABLE'],
  vaultRole: ['500 ROTATION_INCOMPLETE', 'VAULT_UNAVAILABLE'],
}

describe('a rotation', () => {
  test.each(RIGHTS)('needs the right %s', async (right) => {
    const before = await world.fleet.look()
    const { latest } = await world.fleet.key()
    // No Lease yet, so that there is one to make.
    await world.operator.kubernetes.remove(leasePath(ESTATE.lease))
    await giveRights(world.operator, ESTATE, [right])
    try {
      await using rotator = await world.startRotator()
      const { answer, report } = await rotate(rotator, world)
      const [key] = report?.keys ?? []
      const blocked = new Set(key?.secrets.flatMap(({ code }) => code ?? []))
      expect([answer, ...(key?.failure ? [key.failure.code] : []), ...blocked]).toEqual(WITHOUT[right])
      if (key?.failure !== undefined) expect(key.failure.detail).toMatch(/Vault/)
      // Whatever was left undone, each of them opens.
      for (const { value } of (await world.fleet.look()).values()) expect(value).toMatch(/^{"PASSWORD":"canary/)
    } finally {
      await giveRights(world.operator, ESTATE)
    }
    await using rotator = await world.startRotator()
    expect((await rotate(rotator, world)).answer).toBe('200')
    const key = await world.fleet.key()
    expect(key.min).toBe(key.latest)
    expect(key.latest - latest).toBe(VERSIONS[right] ?? 1)
    await expectOnly(world.fleet, before, { version: key.latest })
  })

  test('needs no right to make its Lease where that is there', async () => {
    await world.operator.kubernetes.remove(leasePath(ESTATE.lease))
    await applyLease(world.operator, ESTATE)
    await giveRights(world.operator, ESTATE, ['createLease'])
    await using rotator = await world.startRotator()
    expect((await rotate(rotator, world)).answer).toBe('200')
    await giveRights(world.operator, ESTATE)
  })
})

/**
 * Where a version was made in vain, the rotation after it makes another one: blocked Secrets close an intent, and one of a key
 * that cannot be used is set aside.
 */
const VERSIONS: Partial<Record<RotationRight, number>> = { getSecrets: 2, patchSecrets: 2, rewrap: 2, configureKey: 2 }

describe('Vault refuses the rotator', () => {
  let call: Call
  // A batch token lives 10 s: one a test.
  beforeEach(async () => {
    call = await inVault(ESTATE.roles.rotate, await podToken(world.operator, ROTATOR, AUDIENCE.vault))
  })
  const key = `/v1/transit/keys/${ESTATE.key}`

  test('nothing of what it needs, so that the refusals below have their own reasons', async () => {
    const { min } = await world.fleet.key()
    expect((await call('GET', key)).status).toBe(200)
    expect((await call('POST', `${key}/config`, { min_decryption_version: min })).status).toBe(200)
  })

  test.each([
    ['decrypt', 'POST', `/v1/transit/decrypt/${ESTATE.key}`, { ciphertext: 'vault:v1:AAAA' }],
    ['encrypt', 'POST', `/v1/transit/encrypt/${ESTATE.key}`, { plaintext: 'AAAA' }],
    ['make a data key', 'POST', `/v1/transit/datakey/plaintext/${ESTATE.key}`, {}],
    ['export the key', 'GET', `/v1/transit/export/encryption-key/${ESTATE.key}`, undefined],
    ['back the key up', 'GET', `/v1/transit/backup/${ESTATE.key}`, undefined],
    ['make it exportable', 'POST', `${key}/config`, { exportable: true }],
    ['allow its backup in the clear', 'POST', `${key}/config`, { allow_plaintext_backup: true }],
    ['allow its deletion', 'POST', `${key}/config`, { deletion_allowed: true }],
    ['choose what is encrypted with', 'POST', `${key}/config`, { min_encryption_version: 1 }],
    ['hide one among the allowed', 'POST', `${key}/config`, { min_decryption_version: 1, exportable: true }],
    ['delete it', 'DELETE', key, undefined],
    ['trim it', 'POST', `${key}/trim`, { min_available_version: 1 }],
    ['make another one', 'POST', '/v1/transit/keys/new', {}],
    ['list keys', 'GET', '/v1/transit/keys?list=true', undefined],
    ['read another one', 'GET', `/v1/transit/keys/${DERIVED_KEY}`, undefined],
    ['rotate another one', 'POST', `/v1/transit/keys/${DERIVED_KEY}/rotate`, {}],
    ['rewrap with another one', 'POST', `/v1/transit/rewrap/${DERIVED_KEY}`, { ciphertext: 'vault:v1:AAAA' }],
    ['make itself a token', 'POST', '/v1/auth/token/create', {}],
    ['look at its own token', 'GET', '/v1/auth/token/lookup-self', undefined],
    ['change its own policy', 'POST', `/v1/sys/policies/acl/${ESTATE.roles.rotate}`, { policy: '' }],
  ])('the right to %s', async (_title, method, path, body) => {
    expect((await call(method, path, body)).status).toBe(403)
  })
})

describe('Kubernetes refuses the rotator', () => {
  let call: Call
  beforeAll(async () => {
    const token = await podToken(world.operator, ROTATOR, ISSUER)
    call = caller({ origin: connection.kubernetes.origin, ca: connection.ca, headers: bearer(token) })
    await applyLease(world.operator, ESTATE)
  })
  const secret = (name: string, namespace = NAMESPACE) => pathOf('secrets', { namespace, name })
  const secrets = `/api/v1/namespaces/${NAMESPACE}/secrets`
  const leases = leasePath('').slice(0, -1)
  const jsonPatch = 'application/json-patch+json'

  test('nothing of what it needs, so that the refusals below have their own reasons', async () => {
    expect((await call('GET', secret(NAME))).status).toBe(200)
    expect((await call('PATCH', `${secret(NAME)}?dryRun=All`, [], jsonPatch)).status).toBe(200)
    expect((await call('GET', leasePath(ESTATE.lease))).status).toBe(200)
  })

  test.each([
    ['get another Secret', 'GET', secret('another')],
    ['get a Secret of another namespace', 'GET', secret(SECRETS.db, 'payments')],
    ['patch another Secret', 'PATCH', secret('another')],
    ['list Secrets', 'GET', secrets],
    ['watch Secrets', 'GET', `${secrets}?watch=true&timeoutSeconds=1`],
    ['create a Secret', 'POST', secrets],
    ['create a Secret of a name that it may patch', 'PUT', secret(NAME)],
    ['delete a Secret', 'DELETE', secret(NAME)],
    ['delete all Secrets', 'DELETE', secrets],
    ['get another Lease', 'GET', leasePath('another')],
    ['take another Lease', 'PUT', leasePath('another')],
    ['list Leases', 'GET', leases],
    ['create any Lease', 'POST', leases],
    ['delete its Lease', 'DELETE', leasePath(ESTATE.lease)],
    ['patch its Lease', 'PATCH', leasePath(ESTATE.lease)],
    ['make tokens', 'POST', `${pathOf('serviceaccounts', ROTATOR)}/token`],
    ['ask what others may', 'POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews'],
  ])('the right to %s', async (_title, method, path) => {
    const body = BODIES[method]
    expect((await call(method, path, body, method === 'PATCH' ? jsonPatch : undefined)).status).toBe(403)
  })
})

const BODIES: Readonly<Record<string, unknown>> = { POST: {}, PUT: {}, PATCH: [] }

describe('one identity is not the other', () => {
  const statusOf = async (role: string, who: typeof ROTATOR | typeof CRON | typeof KEYHOLE) =>
    (await login(role, await podToken(world.operator, who, AUDIENCE.vault))).status

  test('the reader cannot log in to rotate, nor the rotator to read, nor who asks for rotations at all', async () => {
    const { rotate: rotating, read: reading } = ESTATE.roles
    expect(await statusOf(rotating, ROTATOR)).toBe(200)
    expect(await statusOf(reading, KEYHOLE)).toBe(200)
    for (const [role, who] of [
      [rotating, KEYHOLE],
      [reading, ROTATOR],
      [rotating, CRON],
      [reading, CRON],
    ] as const)
      expect(await statusOf(role, who)).toBe(403)
  })

  test('who asks for rotations may touch neither the Secrets nor the Lease', async () => {
    const token = await podToken(world.operator, CRON, ISSUER)
    const call = caller({ origin: connection.kubernetes.origin, ca: connection.ca, headers: bearer(token) })
    for (const path of [pathOf('secrets', { namespace: NAMESPACE, name: NAME }), leasePath(ESTATE.lease)])
      expect((await call('GET', path)).status).toBe(403)
  })

  test('the token that keyhole-cron sends is of no use at Vault or at the API server', async () => {
    expect((await login(ESTATE.roles.rotate, world.cronToken)).status).toBe(403)
    const call = caller({ origin: connection.kubernetes.origin, ca: connection.ca, headers: bearer(world.cronToken) })
    expect((await call('GET', leasePath(ESTATE.lease))).status).toBe(401)
  })
})

interface Login extends Failed {
  readonly auth: { readonly client_token: string }
}

function login(role: string, jwt: string): Promise<Called<Login>> {
  const call = caller({ origin: connection.vault.origin, ca: connection.ca })
  return call<Login>('POST', '/v1/auth/kubernetes/login', { role, jwt })
}

/** Logs in again, once, for what is refused: the token may have ended on the way. */
async function inVault(role: string, jwt: string): Promise<Call> {
  const loggedIn = async () => {
    const { auth } = await expectStatus(login(role, jwt))
    const headers = { 'x-vault-token': auth.client_token }
    return caller({ origin: connection.vault.origin, ca: connection.ca, headers })
  }
  const call = await loggedIn()
  return async <T>(...asked: Parameters<Call>) => {
    const called = await call<T>(...asked)
    return called.status === 403 ? (await loggedIn())<T>(...asked) : called
  }
}
