/** Tokens as the API server makes them, but for the signature: what keyhole reads of a token it reads unverified. */
import type { Token } from '../../src/opaque.ts'
import { token } from '../../src/opaque.ts'

export const AUDIENCE = 'keyhole'
export const HOUR_SECONDS = 3600

export type ClaimSet = Readonly<Record<string, unknown>>

/** Issued at `nowMs` for an hour; `changes` replace claims, and undefined ones go. */
export function claimsAt(nowMs: number, changes: ClaimSet = {}): ClaimSet {
  const iat = Math.floor(nowMs / 1000)
  return { aud: [AUDIENCE], iat, nbf: iat, exp: iat + HOUR_SECONDS, jti: 'a', ...changes }
}

export function jwt(claims: unknown, signature = 'c2lnbmF0dXJl'): Token {
  return token(`${part({ alg: 'RS256' })}.${part(claims)}.${signature}`)
}

function part(content: unknown): string {
  return Buffer.from(JSON.stringify(content)).toString('base64url')
}
