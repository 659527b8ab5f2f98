/**
 * Why there is no answer to a call. Nothing here holds a token, a header or a body: what a peer sent that is not keyhole's
 * own problem document is reduced to a kind.
 */
import type { Problem } from '../contract.ts'

export type ClientErrorKind =
  /** The token file is missing, empty, or holds no token. */
  | 'token-file'
  /** The CA file is missing, or holds no certificate. */
  | 'ca-file'
  /** The caller's signal. */
  | 'aborted'
  /** Nobody listens, no address, no connection in time. Nothing was asked of anyone. */
  | 'unreachable'
  /** The peer's certificate is not to be trusted, or TLS failed. Nothing was asked of anyone. */
  | 'tls'
  /** No answer in time, or none any more. What was asked may have begun. */
  | 'timeout'
  /** The peer broke off, or a stream ended without its report. What was asked may have begun. */
  | 'cut'
  /** Something in front of keyhole says that there is no keyhole now. */
  | 'unavailable'
  /** A redirect, which is never followed: it would show the token to whom the peer names. */
  | 'redirected'
  /** HTTP, perhaps, but not as keyhole speaks it. */
  | 'not-keyhole'
  /** Longer than any answer of keyhole's. */
  | 'too-large'
  /** Called keyhole's by its media type, but not of its shape. */
  | 'garbage'

/** The message is of our own words; what a peer or a file said is not in it. */
export class ClientError extends Error {
  override readonly name = 'ClientError'
  readonly kind: ClientErrorKind
  /** What the peer asked for in `Retry-After`, where there was an answer. */
  readonly retryAfterMs: number | undefined

  constructor(kind: ClientErrorKind, detail: string, retryAfterMs?: number) {
    super(detail)
    this.kind = kind
    this.retryAfterMs = retryAfterMs
  }
}

/** Of an answer, or of the last line of a stream. */
export type RefusedProblem = Pick<Problem, 'code' | 'detail' | 'retryable' | 'requestId' | 'progress' | 'report'>

/**
 * keyhole's refusal. The problem is as the peer sent it, checked for its shape only: its texts may hold anything that a
 * terminal obeys.
 */
export class Refused extends Error {
  override readonly name = 'Refused'
  readonly problem: RefusedProblem
  readonly retryAfterMs: number | undefined

  constructor(problem: RefusedProblem, retryAfterMs?: number) {
    super('keyhole refused')
    this.problem = problem
    this.retryAfterMs = retryAfterMs
  }
}
