/** keyhole's rotations as a caller sees them: POST /rotate, watched line by line, and GET /rotate. */
import type { RotateRequest, RotationEvent, RotationReport, RotationStatus } from '../contract.ts'
import type { Receiver } from './bodies.ts'
import { bodyOfLines, wholeBody } from './bodies.ts'
import { ClientError, Refused } from './client-error.ts'
import { readCa, readToken } from './credentials.ts'
import type { After, Head, Limits } from './exchange.ts'
import { exchange } from './exchange.ts'
import { isEvent, isFailed, isProblem, isReport, isStatus, isUnknownEvent } from './shapes.ts'

export interface RotationClient {
  /**
   * Rotates, and resolves with the report, complete or not.
   *
   * @throws Refused; ClientError, after which a rotation may run: with the same Idempotency-Key the call finds it again.
   */
  rotate(request: RotateRequest, options: RotateOptions): Promise<RotationReport>
  /** @throws Refused, ClientError. */
  status(signal: AbortSignal): Promise<RotationStatus>
}

export interface RotateOptions {
  readonly idempotencyKey: string
  /** Gives up watching; the rotation goes on. */
  readonly signal: AbortSignal
  readonly told: (event: RotationEvent) => void
}

export interface ClientOptions {
  /** `https://host:port`, or `http://` on loopback. */
  readonly origin: string
  /** Read for every call, and kept by none. */
  readonly tokenFile: string
  /** PEM of the only CAs to trust, read for every call; absent: the system's. */
  readonly caFile: string | undefined
  readonly after: After
  readonly limits?: Limits
}

/**
 * keyhole takes at most a minute to decide whether a rotation begins, and one that retires at once waits a minute between
 * two looks without a word.
 */
export const LIMITS: Limits = { connectMs: 10_000, answerMs: 70_000, silenceMs: 180_000 }

/** Of an answer, or of one line of a stream: a report tells of each Secret. */
const MAX_BYTES = 16 * 1024 * 1024

export function rotationClient({ origin, tokenFile, caFile, after, limits = LIMITS }: ClientOptions): RotationClient {
  function call<T>(
    method: 'GET' | 'POST',
    headers: Readonly<Record<string, string>>,
    body: string | undefined,
    receive: (head: Head) => Receiver<T>,
    signal: AbortSignal,
  ): Promise<T> {
    const ca = caFile !== undefined && origin.startsWith('https:') ? readCa(caFile) : undefined
    const outbound = {
      url: `${origin}/rotate`,
      method,
      headers: { ...headers, authorization: `Bearer ${readToken(tokenFile)}` },
      ca,
      ...(body !== undefined && { body }),
    }
    return exchange(outbound, receive, { limits, after, signal })
  }

  return {
    async rotate(request, { idempotencyKey, signal, told }) {
      const headers = {
        accept: NDJSON,
        'content-type': JSON_TYPE,
        'idempotency-key': idempotencyKey,
      }
      try {
        return await call('POST', headers, JSON.stringify(request), (head) => reportFrom(head, told), signal)
      } catch (error) {
        // ROTATION_INCOMPLETE, from a service that did not stream.
        if (error instanceof Refused && error.problem.report !== undefined) return error.problem.report
        throw error
      }
    },
    async status(signal) {
      return await call('GET', { accept: JSON_TYPE }, undefined, statusFrom, signal)
    },
  }
}

const JSON_TYPE = 'application/json'
const NDJSON = 'application/x-ndjson'
const PROBLEM = 'application/problem+json'

function reportFrom(head: Head, told: (event: RotationEvent) => void): Receiver<RotationReport> {
  const type = typeOf(head)
  if (head.status === 200 && type === NDJSON) return watched(told)
  if (head.status === 200 && type === JSON_TYPE) return wholeBody(MAX_BYTES, (value) => expected(isReport, value))
  return refusal(head, type)
}

function statusFrom(head: Head): Receiver<RotationStatus> {
  const type = typeOf(head)
  if (head.status === 200 && type === JSON_TYPE) return wholeBody(MAX_BYTES, (value) => expected(isStatus, value))
  return refusal(head, type)
}

/** The last line is the report, or why there is none; without either the stream was cut, however orderly it ended. */
function watched(told: (event: RotationEvent) => void): Receiver<RotationReport> {
  let report: RotationReport | undefined
  let failed: Refused | undefined
  return bodyOfLines(
    MAX_BYTES,
    (line) => {
      if (report !== undefined || failed !== undefined)
        throw new ClientError('garbage', 'The report was not the last line.')
      if (isReport(line)) report = line
      else if (isFailed(line)) failed = new Refused(line)
      else if (isEvent(line)) told(line)
      else if (!isUnknownEvent(line)) throw new ClientError('garbage', 'A line is none of what a rotation tells.')
    },
    () => {
      if (failed !== undefined) throw failed
      if (report === undefined) throw new ClientError('cut', 'The stream ended without the report.')
      return report
    },
  )
}

/** Throws at once for what is not keyhole's, and at its end for what is. */
function refusal(head: Head, type: string): Receiver<never> {
  const retryAfterMs = retryAfterOf(head)
  const { status } = head
  if (status >= 300 && status < 400) {
    throw new ClientError('redirected', `It answers with a redirect (${status}), and none is followed.`)
  }
  if (type !== PROBLEM) {
    if (status === 429 || (status >= 502 && status <= 504)) {
      throw new ClientError('unavailable', `Something in front of keyhole answers ${status}.`, retryAfterMs)
    }
    throw new ClientError('not-keyhole', `What answers (${status}, ${mediaType(type)}) is not keyhole.`)
  }
  return wholeBody(MAX_BYTES, (value): never => {
    throw new Refused(expected(isProblem, value), retryAfterMs)
  })
}

function expected<T>(is: (value: unknown) => value is T, value: unknown): T {
  if (is(value)) return value
  throw new ClientError('garbage', 'The answer is not of the shape that keyhole gives it.')
}

function typeOf({ headers }: Head): string {
  if ((headers['content-encoding'] ?? 'identity') !== 'identity') {
    throw new ClientError('not-keyhole', 'The answer is compressed, which was not asked for.')
  }
  return (headers['content-type'] ?? '').split(';', 1).join('').trim().toLowerCase()
}

/** As far as it is one; it is the peer's text. */
function mediaType(type: string): string {
  return /^[\w.+-]{1,40}\/[\w.+-]{1,40}$/.test(type) ? type : 'no media type'
}

/** In seconds only; keyhole sends no dates. */
function retryAfterOf({ headers }: Head): number | undefined {
  const text = headers['retry-after'] ?? ''
  return /^\d{1,6}$/.test(text) ? Number(text) * 1000 : undefined
}
