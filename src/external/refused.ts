/** From a call that did not come back to what is kept of it. */
import type { UpstreamKind } from '../errors.ts'
import { UpstreamError } from '../errors.ts'
import type { SendErrorCode } from './send.ts'
import { SendError } from './send.ts'

export type Upstream = UpstreamError['upstream']

const KINDS: Record<SendErrorCode, UpstreamKind> = {
  aborted: 'aborted',
  timeout: 'timeout',
  refused: 'unavailable',
  reset: 'unavailable',
  unreachable: 'unavailable',
  tls: 'unavailable',
  'too-large': 'too-large',
  protocol: 'garbage',
  path: 'bad-request',
}

/** The cause is the SendError, which tells an operator refused from untrusted and holds nothing but that code. */
export function unanswered(upstream: Upstream, thrown: unknown): unknown {
  if (!(thrown instanceof SendError)) return thrown
  const error = new UpstreamError(upstream, KINDS[thrown.code])
  error.cause = thrown
  return error
}

/** Statuses that mean the same to both; the rest is for the file that knows the upstream. */
export function kindOfStatus(status: number): UpstreamKind | undefined {
  if (status >= 300 && status < 400) return 'redirected'
  if (status >= 500) return 'unavailable'
  return STATUSES[status]
}

const STATUSES: Readonly<Record<number, UpstreamKind>> = {
  401: 'unauthorized',
  403: 'forbidden',
  408: 'unavailable',
  413: 'too-large',
  429: 'throttled',
}
