/** What a call that failed comes to: how it is told, with which exit code, and whether it is worth another try. */
import { ClientError, Refused } from '../client/client-error.ts'
import type { RotationProgress } from '../contract.ts'
import type { Failure, Tried } from './persist.ts'
import { EXIT } from './world.ts'

/** @throws ClientError aborted; what is no failure of a call. */
export function callFailed(error: unknown): Tried<never> {
  if (error instanceof Refused) return refused(error)
  if (!(error instanceof ClientError) || error.kind === 'aborted') throw error
  const { kind, message, retryAfterMs } = error
  const isOurs = kind === 'token-file' || kind === 'ca-file'
  const failed: Failure = {
    exit: isOurs ? EXIT.usage : EXIT.unavailable,
    code: kind,
    detail: [message, ADVICE[kind]].filter((part) => part !== undefined).join(' '),
  }
  if (!PASSING.has(kind)) return { failed }
  return { again: { why: message, waitsFor: 'mending', retryAfterMs, otherwise: { failed } } }
}

const PASSING: ReadonlySet<ClientError['kind']> = new Set(['unreachable', 'timeout', 'cut', 'unavailable'])

const ADVICE: Partial<Record<ClientError['kind'], string>> = {
  'token-file': 'KEYHOLE_TOKEN_FILE must name a file with a ServiceAccount token of the audience of keyhole.',
  'ca-file': "KEYHOLE_CACERT must name the CA of keyhole's certificate.",
  unreachable: 'KEYHOLE_ADDR must be right, and a NetworkPolicy let this pod reach it.',
  tls: 'KEYHOLE_CACERT must name the CA that signed the certificate of keyhole, and KEYHOLE_ADDR a host that is in it.',
  redirected: 'KEYHOLE_ADDR must be keyhole itself.',
  'not-keyhole': 'KEYHOLE_ADDR must be the origin of keyhole, with no proxy before it that answers in its place.',
}

function refused({ problem, retryAfterMs }: Refused): Tried<never> {
  const { code, retryable, progress, requestId } = problem
  const where = requestId === undefined ? '' : ` (request id ${requestId})`
  const detail = `${problem.detail}${HINTS[code] ?? ''}${where}`
  // Retryable once its minInterval is over, and that is nothing to wait for.
  if (!retryable || code === 'ROTATED_RECENTLY') return { failed: { exit: EXIT.refused, code, detail } }
  const otherwise = { failed: { exit: EXIT.unavailable, code, detail } }
  if (code === 'ROTATION_IN_PROGRESS') {
    return { again: { why: othersProgress(progress), waitsFor: 'turn', retryAfterMs, otherwise } }
  }
  return { again: { why: `${code}: ${detail}`, waitsFor: 'mending', retryAfterMs, otherwise } }
}

const HINTS: Readonly<Record<string, string>> = {
  ROTATED_RECENTLY: ' (Here: --rewrap.)',
  ROUTE_UNKNOWN:
    ' This keyhole serves no rotations: KEYHOLE_ADDR must name the Service of the rotators (keyhole-rotate).',
}

function othersProgress(progress: RotationProgress | undefined): string {
  if (progress === undefined) return 'Another rotation runs.'
  const { done, total, startedAt } = progress
  return `Another rotation runs since ${startedAt}: ${done} of ${total} Secrets.`
}
