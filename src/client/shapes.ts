/**
 * Whether what arrived has the shape that the contract says, as far as its readers rely on it. Words from closed sets are
 * only checked for being words: a newer service may know more of them, and that must not fail an older caller.
 */
import type { Problem, RotationEvent, RotationFailed, RotationReport, RotationStatus } from '../contract.ts'

export function isProblem(value: unknown): value is Problem {
  return problem(value)
}

export function isReport(value: unknown): value is RotationReport {
  return report(value)
}

export function isStatus(value: unknown): value is RotationStatus {
  return status(value)
}

/** A line of the stream that is not the report: an event of a known type, whole. */
export function isEvent(value: unknown): value is RotationEvent {
  return started(value) || step(value) || progressed(value)
}

/** The last line of a stream in place of the report. */
export function isFailed(value: unknown): value is RotationFailed {
  return ended(value)
}

/** A line of a type that this version does not know, to be passed over. */
export function isUnknownEvent(value: unknown): boolean {
  return (
    shape({ type: text })(value) && !['started', 'step', 'progress', 'report', 'failed'].includes((value as Typed).type)
  )
}

interface Typed {
  readonly type: string
}

type Check = (value: unknown) => boolean

const text: Check = (value) => typeof value === 'string'
const flag: Check = (value) => typeof value === 'boolean'
const count: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0
const time: Check = (value) => typeof value === 'string' && !Number.isNaN(Date.parse(value))
const literal =
  (word: string): Check =>
  (value) =>
    value === word
const maybe =
  (check: Check): Check =>
  (value) =>
    value === undefined || check(value)
const nullable =
  (check: Check): Check =>
  (value) =>
    value === null || check(value)
const list =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check)

function shape(members: Readonly<Record<string, Check>>): Check {
  const checks = Object.entries(members)
  return (value) =>
    typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    checks.every(([name, check]) => check((value as Readonly<Record<string, unknown>>)[name]))
}

const failure = shape({ code: text, detail: text })
const secret = shape({
  namespace: text,
  name: text,
  outcome: text,
  code: maybe(text),
  detail: maybe(text),
  gitops: maybe(text),
})
const key = shape({
  key: text,
  mount: text,
  complete: flag,
  resumed: flag,
  from: maybe(count),
  to: maybe(count),
  advance: maybe(text),
  minDecryptionVersion: maybe(shape({ before: count, after: count })),
  retirement: maybe(shape({ done: flag, why: text, detail: text })),
  secrets: list(secret),
  failure: maybe(failure),
})
const report = shape({
  type: literal('report'),
  id: text,
  mode: text,
  retire: text,
  dryRun: flag,
  complete: flag,
  startedAt: time,
  finishedAt: time,
  keys: list(key),
})

const started = shape({ type: literal('started'), id: text, keys: list(text), dryRun: flag })
const step = shape({ type: literal('step'), key: text, stage: text, from: maybe(count), to: maybe(count) })
const progressed = shape({ type: literal('progress'), key: text, stage: text, done: count, total: count })

const ended = shape({ type: literal('failed'), code: text, detail: text, retryable: flag })

const progress = shape({ startedAt: time, done: count, total: count })
const problem = shape({
  code: text,
  detail: text,
  status: count,
  retryable: flag,
  requestId: maybe(text),
  progress: maybe(progress),
  report: maybe(report),
})

const named = shape({ namespace: text, name: text })
const status = shape({
  running: nullable(progress),
  ledger: list(
    shape({
      key: text,
      latestVersion: maybe(count),
      latestCreatedAt: maybe(time),
      drift: list(named),
      failure: maybe(failure),
    }),
  ),
})
