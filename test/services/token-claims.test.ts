import { inspect } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { KeyholeError } from '../../src/errors.ts'
import { token } from '../../src/opaque.ts'
import { readClaims } from '../../src/services/token-claims.ts'
import type { ClaimSet } from './jwt.ts'
import { AUDIENCE, claimsAt, HOUR_SECONDS, jwt } from './jwt.ts'

const NOW = Date.UTC(2026, 0, 15)
const NOW_SECONDS = NOW / 1000
const RULES = { audience: AUDIENCE, maxTokenBytes: 2048, maxLifetimeMs: 86_400_000, maxSkewMs: 60_000 }

function read(changes: ClaimSet) {
  return readClaims(jwt(claimsAt(NOW, changes)), RULES, NOW)
}

function refusalOf(act: () => unknown): KeyholeError {
  try {
    act()
  } catch (error) {
    if (error instanceof KeyholeError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('readClaims', () => {
  test('refuses a token that is longer than the bound, before it looks into it', () => {
    const long = jwt(claimsAt(NOW, { pad: 'x'.repeat(2048) }))
    expect(refusalOf(() => readClaims(long, RULES, NOW))).toMatchObject({ code: 'TOKEN_REJECTED', why: 'too-large' })
  })

  test.each([
    ['nothing', ''],
    ['one part', 'a'],
    ['two parts', 'e30.e30'],
    ['four parts', 'e30.e30.e30.e30'],
    ['an empty payload', 'e30..e30'],
    ['no signature', 'e30.e30.'],
    ['padding', 'e30=.e30=.e30='],
    ['a line break at its end', 'e30.e30.e30\n'],
    ['a payload that is no JSON', 'e30.e30x.e30'],
    ['a payload that is null', `e30.${Buffer.from('null').toString('base64url')}.e30`],
    ['a payload that is a string', `e30.${Buffer.from('"keyhole"').toString('base64url')}.e30`],
    ['a payload that is an array', `e30.${Buffer.from('[]').toString('base64url')}.e30`],
  ])('refuses %s as no JWT', (_, content) => {
    const refusal = refusalOf(() => readClaims(token(content), RULES, NOW))
    expect(refusal).toMatchObject({ code: 'TOKEN_REJECTED', why: 'not-a-jwt', cause: undefined })
  })

  test.each([
    ['another audience', ['https://kubernetes.default.svc'], 'other-audience'],
    ['another audience as a string', 'vault', 'other-audience'],
    ['no audience', undefined, 'other-audience'],
    ['an empty list of audiences', [], 'other-audience'],
    ['a list in a list', [[AUDIENCE]], 'other-audience'],
    ['an object for an audience', { 0: AUDIENCE, length: 1 }, 'other-audience'],
    ['an audience that only begins like it', 'keyhole2', 'other-audience'],
    ['a second audience', [AUDIENCE, 'vault'], 'several-audiences'],
    ['the same audience twice', [AUDIENCE, AUDIENCE], 'several-audiences'],
  ])('refuses %s and says what to mount', (_, aud, why) => {
    const refusal = refusalOf(() => read({ aud }))
    expect(refusal).toMatchObject({ code: 'TOKEN_AUDIENCE', why })
    expect(refusal.detail).toContain('only audience is "keyhole"')
    expect(refusal.detail).not.toContain('vault')
  })

  test.each([
    ['without an expiry', { exp: undefined }, 'no-expiry'],
    ['whose expiry is a string', { exp: '2000000000' }, 'no-expiry'],
    ['that never ends', { exp: 1e306, iat: 1e306 }, 'no-expiry'],
    ['without an issue time', { iat: undefined }, 'no-issue-time'],
    ['whose issue time is null', { iat: null }, 'no-issue-time'],
    ['that begins at no time', { nbf: 'soon' }, 'not-a-time'],
    ['that has ended', { exp: NOW_SECONDS - 1 }, 'expired'],
    ['that ends now', { exp: NOW_SECONDS }, 'expired'],
    ['that lives a year', { exp: NOW_SECONDS + 365 * 86_400 }, 'lives-too-long'],
    ['that lives a second longer than a day', { exp: NOW_SECONDS + 86_401 }, 'lives-too-long'],
    ['that is not valid for more than the skew', { nbf: NOW_SECONDS + 61 }, 'not-yet-valid'],
  ])('refuses a token %s', (_, changes, why) => {
    expect(refusalOf(() => read(changes))).toMatchObject({ code: 'TOKEN_REJECTED', why })
  })

  test('tells the holder of an expired token to read its file again', () => {
    expect(refusalOf(() => read({ exp: NOW_SECONDS })).detail).toContain('read the file for every request')
  })

  test('tells the holder of a token that lives too long what to set', () => {
    const refusal = refusalOf(() => read({ exp: NOW_SECONDS + 365 * 86_400 }))
    expect(refusal.detail).toContain('expirationSeconds are at most 86400')
  })

  test('quotes nothing of the token in what it throws', () => {
    const canary = 'c4n4ry'
    for (const changes of [{ aud: canary }, { exp: canary }, { nbf: canary }, { iat: canary }]) {
      const refusal = refusalOf(() => read(changes))
      expect(inspect(refusal, { depth: 9, showHidden: true })).not.toContain(canary)
    }
    const broken = token(`e30.${Buffer.from(`{"${canary}`).toString('base64url')}.e30`)
    expect(inspect(refusalOf(() => readClaims(broken, RULES, NOW)))).not.toContain(canary)
  })

  test.each([
    ['a list of one audience, as the API server writes it', { aud: [AUDIENCE] }],
    ['one audience as a string, as RFC 7519 allows', { aud: AUDIENCE }],
    ['times with fractions, as RFC 7519 allows', { exp: NOW_SECONDS + 60.5, iat: NOW_SECONDS - 0.25 }],
    ['a life of exactly a day', { exp: NOW_SECONDS + 86_400 }],
    ['no nbf', { nbf: undefined }],
    ['a beginning within the skew', { nbf: NOW_SECONDS + 60 }],
    ['an issue time ahead of our clock', { iat: NOW_SECONDS + 30 }],
    ['the last millisecond before its end', { exp: NOW_SECONDS + 0.001 }],
  ])('passes %s', (_, changes) => {
    expect(read(changes).expiresAt).toBeGreaterThan(NOW)
  })

  test('tells when the token ends, in milliseconds', () => {
    expect(read({}).expiresAt).toBe(NOW + HOUR_SECONDS * 1000)
  })

  test('refuses in words of its own whatever it is handed', () => {
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((bytes) => token(Buffer.from(bytes).toString('latin1'))),
      fc.jsonValue({ maxDepth: 1 }).map((claims) => jwt(claims)),
      fc
        .dictionary(fc.constantFrom('aud', 'exp', 'iat', 'nbf', '__proto__'), fc.jsonValue({ maxDepth: 1 }))
        .map((claims) => jwt(claims)),
    )
    fc.assert(
      fc.property(anything, (presented) => {
        expect(['TOKEN_REJECTED', 'TOKEN_AUDIENCE']).toContain(refusalOf(() => readClaims(presented, RULES, NOW)).code)
      }),
      { seed: 3 },
    )
  })
})
