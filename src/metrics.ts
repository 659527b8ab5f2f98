/**
 * What /metrics shows. Every label is from a closed set: no name of a caller, a Secret or a key is ever one, but for those
 * of Transit keys where the operator asks for them.
 */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client'
import type { Clock } from './clock.ts'
import type { Code, LedgerEntry } from './contract.ts'
import { CODES } from './contract.ts'

export interface Metrics {
  readonly contentType: string
  replied(route: string, status: number, durationMs: number): void
  refused(code: Code): void
  /** `outcome`: an HTTP status, or a word for how there was none. */
  asked(upstream: 'kubernetes' | 'vault', outcome: string, durationMs: number): void
  /** Registers a counter with one label of these values, each 0 until it is first counted. */
  counter<V extends string>(name: string, help: string, label: string, values: readonly V[]): (value: V) => void
  /** Registers what does not change: the value is 1, the labels tell. */
  info(name: string, help: string, labels: Readonly<Record<string, string>>): void
  /** Registers a value that is read at each scrape. */
  gauge(name: string, help: string, read: () => number): void
  /** The same for several values under one label, each read anew; what is not read any more is gone. */
  gauges(name: string, help: string, label: string, read: () => Iterable<readonly [label: string, value: number]>): void
  render(): Promise<string>
}

const REPLY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

/**
 * How a call ends that says nothing good of its upstream. Not `aborted`: that is a caller who left.
 * docs/reference/metrics.md lists them, and the alert rules count them.
 */
export const UPSTREAM_FAILURES = [
  ...['timeout', 'refused', 'reset', 'unreachable', 'tls', 'too-large', 'protocol', 'path'],
  ...['401', '429', '500', '502', '503', '504'],
]

/** Of each route, the statuses that alert rules look for. */
const COUNTED_STATUSES = [200, 500, 503, 504]

/**
 * A series that is not there before its first event hides that event: Prometheus sees no rise from nothing to 1. So
 * what an alert rule counts is there from the start, as 0.
 *
 * @param routes patterns of the routes that are served.
 */
export function openMetrics(routes: readonly string[] = []): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  const replies = new Counter({
    name: 'keyhole_replies_total',
    help: 'Replies that are over, by route and HTTP status.',
    labelNames: ['route', 'status'],
    registers,
  })
  const replySeconds = new Histogram({
    name: 'keyhole_reply_duration_seconds',
    help: 'Time from the first byte of a request to the end of its reply.',
    labelNames: ['route'],
    buckets: REPLY_SECONDS,
    registers,
  })
  const refusals = new Counter({
    name: 'keyhole_refusals_total',
    help: 'Refused requests, by code.',
    labelNames: ['code'],
    registers,
  })
  const calls = new Counter({
    name: 'keyhole_upstream_calls_total',
    help: 'Calls to Kubernetes and Vault, by outcome: an HTTP status, or how there was none.',
    labelNames: ['upstream', 'outcome'],
    registers,
  })
  const callSeconds = new Histogram({
    name: 'keyhole_upstream_duration_seconds',
    help: 'Duration of calls to Kubernetes and Vault.',
    labelNames: ['upstream'],
    buckets: REPLY_SECONDS,
    registers,
  })
  for (const route of routes) {
    for (const status of COUNTED_STATUSES) replies.inc({ route, status }, 0)
    replySeconds.zero({ route })
  }
  for (const code of Object.keys(CODES)) refusals.inc({ code }, 0)
  for (const upstream of ['kubernetes', 'vault']) {
    for (const outcome of UPSTREAM_FAILURES) calls.inc({ upstream, outcome }, 0)
    callSeconds.zero({ upstream })
  }

  return {
    contentType: registry.contentType,
    replied(route, status, durationMs) {
      replies.inc({ route, status })
      replySeconds.observe({ route }, durationMs / 1000)
    },
    refused: (code) => refusals.inc({ code }),
    asked(upstream, outcome, durationMs) {
      calls.inc({ upstream, outcome })
      callSeconds.observe({ upstream }, durationMs / 1000)
    },
    counter(name, help, label, values) {
      const counted = new Counter({ name, help, labelNames: [label], registers })
      for (const value of values) counted.inc({ [label]: value }, 0)
      return (value) => counted.inc({ [label]: value })
    },
    info(name, help, labels) {
      new Gauge({ name, help, labelNames: Object.keys(labels), registers }).set(labels, 1)
    },
    gauge(name, help, read) {
      new Gauge({
        name,
        help,
        registers,
        collect() {
          this.set(read())
        },
      })
    },
    gauges(name, help, label, read) {
      new Gauge({
        name,
        help,
        labelNames: [label],
        registers,
        collect() {
          this.reset()
          for (const [value, number] of read()) this.set({ [label]: value }, number)
        },
      })
    },
    render: () => registry.metrics(),
  }
}

/** How Transit keys stood when they were last looked at. */
export interface TransitKeyStates {
  last(): { readonly atMs: number; readonly entries: ReadonlyMap<string, LedgerEntry> } | undefined
}

export interface ShownTransitKeys {
  readonly metrics: Metrics
  readonly clock: Clock
  readonly survey: TransitKeyStates
  /** Whether the policy says who may rotate this key: of any other it is nobody's duty. */
  readonly isRotated: (key: string) => boolean
  /** One value a key, under its name; without it one value for all: the worst, or the sum. */
  readonly withNames: boolean
}

export function showTransitKeys({ metrics, clock, survey, isRotated, withNames }: ShownTransitKeys): void {
  const all = () => [...(survey.last()?.entries.values() ?? [])]
  const ageSeconds = (time: string | undefined) => (time === undefined ? 0 : (clock.now() - Date.parse(time)) / 1000)
  const show = (
    name: string,
    help: string,
    of: (entry: LedgerEntry) => number,
    together: (values: readonly number[]) => number,
    entries = all,
  ) => {
    if (withNames) metrics.gauges(name, help, 'transit_key', () => entries().map((entry) => [entry.key, of(entry)]))
    else metrics.gauge(name, help, () => together(entries().map(of)))
  }
  const worst = (values: readonly number[]) => Math.max(0, ...values)
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0)
  show(
    'keyhole_transit_key_age_seconds',
    'Age of the newest version of a Transit key that somebody may rotate; without names the greatest of all.',
    ({ latestCreatedAt }) => ageSeconds(latestCreatedAt),
    worst,
    () => all().filter(({ key }) => isRotated(key)),
  )
  show(
    'keyhole_transit_oldest_version_age_seconds',
    'Age of the oldest version that some Secret still holds; without names the greatest of all keys.',
    ({ oldestCreatedAt }) => ageSeconds(oldestCreatedAt),
    worst,
  )
  show('keyhole_transit_secrets', 'Secrets under Transit keys.', ({ secrets }) => secrets, sum)
  show(
    'keyhole_transit_secrets_behind',
    'Secrets that are not on the newest version.',
    ({ drift }) => drift.length,
    sum,
  )
  show('keyhole_transit_secrets_blocked', 'Secrets that cannot be moved.', ({ blocked }) => blocked.length, sum)
  show('keyhole_transit_secrets_gitops', 'Secrets that a GitOps tool also writes.', ({ gitops }) => gitops.length, sum)
  show(
    'keyhole_transit_key_unreadable',
    '1 for a Transit key that Vault does not tell about; without names how many.',
    ({ failure }) => Number(failure !== undefined),
    sum,
  )
  metrics.gauge(
    'keyhole_survey_timestamp_seconds',
    'When Secrets were last looked at, as a Unix time.',
    () => (survey.last()?.atMs ?? 0) / 1000,
  )
}
