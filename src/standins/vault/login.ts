/**
 * POST auth/<mount>/login of the Kubernetes auth method: claims first, then the API server's word on the token.
 *
 * Whatever goes wrong with the API server (down, no right to review, garbage) is "permission denied", as in the real one.
 */
import type { Clock } from '../../clock.ts'
import type { StandinReply } from '../server.ts'
import type { VaultRole } from '../vault.ts'
import { envelope, errors, unrecognized } from './answers.ts'
import type { ReviewToken } from './review.ts'
import type { Tokens } from './tokens.ts'

export interface LoginOptions {
  readonly clock: Clock
  readonly roles: ReadonlyMap<string, VaultRole>
  readonly tokens: Tokens
  readonly review: ReviewToken
  /** A stable id for whoever logs in with this ServiceAccount uid. */
  readonly entityOf: (uid: string) => string
}

interface JwtClaims {
  readonly aud?: string | readonly string[]
  readonly exp?: number
  readonly nbf?: number
  readonly iat?: number
  readonly 'kubernetes.io'?: {
    readonly namespace?: string
    readonly serviceaccount?: { readonly name?: string; readonly uid?: string }
  }
}

const FIELDS = new Set(['jwt', 'role'])
const LEEWAY_MS = 60_000
/** What the real one takes for the life of a token that does not say. */
const ASSUMED_SECONDS = 150

export async function login(
  body: Readonly<Record<string, unknown>>,
  { clock, roles, tokens, review, entityOf }: LoginOptions,
  signal: AbortSignal,
): Promise<StandinReply> {
  const roleName = String(body['role'] ?? '')
  const jwt = String(body['jwt'] ?? '')
  if (roleName === '') return errors(400, 'missing role')
  if (jwt === '') return errors(400, 'missing jwt')
  const role = roles.get(roleName.toLowerCase())
  if (role === undefined) return errors(400, `invalid role name ${JSON.stringify(roleName)}`)
  const claims = claimsOf(jwt)
  if (claims === undefined) return errors(403, 'permission denied')
  const refusal = claimFlaw(claims, role, clock.now()) ?? identityFlaw(claims, role)
  if (refusal !== undefined) return errors(403, refusal)
  const { name = '', uid = '' } = claims['kubernetes.io']?.serviceaccount ?? {}
  const namespace = claims['kubernetes.io']?.namespace ?? ''
  if (uid === '') return errors(500, 'could not parse UID from claims')

  const audiences = role.audience === undefined ? audiencesOf(claims) : [role.audience]
  const reviewed = await review(jwt, audiences, signal)
  const same = reviewed?.name === name && reviewed.namespace === namespace && reviewed.uid === uid
  if (!same) return errors(403, 'permission denied')

  const type = role.tokenType ?? 'batch'
  const ttlSeconds = role.tokenTtlSeconds ?? 10
  const policies = [...role.policies].sort()
  const auth = {
    client_token: tokens.issue({ policies, ttlSeconds, type }),
    accessor: type === 'batch' ? '' : entityOf(`${uid}/accessor`).replaceAll('-', '').slice(0, 24),
    policies,
    token_policies: policies,
    metadata: {
      role: roleName,
      service_account_name: name,
      service_account_namespace: namespace,
      service_account_secret_name: '',
      service_account_uid: uid,
    },
    lease_duration: ttlSeconds,
    renewable: type === 'service',
    entity_id: entityOf(uid),
    token_type: type,
    orphan: true,
    mfa_requirement: null,
    num_uses: 0,
  }
  return envelope(200, { auth, warnings: unrecognized(body, FIELDS), mountType: '' })
}

function claimsOf(jwt: string): JwtClaims | undefined {
  const parts = jwt.split('.')
  if (parts.length !== 3) return undefined
  try {
    const claims: unknown = JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString())
    return typeof claims === 'object' && claims !== null ? claims : undefined
  } catch {
    return undefined
  }
}

function audiencesOf(claims: JwtClaims): readonly string[] {
  if (claims.aud === undefined) return []
  return typeof claims.aud === 'string' ? [claims.aud] : claims.aud
}

function claimFlaw(claims: JwtClaims, role: VaultRole, now: number): string | undefined {
  if (role.audience !== undefined && !audiencesOf(claims).includes(role.audience)) {
    return 'invalid audience (aud) claim: audience claim does not match any expected audience'
  }
  const { iat = 0, nbf = 0 } = claims
  if (iat === 0 && nbf === 0 && claims.exp === undefined) return undefined
  const exp = claims.exp ?? Math.max(iat, nbf) + ASSUMED_SECONDS
  if (now + LEEWAY_MS < nbf * 1000) return 'invalid not before (nbf) claim: token not yet valid'
  if (now - LEEWAY_MS > exp * 1000) return 'invalid expiration time (exp) claim: token is expired'
  if (now + LEEWAY_MS < iat * 1000) return 'invalid issued at (iat) claim: token issued in the future'
  return undefined
}

function identityFlaw(claims: JwtClaims, role: VaultRole): string | undefined {
  const { namespace = '', serviceaccount } = claims['kubernetes.io'] ?? {}
  if (!role.serviceAccountNames.some((pattern) => globs(pattern, serviceaccount?.name ?? ''))) {
    return 'service account name not authorized'
  }
  if (!role.serviceAccountNamespaces.some((pattern) => globs(pattern, namespace))) return 'namespace not authorized'
  return undefined
}

function globs(pattern: string, value: string): boolean {
  const pieces = pattern.split('*').map((piece) => piece.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
  return new RegExp(`^${pieces.join('.*')}$`).test(value)
}
