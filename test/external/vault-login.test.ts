import { describe, expect, it } from 'vitest'
import { UpstreamError } from '../../src/errors.ts'
import { issuerOf, nobodysToken, tryLogin } from '../../src/external/vault-login.ts'
import { token } from '../../src/opaque.ts'
import { answering, never, sendingTo } from './api-server.ts'
import type { Peer } from './peer.ts'
import { startPeer } from './peer.ts'
import { expectNoTraceOf, thrownBy } from './traces.ts'

const LOGIN = { mount: 'kubernetes', role: 'keyhole', jwt: 'own-jwt' }
const AUTH = { client_token: 'hvb.canary', lease_duration: 10, token_type: 'batch', policies: ['keyhole'] }

const login = (peer: Peer, change: object = {}, namespace?: string) =>
  tryLogin({ send: sendingTo(peer), ...(namespace !== undefined && { namespace }) }, { ...LOGIN, ...change }, never)

describe('a login that is told about', () => {
  it('is a login, and says how the token is, without the token', async () => {
    await using peer = await startPeer(answering(200, { auth: AUTH }))
    expect(await login(peer)).toEqual({ leaseSeconds: 10, type: 'batch', policies: ['keyhole'] })
    const [seen] = peer.seen
    expect(seen).toMatchObject({ method: 'POST', path: '/v1/auth/kubernetes/login' })
    expect(JSON.parse(seen?.body ?? '')).toEqual({ role: 'keyhole', jwt: 'own-jwt' })
    expect([seen?.headers['x-vault-token'], seen?.headers['x-vault-namespace']]).toEqual([undefined, undefined])
  })

  it('asks in the namespace of Vault that is configured', async () => {
    await using peer = await startPeer(answering(200, { auth: AUTH }))
    await login(peer, {}, 'team')
    expect(peer.seen[0]?.headers['x-vault-namespace']).toBe('team')
  })

  it.each([
    [400, 'invalid role name "keyhole"', 'role-missing'],
    [403, 'invalid audience (aud) claim: audience claim does not match any expected audience', 'audience'],
    [403, 'service account name not authorized', 'account'],
    [403, 'namespace not authorized', 'namespace'],
    [403, 'invalid expiration time (exp) claim: token is expired', 'untimely'],
    [403, 'invalid not before (nbf) claim: token not yet valid', 'untimely'],
    [403, 'invalid issued at (iat) claim: token issued in the future', 'untimely'],
    [403, 'permission denied', 'denied'],
  ])('that is refused with %i and %j is "%s"', async (status, text, refused) => {
    await using peer = await startPeer(answering(status, { errors: [text] }))
    expect(await login(peer)).toEqual({ refused })
  })

  it.each([
    [503, { errors: ['Vault is sealed'] }, 'sealed'],
    [400, { errors: ['canary'] }, 'bad-request'],
    [403, 'canary', 'forbidden'],
    [500, { errors: ['invalid role name'] }, 'unavailable'],
    [429, {}, 'throttled'],
  ])('that is refused for another reason (%i, %j) throws what it is', async (status, body, kind) => {
    await using peer = await startPeer(answering(status, body))
    const error = await thrownBy(login(peer))
    expect(error).toMatchObject({ upstream: 'vault', kind, status })
    expectNoTraceOf(['canary'], error)
  })

  it.each<[string, unknown]>([
    ['no auth', {}],
    ['no type', { auth: { ...AUTH, token_type: undefined } }],
    ['a type of two words', { auth: { ...AUTH, token_type: 'two words' } }],
    ['no policies', { auth: { ...AUTH, policies: undefined } }],
    ['a policy that is no text', { auth: { ...AUTH, policies: [1] } }],
    ['a policy that would end its line', { auth: { ...AUTH, policies: ['a\nb'] } }],
    ['a lease that is a text', { auth: { ...AUTH, lease_duration: '10' } }],
    ['a page of a proxy', '<html>hvb.canary'],
  ])('is garbage with %s', async (_what, body) => {
    await using peer = await startPeer(answering(200, body))
    const error = await thrownBy(login(peer))
    expect(error).toMatchObject({ kind: 'garbage' })
    expectNoTraceOf(['canary'], error)
  })

  it.each([{ role: '../x' }, { mount: 'a/../b' }, { role: '' }])(
    'leaves for no path but its own (%j)',
    async (change) => {
      await using peer = await startPeer(answering(200, { auth: AUTH }))
      expect(await thrownBy(login(peer, change))).toBeInstanceOf(UpstreamError)
      expect(peer.seen).toEqual([])
    },
  )
})

describe('the token of nobody', () => {
  const NOW_MS = Date.UTC(2026, 0, 1)
  const parts = (text: string) => text.split('.')
  const claims = (text: string) => JSON.parse(Buffer.from(parts(text)[1] ?? '', 'base64url').toString())

  it('names nobody, for no audience, for a minute, and has the issuer that it is given', () => {
    const seconds = NOW_MS / 1000
    expect(claims(nobodysToken(NOW_MS, 'https://issuer'))).toEqual({
      iss: 'https://issuer',
      aud: ['nobody-at-all'],
      iat: seconds,
      nbf: seconds,
      exp: seconds + 60,
      'kubernetes.io': { namespace: 'nowhere-at-all', serviceaccount: { name: 'nobody-at-all', uid: 'none' } },
    })
    expect(claims(nobodysToken(NOW_MS, undefined))).not.toHaveProperty('iss')
  })

  it('is signed by nobody: its signature is another each time', () => {
    const [one, other] = [nobodysToken(NOW_MS, undefined), nobodysToken(NOW_MS, undefined)]
    expect(parts(one).slice(0, 2)).toEqual(parts(other).slice(0, 2))
    expect(parts(one)[2]).not.toBe(parts(other)[2])
    expect(Buffer.from(parts(one)[2] ?? '', 'base64url')).toHaveLength(256)
  })
})

describe('the issuer of a token', () => {
  const jwt = (claims: string) => token(`e30.${Buffer.from(claims).toString('base64url')}.c2ln`)

  it('is what the token says', () => {
    expect(issuerOf(jwt('{"iss":"https://issuer"}'))).toBe('https://issuer')
  })

  it.each([
    ['says none', jwt('{}')],
    ['says it in another type', jwt('{"iss":["https://issuer"]}')],
    ['has claims that are none', jwt('null')],
    ['has claims that are no JSON', jwt('{"iss"')],
    ['is no JWT', token('canary')],
  ])('is unknown of a token that %s', (_what, own) => {
    expect(issuerOf(own)).toBeUndefined()
  })
})
