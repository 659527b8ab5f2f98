/** What /metrics shows. Every label is from a closed set: no name of a caller, a Secret or a key is ever one. */
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from '@prometheus-io/client'
import type { Code } from './contract.ts'

export interface Metrics {
  readonly contentType: string
  replied(route: string, status: number, durationMs: number): void
  refused(code: Code): void
  /** `outcome`: an HTTP status, or a word for how there was none. */
  asked(upstream: 'kubernetes' | 'vault', outcome: string, durationMs: number): void
  /** Registers a value that is read at each scrape. */
  gauge(name: string, help: string, read: () => number): void
  render(): Promise<string>
}

const REPLY_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

export function openMetrics(): Metrics {
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
    render: () => registry.metrics(),
  }
}
