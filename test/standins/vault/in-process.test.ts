/** The stand-in without a socket, which answers what it would answer over one. */
import { describe, expect, it } from 'vitest'
import type { StandinRequest } from '../../../src/standins/server.ts'
import type { VaultInProcess } from '../../../src/standins/vault.ts'
import { createVaultStandin, startVaultStandin } from '../../../src/standins/vault.ts'
import { virtualClock } from '../../virtual-clock.ts'
import { call } from '../call.ts'

const nobody = async () => undefined

function request(path: string, how: { readonly token?: string; readonly body?: unknown } = {}): StandinRequest {
  return {
    method: how.body === undefined ? 'GET' : 'POST',
    path,
    query: new URLSearchParams(),
    headers: how.token === undefined ? {} : { 'x-vault-token': how.token },
    body: Buffer.from(how.body === undefined ? '' : JSON.stringify(how.body)),
    signal: new AbortController().signal,
  }
}

async function answer(vault: VaultInProcess, sent: StandinRequest): Promise<readonly [number, unknown]> {
  const { status, body } = await vault.handle(sent)
  return [status, JSON.parse(String(body))]
}

describe('a Vault without a socket', () => {
  it('tells what was set up in it', async () => {
    const clock = virtualClock()
    const vault = createVaultStandin({ clock, review: nobody })
    vault.transit().putKey('payments', { derived: true, createdAtMs: [clock.now() - 60_000, clock.now() - 999] })
    const at = Math.floor(clock.now() / 1000)
    const [status, body] = await answer(vault, request('/v1/transit/keys/payments', { token: vault.rootToken }))
    expect(status).toBe(200)
    expect(body).toMatchObject({ data: { derived: true, latest_version: 2, keys: { 1: at - 60, 2: at - 1 } } })
  })

  it('rotates by its clock', async () => {
    const clock = virtualClock()
    const vault = createVaultStandin({ clock, review: nobody })
    vault.transit().putKey('payments')
    await clock.advance(3_600_000)
    const sent = request('/v1/transit/keys/payments/rotate', { token: vault.rootToken, body: {} })
    const [, body] = await answer(vault, sent)
    expect(body).toMatchObject({ data: { keys: { 2: Math.floor(clock.now() / 1000) } } })
    expect(vault.transit().key('payments')?.createdAtMs.get(2)).toBe(clock.now())
  })

  it('lets log in whom the review names, and nobody else', async () => {
    const seen: unknown[] = []
    const vault = createVaultStandin({
      clock: virtualClock(),
      review: async (jwt, audiences) => {
        seen.push([jwt, audiences])
        return jwt === JWT ? { namespace: 'keyhole', name: 'reader', uid: 'uid' } : undefined
      },
    })
    const bound = { serviceAccountNames: ['reader'], serviceAccountNamespaces: ['keyhole'] }
    vault.putRole({ name: 'read', audience: 'vault', ...bound, policies: ['read'] })
    const login = (jwt: string) => answer(vault, request('/v1/auth/kubernetes/login', { body: { role: 'read', jwt } }))
    expect((await login(JWT))[0]).toBe(200)
    expect((await login(`${JWT}x`))[0]).toBe(403)
    expect(seen).toHaveLength(2)
    expect(seen[0]).toEqual([JWT, ['vault']])
  })
})

const CLAIMS = {
  aud: ['vault'],
  'kubernetes.io': { namespace: 'keyhole', serviceaccount: { name: 'reader', uid: 'uid' } },
}
const JWT = ['{"alg":"RS256"}', JSON.stringify(CLAIMS), 'signature']
  .map((part) => Buffer.from(part).toString('base64url'))
  .join('.')

describe('the largest request', () => {
  const batch = { batch_input: Array.from({ length: 20 }, () => ({ ciphertext: 'vault:v1:AAAA' })) }

  it('is what was set', async () => {
    const bytes = Buffer.byteLength(JSON.stringify(batch))
    for (const [maxRequestBytes, expected] of [
      [bytes, 400],
      [bytes - 1, 413],
    ] as const) {
      const vault = createVaultStandin({ clock: virtualClock(), review: nobody, maxRequestBytes })
      const sent = request('/v1/transit/rewrap/payments', { token: vault.rootToken, body: batch })
      expect((await answer(vault, sent))[0]).toBe(expected)
    }
  })

  it('ends the connection, as the real server does', async () => {
    const kubernetes = { url: 'http://127.0.0.1:9' }
    await using vault = await startVaultStandin({ clock: virtualClock(), kubernetes, maxRequestBytes: 100 })
    const refused = await call(`${vault.url}/v1/transit/rewrap/payments`, { vaultToken: vault.rootToken, body: batch })
    expect([refused.status, refused.json]).toEqual([413, { errors: ['http: request body too large'] }])
    expect(refused.headers['connection']).toBe('close')
  })
})
