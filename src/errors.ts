/**
 * The one error type that stages throw to refuse. Everything else that is thrown is a defect and leaves as INTERNAL.
 *
 * `detail` goes to the caller and `why` to the operator's log and the audit record. Both are sentences or words of
 * ours: never a value, a token, an upstream text, or anything a caller sent.
 */
import type { Code, RotationProgress, RotationReport } from './contract.ts'
import { ruleOf } from './contract.ts'

export interface Refusal {
  /** Replaces the code's advice in the reply. */
  readonly detail?: string
  /** One word from a closed set that tells the operator which guard refused, e.g. `token-expired`. */
  readonly why?: string
  /** What the operator should do, for the log only. */
  readonly fix?: string
  /** Seconds; replaces the code's own. */
  readonly retryAfterSeconds?: number
  /** How far the rotation is that the caller has to wait for. */
  readonly progress?: RotationProgress
  /** What a rotation came to that did not end well. */
  readonly report?: RotationReport
  readonly cause?: unknown
}

export class KeyholeError extends Error {
  override readonly name = 'KeyholeError'
  readonly code: Code
  readonly detail: string
  readonly why: string | undefined
  readonly fix: string | undefined
  readonly retryAfterSeconds: number | undefined
  readonly progress: RotationProgress | undefined
  readonly report: RotationReport | undefined

  constructor(code: Code, refusal: Refusal = {}) {
    super(refusal.why === undefined ? code : `${code}: ${refusal.why}`, { cause: refusal.cause })
    const rule = ruleOf(code)
    this.code = code
    this.detail = refusal.detail ?? rule.advice
    this.why = refusal.why
    this.fix = refusal.fix
    this.retryAfterSeconds = refusal.retryAfterSeconds ?? rule.retryAfterSeconds
    this.progress = refusal.progress
    this.report = refusal.report
  }
}

/** Whatever was thrown, as a refusal: a defect becomes INTERNAL, with the original kept as its cause for the log. */
export function asKeyholeError(thrown: unknown): KeyholeError {
  return thrown instanceof KeyholeError ? thrown : new KeyholeError('INTERNAL', { why: 'defect', cause: thrown })
}

/** How a call to Kubernetes or Vault failed: all that is kept of it. Upstream texts stop at the file that classifies them. */
export type UpstreamKind =
  // No usable answer.
  | 'unavailable'
  | 'timeout'
  | 'aborted'
  | 'throttled'
  | 'sealed'
  | 'standby'
  | 'garbage'
  | 'redirected'
  | 'too-large'
  // About keyhole's own credentials and rights.
  | 'unauthorized'
  | 'forbidden'
  | 'role-missing'
  | 'mount-missing'
  // Transit's reasons to refuse a ciphertext.
  | 'context-missing'
  | 'too-old'
  | 'too-new'
  | 'not-authentic'
  | 'no-prefix'
  | 'malformed-ciphertext'
  | 'key-missing'
  | 'bad-request'

export class UpstreamError extends Error {
  override readonly name = 'UpstreamError'
  readonly upstream: 'kubernetes' | 'vault'
  readonly kind: UpstreamKind
  /** The HTTP status, where there was one. */
  readonly status: number | undefined

  constructor(upstream: 'kubernetes' | 'vault', kind: UpstreamKind, status?: number) {
    super(`${upstream}: ${kind}`)
    this.upstream = upstream
    this.kind = kind
    this.status = status
  }
}
