/** What keyhole says about rotations, typed by the contract, and peers that say it. */
import type { ServerResponse } from 'node:http'
import type {
  Code,
  KeyReport,
  LedgerEntry,
  Problem,
  RotationEvent,
  RotationReport,
  RotationStatus,
  SecretReport,
} from '../../src/contract.ts'
import { ruleOf } from '../../src/contract.ts'

export function secretReport(name: string, outcome: SecretReport['outcome'], more: Partial<SecretReport> = {}) {
  return { namespace: 'payments', name, outcome, ...more } satisfies SecretReport
}

export function keyReport(more: Partial<KeyReport> = {}): KeyReport {
  return {
    key: 'payments',
    mount: 'transit',
    complete: true,
    resumed: false,
    from: 4,
    to: 5,
    advance: 'made',
    minDecryptionVersion: { before: 3, after: 4 },
    retirement: { done: true, why: 'raised', detail: 'Older versions do not open any more.' },
    secrets: [secretReport('db', 'rewrapped'), secretReport('tls', 'current')],
    ...more,
  }
}

export function report(more: Partial<RotationReport> = {}): RotationReport {
  return {
    type: 'report',
    id: '7f3c2a9e',
    mode: 'rotate',
    retire: 'after-grace',
    dryRun: false,
    complete: true,
    startedAt: '2026-01-15T00:00:00.000Z',
    finishedAt: '2026-01-15T00:00:42.000Z',
    keys: [keyReport()],
    ...more,
  }
}

export function incomplete(...keys: readonly Partial<KeyReport>[]): RotationReport {
  return report({ complete: false, keys: keys.map((key) => keyReport({ complete: false, ...key })) })
}

export const BLOCKED_ONLY = incomplete({
  secrets: [
    secretReport('db', 'rewrapped'),
    secretReport('gone', 'blocked', { code: 'SECRET_MISSING', detail: 'Create it.' }),
  ],
})

export const LEFT = incomplete({ secrets: [secretReport('db', 'rewrapped'), secretReport('tls', 'left')] })

export const EVENTS: readonly RotationEvent[] = [
  { type: 'started', id: '7f3c2a9e', keys: ['payments'], dryRun: false },
  { type: 'step', key: 'payments', stage: 'advance', from: 4, to: 5 },
  { type: 'progress', key: 'payments', stage: 'move', done: 1, total: 2 },
  { type: 'step', key: 'payments', stage: 'close' },
]

export function ledgerEntry(
  key: string,
  latestCreatedAt: string | undefined,
  more: Partial<LedgerEntry> = {},
): LedgerEntry {
  return {
    key,
    mount: 'transit',
    latestVersion: 5,
    minDecryptionVersion: 4,
    ...(latestCreatedAt !== undefined && { latestCreatedAt }),
    secrets: 1,
    versions: { 5: 1 },
    drift: [],
    gitops: [],
    blocked: [],
    ...more,
  }
}

export function status(...ledger: readonly LedgerEntry[]): RotationStatus {
  return { running: null, last: null, ledger, surveyedAt: '2026-01-15T00:00:00.000Z' }
}

export function problem(code: Code, more: Partial<Problem> = {}): Problem {
  const { status: number, title, advice, retryAfterSeconds } = ruleOf(code)
  const retryable = retryAfterSeconds !== undefined
  return { type: 'about:blank', title, status: number, detail: advice, code, retryable, ...more }
}

/** Answers one request. */
export type Answer = (reply: ServerResponse) => void

export function refuses(code: Code, more: Partial<Problem> = {}, retryAfter = ruleOf(code).retryAfterSeconds): Answer {
  const body = problem(code, more)
  return (reply) => {
    const retry = retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }
    reply.writeHead(body.status, { 'content-type': 'application/problem+json', ...retry })
    reply.end(JSON.stringify(body))
  }
}

export function says(body: unknown): Answer {
  return raw(200, 'application/json; charset=utf-8', JSON.stringify(body))
}

/** The whole stream; a last line that is not the report is a stream that was cut. */
export function streams(...lines: readonly unknown[]): Answer {
  return raw(200, 'application/x-ndjson', lines.map((line) => `${JSON.stringify(line)}\n`).join(''))
}

export function raw(code: number, type: string, body: string, headers: Readonly<Record<string, string>> = {}): Answer {
  return (reply) => {
    reply.writeHead(code, { ...(type !== '' && { 'content-type': type }), ...headers })
    reply.end(body)
  }
}

export const HTML = '<html><body>502 Bad Gateway</body></html>'
