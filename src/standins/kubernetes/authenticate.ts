/**
 * Whose bearer token is it? The order of the checks is the real server's, because it decides which text a bad token gets:
 * issuer, signature, audience, times, ServiceAccount, pod.
 */
import { createHash } from 'node:crypto'
import type { Clock } from '../../clock.ts'
import type { Claims, SigningKey } from './signing.ts'
import { unverifiedClaims } from './signing.ts'
import type { Store } from './store.ts'
import { at } from './store.ts'

export interface User {
  readonly username: string
  readonly uid?: string
  readonly groups: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>>
}

export type Authentication =
  | { readonly user: User; readonly audiences: readonly string[] }
  /** The text of `status.error`. */
  | { readonly error: string }

export type Authenticate = (token: string, audiences: readonly string[]) => Authentication

export interface AuthenticateOptions {
  readonly clock: Clock
  readonly store: Store
  readonly key: SigningKey
  readonly issuer: string
  /** How long a positive answer is given again without looking; 0 = never. */
  readonly cacheMs: number
}

/** The real server forgives this much on every time in a token, and on a deleted pod. */
const LEEWAY_MS = 60_000

export function createAuthenticate(options: AuthenticateOptions): Authenticate {
  const { clock, store, key, issuer, cacheMs } = options
  const positive = new Map<string, { until: number; authentication: Authentication }>()

  return (token, audiences) => {
    if (cacheMs === 0) return look(token, audiences)
    const now = clock.now()
    // Entries lie in the order in which they end, so that forgetting stops at the first that lives.
    for (const [ended, { until }] of positive) {
      if (until > now) break
      positive.delete(ended)
    }
    const cacheKey = createHash('sha256')
      .update(JSON.stringify([token, audiences]))
      .digest('hex')
    const kept = positive.get(cacheKey)
    if (kept !== undefined) return kept.authentication
    const authentication = look(token, audiences)
    if ('user' in authentication) positive.set(cacheKey, { until: now + cacheMs, authentication })
    return authentication
  }

  function look(token: string, audiences: readonly string[]): Authentication {
    const user = store.users.get(token)
    if (user !== undefined) {
      // A token file knows nothing of audiences, so it speaks for the API server's own only.
      if (!audiences.includes(issuer)) return { error: 'invalid bearer token' }
      const groups = [...user.groups, 'system:authenticated']
      return { user: { username: user.name, uid: user.uid, groups }, audiences: [issuer] }
    }
    if (unverifiedClaims(token)?.iss !== issuer) return { error: 'invalid bearer token' }
    const verified = key.verify(token)
    if (verified === undefined) return { error: 'invalid bearer token' }
    if ('error' in verified) return refused(verified.error)
    const named = audiencesOf(verified.claims)
    const own = named.length === 0 ? [issuer] : named
    const shared = audiences.filter((audience) => own.includes(audience))
    if (shared.length === 0) {
      return refused(`token audiences ${quoted(own)} is invalid for the target audiences ${quoted(audiences)}`)
    }
    const flaw = untimely(verified.claims, clock.now()) ?? unbound(verified.claims)
    if (flaw !== undefined) return refused(flaw)
    return { user: serviceAccountUser(verified.claims), audiences: shared }
  }

  function unbound(claims: Claims): string | undefined {
    const bound = claims['kubernetes.io']
    const name = bound?.serviceaccount?.name ?? ''
    if (name === '') return 'resource name may not be empty'
    const account = store.serviceAccounts.get(at(bound?.namespace ?? '', name))
    if (account === undefined) return `serviceaccounts "${name}" not found`
    const uid = bound?.serviceaccount?.uid ?? ''
    if (account.uid !== uid) return `service account UID (${account.uid}) does not match claim (${uid})`
    if (bound?.pod === undefined) return undefined
    const pod = store.pods.get(at(account.namespace, bound.pod.name ?? ''))
    if (pod === undefined) return 'service account token has been invalidated'
    const podUid = bound.pod.uid ?? ''
    if (pod.meta.uid !== podUid) {
      return `pod UID (${pod.meta.uid}) does not match service account pod ref claim (${podUid})`
    }
    const dead = pod.deletionAt !== undefined && pod.deletionAt < clock.now() - LEEWAY_MS
    return dead ? 'service account token has been invalidated' : undefined
  }
}

function refused(text: string): Authentication {
  return { error: `[invalid bearer token, ${text}]` }
}

function audiencesOf(claims: Claims): readonly string[] {
  if (claims.aud === undefined) return []
  return typeof claims.aud === 'string' ? [claims.aud] : claims.aud
}

/** Go's %q of a list. */
function quoted(audiences: readonly string[]): string {
  return `[${audiences.map((audience) => JSON.stringify(audience)).join(' ')}]`
}

/** A token without `exp` never expires: the real server accepts it. */
function untimely(claims: Claims, now: number): string | undefined {
  if (claims.nbf !== undefined && now + LEEWAY_MS < claims.nbf * 1000) return 'service account token is not valid yet'
  if (claims.exp !== undefined && now - LEEWAY_MS > claims.exp * 1000) return 'service account token has expired'
  if (claims.iat !== undefined && now + LEEWAY_MS < claims.iat * 1000) {
    return 'service account token is issued in the future'
  }
  return undefined
}

/** From the private claims: `sub` is never read, as in the real server. */
function serviceAccountUser(claims: Claims): User {
  const bound = claims['kubernetes.io']
  const namespace = bound?.namespace ?? ''
  const extra: Record<string, string[]> = {}
  if (claims.jti) extra['authentication.kubernetes.io/credential-id'] = [`JTI=${claims.jti}`]
  if (bound?.node?.name) extra['authentication.kubernetes.io/node-name'] = [bound.node.name]
  if (bound?.node?.uid) extra['authentication.kubernetes.io/node-uid'] = [bound.node.uid]
  if (bound?.pod?.name) extra['authentication.kubernetes.io/pod-name'] = [bound.pod.name]
  if (bound?.pod?.uid) extra['authentication.kubernetes.io/pod-uid'] = [bound.pod.uid]
  return {
    username: `system:serviceaccount:${namespace}:${bound?.serviceaccount?.name ?? ''}`,
    ...(bound?.serviceaccount?.uid === undefined ? {} : { uid: bound.serviceaccount.uid }),
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  }
}
