/** The installation itself, by raw HTTPS and without keyhole: what the read path can count on, and what it must not have. */
import { beforeAll, describe, expect, inject, test } from 'vitest'
import type { Call, Called, Failed } from './call.ts'
import { bearer, caller, expectStatus } from './call.ts'
import { operatorOf } from './operator.ts'
import { AUDIENCE, DERIVED_KEY, KEYHOLE, PLAIN_KEY, REALM, SECRETS } from './set-up.ts'

const connection = inject('connection')
const operator = operatorOf(connection)

interface Login {
  readonly auth: { readonly client_token: string; readonly lease_duration: number; readonly token_policies: string[] }
}
interface Decrypted {
  readonly data: { readonly plaintext: string }
  readonly errors?: readonly string[]
}

const here = contextOf('payments', SECRETS.db, 'secrets.json')
let kubernetesAsKeyhole: Call

beforeAll(async () => {
  const headers = bearer(await keyholeToken(undefined))
  kubernetesAsKeyhole = caller({ origin: connection.kubernetes.origin, ca: connection.ca, headers })
})

describe('Vault, as keyhole', () => {
  test('logs keyhole in for 10 s with its policy alone', async () => {
    const { status, body } = await login(await keyholeToken(AUDIENCE.vault))
    expect(status).toBe(200)
    expect(body.auth).toMatchObject({ lease_duration: 10, token_policies: ['keyhole'], token_type: 'batch' })
  })

  test.each([
    ['of the API server', undefined],
    ['of callers', AUDIENCE.keyhole],
  ])('refuses a login with a token for the audience %s', async (_title, audience) => {
    expect((await login(await keyholeToken(audience))).status).toBe(403)
  })

  test('refuses a login of another ServiceAccount', async () => {
    await operator.kubernetes.createServiceAccount({ namespace: 'payments', name: 'api' })
    const order = { namespace: 'payments', serviceAccount: 'api', audiences: [AUDIENCE.vault] }
    expect((await login(await operator.kubernetes.issueToken(order))).status).toBe(403)
  })

  test('decrypts in the context of the place', async () => {
    const ciphertext = await operator.vault.encrypt(DERIVED_KEY, '{"A":1}', here)
    const { body } = await decrypt({ ciphertext, context: here })
    expect(Buffer.from(body.data.plaintext, 'base64').toString()).toBe('{"A":1}')
  })

  test('refuses to decrypt in the context of another place', async () => {
    const ciphertext = await operator.vault.encrypt(DERIVED_KEY, '{"A":1}', here)
    const { status, body } = await decrypt({ ciphertext, context: contextOf('bi', SECRETS.db, 'secrets.json') })
    expect([status, body.errors]).toEqual([400, ['cipher: message authentication failed']])
  })

  test('tells a derived key by the probe, but only in a version that it still decrypts', async () => {
    const name = 'probed'
    await operator.vault.createTransitKey({ name, derived: true })
    const probe = async (version: number): Promise<string | undefined> => {
      const ciphertext = `vault:v${version}:AAAA`
      const { body } = await operator.vault.call<Decrypted>('POST', `/v1/transit/decrypt/${name}`, { ciphertext })
      return body.errors?.join()
    }
    const missing = expect.stringMatching(/^missing 'context' for key derivation/)
    expect(await probe(1)).toEqual(missing)
    await operator.vault.rotateTransitKey(name)
    await operator.vault.configureTransitKey(name, { minDecryptionVersion: 2 })
    expect(await probe(1)).toBe('ciphertext or signature version is disallowed by policy (too old)')
    expect(await probe(2)).toEqual(missing)
    expect(await probe(3)).toBe('invalid ciphertext: version is too new')
  })

  test('tells a key that is not derived by the probe', async () => {
    const { status, body } = await decrypt({ ciphertext: 'vault:v1:AAAA' }, PLAIN_KEY)
    expect([status, body.errors]).toEqual([400, ['invalid ciphertext length']])
  })

  test.each([
    ['POST', `/v1/transit/encrypt/${DERIVED_KEY}`],
    ['POST', `/v1/transit/rewrap/${DERIVED_KEY}`],
    ['GET', `/v1/transit/keys/${DERIVED_KEY}`],
    ['POST', `/v1/transit/keys/${DERIVED_KEY}/rotate`],
    ['GET', `/v1/transit/export/encryption-key/${DERIVED_KEY}`],
    ['GET', '/v1/auth/token/lookup-self'],
    ['GET', '/v1/sys/auth'],
  ])('refuses %s %s', async (method, path) => {
    expect((await vaultAsKeyhole(method, path, method === 'POST' ? {} : undefined)).status).toBe(403)
  })
})

describe('Kubernetes, as keyhole', () => {
  test('reviews a token for its audience', async () => {
    await operator.kubernetes.createServiceAccount({ namespace: 'payments', name: 'api' })
    const pod = { namespace: 'payments', name: 'api-1' }
    const { uid } = await operator.kubernetes.createPod({ ...pod, serviceAccount: 'api' })
    const order = { namespace: 'payments', serviceAccount: 'api', audiences: [AUDIENCE.keyhole] }
    const token = await operator.kubernetes.issueToken({ ...order, pod: { name: pod.name, uid } })
    const { status, body } = await review(token)
    expect(status).toBe(201)
    expect(body).toMatchObject({
      status: {
        authenticated: true,
        audiences: [AUDIENCE.keyhole],
        user: {
          username: 'system:serviceaccount:payments:api',
          extra: { 'authentication.kubernetes.io/pod-uid': [uid] },
        },
      },
    })
  })

  test('gets a Secret that is named in its Role', async () => {
    await operator.kubernetes.putSecret({ namespace: 'payments', name: SECRETS.db, data: { a: 'b' } })
    expect((await kubernetesAsKeyhole('GET', `/api/v1/namespaces/payments/secrets/${SECRETS.db}`)).status).toBe(200)
  })

  test.each([
    ['GET', '/api/v1/namespaces/payments/secrets/other'],
    ['GET', '/api/v1/namespaces/payments/secrets'],
    ['GET', `/api/v1/namespaces/bi/secrets/${SECRETS.db}`],
    ['PUT', `/api/v1/namespaces/payments/secrets/${SECRETS.db}`],
    ['DELETE', `/api/v1/namespaces/payments/secrets/${SECRETS.db}`],
    ['POST', '/apis/authorization.k8s.io/v1/subjectaccessreviews'],
    ['POST', '/api/v1/namespaces/keyhole/serviceaccounts/keyhole/token'],
  ])('refuses %s %s', async (method, path) => {
    expect((await kubernetesAsKeyhole(method, path, method === 'GET' ? undefined : {})).status).toBe(403)
  })
})

function contextOf(namespace: string, secret: string, dataKey: string): string {
  return Buffer.from(`keyhole/1/${REALM}/${namespace}/${secret}/${dataKey}`).toString('base64')
}

function keyholeToken(audience: string | undefined): Promise<string> {
  const order = { namespace: KEYHOLE.namespace, serviceAccount: KEYHOLE.name }
  return operator.kubernetes.issueToken(audience === undefined ? order : { ...order, audiences: [audience] })
}

function login(jwt: string): Promise<Called<Login>> {
  const call = caller({ origin: connection.vault.origin, ca: connection.ca })
  return call<Login>('POST', '/v1/auth/kubernetes/login', { role: 'keyhole', jwt })
}

/** A batch token lives 10 s: one per request, so that no test outlives it. */
async function vaultAsKeyhole<T>(method: string, path: string, body: unknown): Promise<Called<T>> {
  const { auth } = await expectStatus(login(await keyholeToken(AUDIENCE.vault)))
  const headers = { 'x-vault-token': auth.client_token }
  return caller({ origin: connection.vault.origin, ca: connection.ca, headers })(method, path, body)
}

function decrypt(
  order: { ciphertext: string; context?: string },
  key: string = DERIVED_KEY,
): Promise<Called<Decrypted>> {
  return vaultAsKeyhole('POST', `/v1/transit/decrypt/${key}`, order)
}

function review(token: string): Promise<Called<Failed>> {
  const spec = { token, audiences: [AUDIENCE.keyhole] }
  const body = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec }
  return kubernetesAsKeyhole('POST', '/apis/authentication.k8s.io/v1/tokenreviews', body)
}
