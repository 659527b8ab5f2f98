import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { cut, html, status } from '../../src/standins/faults.ts'
import type { KubernetesStandin } from '../../src/standins/kubernetes.ts'
import { startKubernetesStandin } from '../../src/standins/kubernetes.ts'
import type { VaultStandin, VaultStandinOptions } from '../../src/standins/vault.ts'
import { startVaultStandin } from '../../src/standins/vault.ts'
import { createAuthority } from '../certificates.ts'
import type { VirtualClock } from '../virtual-clock.ts'
import { virtualClock } from '../virtual-clock.ts'
import type { Answer } from './call.ts'
import { call } from './call.ts'

const READER = { namespace: 'keyhole', name: 'reader' }
const REVIEWER = { namespace: 'vault', name: 'vault' }
const REVIEWS = { verbs: ['create'], group: 'authentication.k8s.io', resource: 'tokenreviews' }
const HELLO = 'aGVsbG8='

let clock: VirtualClock
let cluster: KubernetesStandin
let vault: VaultStandin

beforeEach(async () => {
  clock = virtualClock()
  cluster = await startKubernetesStandin({ clock })
  cluster.putServiceAccount(READER)
  cluster.putServiceAccount(REVIEWER)
  cluster.allow(REVIEWER, REVIEWS)
  await restart()
})

afterEach(async () => {
  await vault[Symbol.asyncDispose]()
  await cluster[Symbol.asyncDispose]()
})

async function restart(kubernetes: Partial<VaultStandinOptions['kubernetes']> = {}): Promise<void> {
  await vault?.[Symbol.asyncDispose]()
  const reviewerToken = () => cluster.issueToken({ namespace: 'vault', serviceAccount: 'vault' })
  vault = await startVaultStandin({ clock, kubernetes: { url: cluster.url, reviewerToken, ...kubernetes } })
  vault.putPolicy('read', [{ path: 'transit/decrypt/payments', capabilities: ['update'] }])
  const bound = { serviceAccountNames: ['reader'], serviceAccountNamespaces: ['keyhole'] }
  vault.putRole({ name: 'read', audience: 'vault', ...bound, policies: ['read'] })
  vault.transit().putKey('payments')
}

function jwt(): string {
  return cluster.issueToken({ namespace: 'keyhole', serviceAccount: 'reader', audiences: ['vault'] })
}

function login(mount = 'kubernetes', role = 'read'): Promise<Answer> {
  return call(`${vault.url}/v1/auth/${mount}/login`, { body: { role, jwt: jwt() } })
}

function tokenOf(answer: Answer): string {
  return (answer.json as { auth: { client_token: string } }).auth.client_token
}

function decrypt(vaultToken: string): Promise<Answer> {
  const ciphertext = vault.transit().encrypt('payments', 'hello')
  return call(`${vault.url}/v1/transit/decrypt/payments`, { vaultToken, body: { ciphertext } })
}

describe('a login', () => {
  it('gives a token that decrypts for ten seconds by the clock', async () => {
    const token = tokenOf(await login())
    expect((await decrypt(token)).json).toMatchObject({ data: { plaintext: HELLO } })
    await clock.advance(9_999)
    expect((await decrypt(token)).status).toBe(200)
    await clock.advance(1)
    expect((await decrypt(token)).status).toBe(403)
  })

  it('shows the JWT to TokenReview and to nothing else', async () => {
    const body = { role: 'read', jwt: jwt() }
    await call(`${vault.url}/v1/auth/kubernetes/login`, { body })
    expect(cluster.requests.sightings(body.jwt)).toMatchObject([
      { method: 'POST', path: '/apis/authentication.k8s.io/v1/tokenreviews', where: 'body' },
    ])
  })

  it.each([
    ['is down', () => cluster.stop()],
    ['cuts the connection', async () => void cluster.faults.inject({}, cut('reset'))],
    ['answers HTML', async () => void cluster.faults.inject({}, html(200))],
    ['answers HTML as if something were created', async () => void cluster.faults.inject({}, html(201))],
    ['fails', async () => void cluster.faults.inject({}, status(500))],
    ['names another', async () => void cluster.faults.inject({}, status(201, reviewOf('keyhole:other')))],
    ['names no ServiceAccount', async () => void cluster.faults.inject({}, status(201, reviewOf('x')))],
    ['forgets the audience', async () => void cluster.faults.inject({}, status(201, reviewOf('keyhole:reader', [])))],
    ['lets the reviewer do nothing', async () => cluster.disallow(REVIEWER)],
  ])('is denied, as if the token were bad, while the API server %s', async (_, happen) => {
    await happen()
    const answer = await login()
    expect([answer.status, answer.json]).toEqual([403, { errors: ['permission denied'] }])
  })

  it('reviews with the JWT itself where no reviewer is configured', async () => {
    await restart({ reviewerToken: undefined as never })
    cluster.allow(READER, REVIEWS)
    // Its only audience is Vault's, so the API server does not take it as a bearer.
    expect((await login()).status).toBe(403)
    const order = { namespace: 'keyhole', serviceAccount: 'reader', audiences: ['vault', cluster.issuer] }
    const body = { role: 'read', jwt: cluster.issueToken(order) }
    expect((await call(`${vault.url}/v1/auth/kubernetes/login`, { body })).status).toBe(200)
  })

  it('works at another mount, whose roles are its own', async () => {
    expect((await login('cluster-b')).status).toBe(403)
    const bound = { serviceAccountNames: ['*'], serviceAccountNamespaces: ['*'] }
    vault.putRole({
      mount: 'cluster-b',
      name: 'b',
      ...bound,
      policies: ['read'],
      tokenType: 'service',
      tokenTtlSeconds: 60,
    })
    expect(tokenOf(await login('cluster-b', 'b'))).toMatch(/^hvs\./)
    vault.deleteRole('b', 'cluster-b')
    expect((await login('cluster-b', 'b')).status).toBe(400)
  })

  it('asks an API server behind TLS, by its CA', async () => {
    const authority = createAuthority()
    await using secure = await startKubernetesStandin({ clock, tls: { ...authority.issue(), ca: authority.ca } })
    secure.putServiceAccount(READER)
    const token = secure.issueToken({ namespace: 'keyhole', serviceAccount: 'reader', audiences: ['vault'] })
    const ask = () => call(`${vault.url}/v1/auth/kubernetes/login`, { body: { role: 'read', jwt: token } })
    await restart({ url: secure.url, ca: secure.ca, reviewerToken: () => secure.adminToken })
    expect((await ask()).status).toBe(200)
    await restart({ url: secure.url, reviewerToken: () => secure.adminToken })
    expect((await ask()).status).toBe(403)
  })
})

function reviewOf(name: string, audiences: readonly string[] = ['vault']): object {
  return { status: { authenticated: true, user: { username: `system:serviceaccount:${name}`, uid: 'u' }, audiences } }
}

describe('what is set up', () => {
  it('takes effect on tokens that are already out', async () => {
    const token = tokenOf(await login())
    vault.deletePolicy('read')
    expect((await decrypt(token)).status).toBe(403)
    vault.putPolicy('read', [{ path: 'transit/decrypt/*', capabilities: ['update'] }])
    expect((await decrypt(token)).status).toBe(200)
  })

  it('keeps engines apart by their mount', async () => {
    vault.transit('team/transit').putKey('payments')
    const ciphertext = vault.transit('team/transit').encrypt('payments', 'hello')
    const at = (mount: string) =>
      call(`${vault.url}/v1/${mount}/decrypt/payments`, { vaultToken: vault.rootToken, body: { ciphertext } })
    expect((await at('team/transit')).json).toMatchObject({ data: { plaintext: HELLO } })
    expect((await at('transit')).json).toEqual({ errors: ['cipher: message authentication failed'] })
  })

  it('survives a stop and a restart, and a seal', async () => {
    const token = tokenOf(await login())
    await vault.stop()
    await vault.restart()
    vault.seal()
    expect((await decrypt(token)).json).toEqual({ errors: ['Vault is sealed'] })
    vault.unseal()
    expect((await decrypt(token)).status).toBe(200)
  })

  it('makes no key twice', () => {
    const ciphertext = vault.transit().encrypt('payments', 'hello')
    vault.transit().putKey('payments')
    expect(vault.transit().decrypt('payments', ciphertext).toString()).toBe('hello')
    expect(() => vault.transit().rotateKey('none')).toThrow('no Transit key none: put it first')
  })

  it.each(['transit/hmac/payments', 'transit/keys/payments/trim', 'sys/policies/acl/read', 'auth/token/lookup-self'])(
    'says loudly that it does not serve %s',
    async (path) => {
      const answer = await call(`${vault.url}/v1/${path}`, { vaultToken: vault.rootToken })
      expect([answer.status, answer.json]).toEqual([
        501,
        { errors: ['the stand-in does not serve this path of the real Vault'] },
      ])
    },
  )
})
