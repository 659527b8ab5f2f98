/**
 * How a refusal leaves: RFC 9457, `application/problem+json`, and nothing in it but our own words. For one code the
 * bytes are the same whatever was asked, except where the operator's log has more to say: then the request id is there.
 */
import type { FastifyReply } from 'fastify'
import type { Problem } from '../contract.ts'
import { ruleOf } from '../contract.ts'
import type { KeyholeError } from '../errors.ts'

export function sendProblem(reply: FastifyReply, error: KeyholeError): FastifyReply {
  const problem = problemOf(error, reply.request.id)
  if (problem.status === 401) reply.header('WWW-Authenticate', challenge(error))
  if (error.retryAfterSeconds !== undefined) reply.header('Retry-After', String(error.retryAfterSeconds))
  return reply
    .code(problem.status)
    .header('Cache-Control', 'no-store')
    .type('application/problem+json')
    .send(JSON.stringify(problem))
}

export function problemOf(error: KeyholeError, requestId: string | undefined): Problem {
  const rule = ruleOf(error.code)
  return {
    type: 'about:blank',
    title: rule.title,
    status: rule.status,
    code: error.code,
    detail: error.detail,
    retryable: error.retryAfterSeconds !== undefined,
    ...(requestId !== undefined && namesRequest(rule.status) && { requestId }),
    ...(error.progress !== undefined && { progress: error.progress }),
    ...(error.report !== undefined && { report: error.report }),
  }
}

/** 422 and 5xx are mended by someone who reads the log. A 403 must not differ from the next one in a single byte. */
function namesRequest(status: number): boolean {
  return status === 422 || status >= 500
}

/** RFC 6750: no `error` for a request that brought no token. */
function challenge(error: KeyholeError): string {
  return error.code === 'TOKEN_MISSING' ? 'Bearer realm="keyhole"' : 'Bearer realm="keyhole", error="invalid_token"'
}

/** The same for a connection whose request never became one: a whole HTTP/1.1 answer that closes it. */
export function rawProblem(error: KeyholeError, requestId: string): string {
  const problem = problemOf(error, requestId)
  const body = JSON.stringify(problem)
  const retry = error.retryAfterSeconds === undefined ? '' : `Retry-After: ${error.retryAfterSeconds}\r\n`
  return (
    `HTTP/1.1 ${problem.status} ${problem.title}\r\nX-Request-Id: ${requestId}\r\n` +
    'Content-Type: application/problem+json\r\nX-Content-Type-Options: nosniff\r\n' +
    `Content-Length: ${Buffer.byteLength(body)}\r\nCache-Control: no-store\r\n${retry}Connection: close\r\n\r\n${body}`
  )
}
