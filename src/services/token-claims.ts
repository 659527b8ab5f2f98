/**
 * What a token says of itself, read before anyone is asked: enough to refuse the hopeless without a call, and to tell
 * a mis-mounted token from a bad one. Nothing here is verified, so nothing here ever admits: the API server decides.
 */
import { KeyholeError } from '../errors.ts'
import type { Token } from '../opaque.ts'

export interface ClaimRules {
  /** keyhole's audience, and the only one a token may name. */
  readonly audience: string
  readonly maxTokenBytes: number
  /** Longest time between `iat` and `exp`. */
  readonly maxLifetimeMs: number
  /** How far keyhole's clock may be behind the API server's. */
  readonly maxSkewMs: number
}

export interface Claims {
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

/** @throws KeyholeError TOKEN_REJECTED, or TOKEN_AUDIENCE with what to mount. */
export function readClaims(token: Token, rules: ClaimRules, nowMs: number): Claims {
  const payload = parsePayload(token.reveal(), rules.maxTokenBytes)
  requireAudience(payload['aud'], rules.audience)
  const expiresAt = requireTime(payload['exp'], 'no-expiry')
  const issuedAt = requireTime(payload['iat'], 'no-issue-time')
  if (expiresAt <= nowMs) throw rejected('expired', EXPIRED_ADVICE)
  if (expiresAt - issuedAt > rules.maxLifetimeMs) {
    throw rejected(
      'lives-too-long',
      `Mount a projected ServiceAccount token whose expirationSeconds are at most ${rules.maxLifetimeMs / 1000}.`,
    )
  }
  if (payload['nbf'] !== undefined && requireTime(payload['nbf'], 'not-a-time') > nowMs + rules.maxSkewMs) {
    throw rejected('not-yet-valid')
  }
  return { expiresAt }
}

const COMPACT_JWS = /^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+$/

function parsePayload(jwt: string, maxTokenBytes: number): Record<string, unknown> {
  if (jwt.length > maxTokenBytes) throw rejected('too-large')
  const body = COMPACT_JWS.exec(jwt)?.[1]
  if (body === undefined) throw rejected('not-a-jwt')
  try {
    const payload: unknown = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'))
    if (typeof payload === 'object' && payload !== null && !Array.isArray(payload)) {
      return payload as Record<string, unknown>
    }
  } catch {
    // Its message quotes the payload, so it is not kept as a cause.
  }
  throw rejected('not-a-jwt')
}

/**
 * Exactly ours. A token for a second audience would be good somewhere else too, and whoever holds keyhole's memory
 * or sits in front of it could use it there.
 */
function requireAudience(claim: unknown, audience: string): void {
  const named: readonly unknown[] = Array.isArray(claim) ? claim : [claim]
  if (named.length === 1 && named[0] === audience) return
  throw new KeyholeError('TOKEN_AUDIENCE', {
    why: named.includes(audience) ? 'several-audiences' : 'other-audience',
    detail:
      `Mount a projected ServiceAccount token whose only audience is "${audience}" ` +
      '(volumes[].projected.sources[].serviceAccountToken.audience), and send that one.',
  })
}

function requireTime(claim: unknown, why: string): number {
  const timeMs = typeof claim === 'number' ? claim * 1000 : Number.NaN
  // Of two infinities no difference is too long.
  if (!Number.isFinite(timeMs)) throw rejected(why)
  return timeMs
}

/** Tells the caller what its own token says, so it is no secret. It is the mistake of whoever reads the file once. */
const EXPIRED_ADVICE =
  'Your token has expired. Its file holds a newer one: read the file for every request, not once at start.'

function rejected(why: string, detail?: string): KeyholeError {
  return new KeyholeError('TOKEN_REJECTED', { why, ...(detail !== undefined && { detail }) })
}
