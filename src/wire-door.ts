/** What every request goes through, with the bounds of how many do at once. */
import type { AuditLog } from './audit-log/log.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import { attempts } from './http/attempt.ts'
import type { PolicySource } from './policy/current.ts'
import type { Door } from './routes/secrets.ts'
import { auditor } from './services/audit.ts'
import type { TokenReviews } from './services/authenticate.ts'
import { authenticator } from './services/authenticate.ts'
import { authorizer } from './services/authorize.ts'
import type { Turnstile } from './services/turnstile.ts'
import { turnstile } from './services/turnstile.ts'

/** Of requests and of reviews, what one peer address may take: a gateway in front is one address, a pod is another. */
const REQUEST_SHARE = 1 / 2
const REVIEW_SHARE = 1 / 4
const MAX_REVIEWS_KEPT = 10_000
const MAX_CLOCK_SKEW_MS = 60_000

export interface DoorParts {
  readonly kubernetes: TokenReviews
  readonly audit: AuditLog
  readonly policy: PolicySource
  readonly clock: Clock
}

export interface WiredDoor {
  readonly door: Door
  readonly requests: Turnstile
  readonly reviews: Turnstile
}

export function wireDoor(config: Config, { kubernetes, audit, policy, clock }: DoorParts): WiredDoor {
  const waiting = config.KEYHOLE_REQUESTS_WAITING
  const requests = turnstile({ inside: config.KEYHOLE_REQUESTS_IN_FLIGHT, waiting, sharePerPeer: REQUEST_SHARE })
  const reviews = turnstile({ inside: config.KEYHOLE_REVIEWS_IN_FLIGHT, waiting, sharePerPeer: REVIEW_SHARE })
  const door = {
    audit: auditor({
      log: audit,
      clock,
      deadlineMs: config.KEYHOLE_DEADLINE_MS,
      policyHash: () => policy.current().hash,
    }),
    authenticate: authenticator({
      reviews: kubernetes,
      turnstile: reviews,
      clock,
      keepMs: config.KEYHOLE_REVIEW_KEEP_MS,
      maxKept: MAX_REVIEWS_KEPT,
      claims: {
        audience: config.KEYHOLE_AUDIENCE,
        maxTokenBytes: config.KEYHOLE_MAX_TOKEN_BYTES,
        maxLifetimeMs: config.KEYHOLE_MAX_TOKEN_LIFETIME_MS,
        maxSkewMs: MAX_CLOCK_SKEW_MS,
      },
    }),
    authorize: authorizer(policy.current, clock),
    attempts: attempts(),
  }
  return { door, requests, reviews }
}
