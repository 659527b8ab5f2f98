/** What keyhole shows of itself, on /readyz and /metrics: from before it serves, and once its parts are there. */
import type { AuditLog } from './audit-log/log.ts'
import type { Clock } from './clock.ts'
import type { Config } from './config.ts'
import type { Health } from './health.ts'
import { openHealth } from './health.ts'
import type { Metrics } from './metrics.ts'
import { openMetrics, showTransitKeys } from './metrics.ts'
import type { TransitKeys } from './services/transit-keys.ts'
import type { Turnstile } from './services/turnstile.ts'
import type { Surroundings } from './surroundings.ts'
import type { WatchedPolicy } from './wire-policy.ts'
import type { RotationOutcome, Rotator } from './wire-rotation.ts'
import { ROTATION_OUTCOMES } from './wire-rotation.ts'

export interface Shown {
  readonly health: Health
  readonly metrics: Metrics
}

export function openShown(config: Config, { versions }: Pick<Surroundings, 'versions'>): Shown {
  const health = openHealth()
  const metrics = openMetrics(routesOf(config))
  metrics.info('keyhole_build_info', 'What this process is built from; always 1.', {
    version: versions.keyhole,
    node: versions.node,
  })
  metrics.gauges('keyhole_ready', '1 while this process is ready, for each thing that it serves.', 'serves', () =>
    servesOf(config).map((what) => [what, Number(health.ready())] as const),
  )
  return { health, metrics }
}

function servesOf({ serves }: Config): readonly ('read' | 'rotate')[] {
  return (['read', 'rotate'] as const).filter((what) => serves[what])
}

/** As routes/ registers them. */
function routesOf({ serves }: Config): readonly string[] {
  return [...(serves.read ? ['/secrets', '/secrets/:name'] : []), ...(serves.rotate ? ['/rotate'] : [])]
}

export function rotationCounter(metrics: Metrics): (outcome: RotationOutcome) => void {
  return metrics.counter(
    'keyhole_rotations_total',
    'Rotations that came to their end in this process, by whether every Secret is where it should be.',
    'outcome',
    ROTATION_OUTCOMES,
  )
}

export interface OwnParts {
  readonly clock: Clock
  readonly audit: AuditLog
  readonly policy: WatchedPolicy
  readonly keys: TransitKeys
  readonly requests: Turnstile
  readonly reviews: Turnstile
  readonly rotator: Rotator | undefined
}

export function showOwnState({ health, metrics }: Shown, config: Config, parts: OwnParts): void {
  const { clock, audit, policy, keys, requests, reviews, rotator } = parts
  showAudit(health, metrics, audit)
  showPolicy(health, metrics, policy)
  showProofs(health, metrics, keys)
  metrics.gauge('keyhole_requests_in_flight', 'Requests that hold a place.', requests.inside)
  metrics.gauge('keyhole_requests_waiting', 'Requests that wait for a place.', requests.waiting)
  metrics.gauge('keyhole_reviews_in_flight', 'Token reviews in flight.', reviews.inside)
  if (rotator === undefined) return
  showTransitKeys({
    metrics,
    clock,
    survey: rotator.survey,
    isRotated: (key) => (policy.current().transitKeys.get(key)?.rotation.admins.length ?? 0) > 0,
    withNames: config.KEYHOLE_METRICS_KEY_NAMES === 'show',
  })
  metrics.gauge(
    'keyhole_rotation_last_success_timestamp_seconds',
    'When a rotation last ended with every Secret where it should be, as a Unix time; 0 while none is known of.',
    () => (rotator.lastSuccessMs() ?? 0) / 1000,
  )
}

function showAudit(health: Health, metrics: Metrics, audit: AuditLog): void {
  health.watch(() => ({ name: 'audit', ok: audit.healthy(), state: audit.healthy() ? 'ok' : 'failed', required: true }))
  metrics.gauge('keyhole_audit_healthy', '1 while audit records can be written.', () => Number(audit.healthy()))
}

function showPolicy(health: Health, metrics: Metrics, policy: WatchedPolicy): void {
  health.watch(() => ({
    name: 'policy',
    ok: policy.problems().length === 0,
    state: `${policy.current().hash}, ${policy.current().grants.size} grants, ${policy.problems().length} problems`,
    required: false,
  }))
  metrics.gauge('keyhole_policy_grants', 'SecretGrants in force.', () => policy.current().grants.size)
  metrics.gauge('keyhole_policy_problems', 'Problems of the policy directory.', () => policy.problems().length)
  metrics.gauge(
    'keyhole_policy_documents_kept',
    'Documents whose last good version is in force, because what is written now is not good.',
    () => policy.refused().kept,
  )
  metrics.gauge(
    'keyhole_policy_documents_denied',
    'Documents that are not good and of which no good version is known: what they grant is denied.',
    () => policy.refused().denied,
  )
  metrics.gauge(
    'keyhole_policy_hash',
    'The first 48 bits of the hash of the policy in force, to compare replicas.',
    () => Number.parseInt(policy.current().hash.slice('sha256:'.length, 'sha256:'.length + 12), 16),
  )
  metrics.gauge(
    'keyhole_policy_changed_timestamp_seconds',
    'When the policy in force was taken, as a Unix time.',
    () => policy.takenAtMs() / 1000,
  )
}

function showProofs(health: Health, metrics: Metrics, keys: TransitKeys): void {
  const known = () => keys.conditions().size
  const proven = () => [...keys.conditions().values()].filter((condition) => condition === 'derived').length
  health.watch(() => ({
    name: 'transit-keys',
    ok: proven() === known(),
    state: `${proven()} of ${known()} proven`,
    required: false,
  }))
  metrics.gauge('keyhole_transit_keys_proven', 'Transit keys that are known to be derived.', proven)
  metrics.gauge(
    'keyhole_transit_keys_unusable',
    'Transit keys that are known not to be usable.',
    () => known() - proven(),
  )
}
