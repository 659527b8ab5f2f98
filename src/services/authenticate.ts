/**
 * Token -> Caller. The API server reviews the token; keyhole asks for its own audience, checks that the answer is
 * about it, and takes nothing but a ServiceAccount.
 *
 * A positive review is kept for at most `keepMs` and never past the token's expiry, under the token's SHA-256: that
 * is what a revocation waits for, on top of the API server's own 10 s. A negative one is never kept.
 */
import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { KeyholeError } from '../errors.ts'
import { LABEL, SUBDOMAIN } from '../label.ts'
import type { Token } from '../opaque.ts'
import { joined, raced } from './joined.ts'
import type { ClaimRules } from './token-claims.ts'
import { readClaims } from './token-claims.ts'
import type { Turnstile } from './turnstile.ts'
import { kubernetesRefusal } from './upstream.ts'

declare const reviewed: unique symbol

/** A ServiceAccount that the API server vouched for, for keyhole's audience. */
export interface Caller {
  readonly [reviewed]: true
  readonly namespace: string
  readonly serviceAccount: string
  readonly uid: string
  /** The pod that the token is bound to; absent for a token bound to none. */
  readonly pod?: { readonly name: string; readonly uid: string }
  /** Names the token in the API server's audit log, too. */
  readonly credentialId?: string
}

/** What the API server answers, as far as it is used. */
export interface Review {
  readonly authenticated: boolean
  readonly audiences: readonly string[]
  readonly username?: string
  readonly uid?: string
  readonly extra: ReadonlyMap<string, readonly string[]>
}

export interface TokenReviews {
  reviewToken(token: Token, audience: string, signal: AbortSignal): Promise<Review>
}

export interface Presented {
  readonly token: Token
  /** The address it came from, for a fair share of the reviews. */
  readonly peer: string
  /** Asks anew, whatever is kept or being asked: for what must not outlive a revocation. */
  readonly fresh?: boolean
}

export interface AuthenticateOptions {
  readonly reviews: TokenReviews
  readonly claims: ClaimRules
  readonly turnstile: Turnstile
  readonly clock: Clock
  /** How long a positive review is kept, in ms; 0 turns keeping off. */
  readonly keepMs: number
  readonly maxKept: number
}

/** @throws KeyholeError TOKEN_REJECTED, TOKEN_AUDIENCE, KUBERNETES_UNAVAILABLE or OVERLOADED. */
export type Authenticate = (presented: Presented, signal: AbortSignal) => Promise<Caller>

export function authenticator(options: AuthenticateOptions): Authenticate {
  const { clock, keepMs } = options
  const kept = new LRUCache<string, Kept>({ max: options.maxKept })
  const reviews = joined<string, Caller>()

  return async function authenticate({ token, peer, fresh = false }, signal) {
    // Each time, so that no review outlives the token that it was about.
    readClaims(token, options.claims, clock.now())
    if (fresh) return callerOf(await review(token, peer, signal), options.claims.audience)
    const key = createHash('sha256').update(token.reveal()).digest('base64')
    const known = kept.get(key)
    if (known !== undefined && stands(known)) return known.caller
    return await reviews.join(key, signal, async (shared) => {
      const askedAt = clock.now()
      const caller = callerOf(await review(token, peer, shared), options.claims.audience)
      // Counted from the question: the answer may have been true only then.
      kept.set(key, { caller, askedAt })
      return caller
    })
  }

  /** A clock that was set back must not stretch what is kept. */
  function stands({ askedAt }: Kept): boolean {
    const ageMs = clock.now() - askedAt
    return ageMs >= 0 && ageMs < keepMs
  }

  async function review(token: Token, peer: string, signal: AbortSignal): Promise<Review> {
    const leave = await options.turnstile.enter(peer, signal)
    try {
      return await raced(options.reviews.reviewToken(token, options.claims.audience, signal), signal)
    } catch (error) {
      throw kubernetesRefusal(error)
    } finally {
      leave()
    }
  }
}

interface Kept {
  readonly caller: Caller
  readonly askedAt: number
}

const SERVICE_ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/

/**
 * A reviewer that knows nothing of audiences answers without any: its "yes" is about another audience, so it is a no.
 * TokenReview also vouches for people, nodes and bootstrap tokens, whose names may hold colons: only the exact shape
 * of a ServiceAccount's name passes.
 */
function callerOf(review: Review, audience: string): Caller {
  if (!review.authenticated) throw new KeyholeError('TOKEN_REJECTED', { why: 'not-authenticated' })
  if (!review.audiences.includes(audience)) throw new KeyholeError('TOKEN_REJECTED', { why: 'audience-not-confirmed' })
  const [, namespace = '', serviceAccount = ''] = SERVICE_ACCOUNT.exec(review.username ?? '') ?? []
  if (!LABEL.test(namespace) || !SUBDOMAIN.test(serviceAccount)) {
    throw new KeyholeError('TOKEN_REJECTED', { why: 'not-a-service-account' })
  }
  if (review.uid === undefined || review.uid === '') throw new KeyholeError('TOKEN_REJECTED', { why: 'no-uid' })
  const podName = one(review, 'authentication.kubernetes.io/pod-name')
  const podUid = one(review, 'authentication.kubernetes.io/pod-uid')
  const credentialId = one(review, 'authentication.kubernetes.io/credential-id')
  return Object.freeze({
    namespace,
    serviceAccount,
    uid: review.uid,
    ...(podName !== undefined && podUid !== undefined && { pod: Object.freeze({ name: podName, uid: podUid }) }),
    ...(credentialId !== undefined && { credentialId }),
  }) as Caller
}

function one(review: Review, name: string): string | undefined {
  const values = review.extra.get(name)
  return values?.length === 1 ? values[0] : undefined
}
