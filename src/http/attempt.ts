/** A request as the audit envelope wants it. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Attempt } from '../services/attempt.ts'

/** Requests whose refusal an audit record tells of, so that the error handler need not count it. */
export interface Attempts {
  open(request: FastifyRequest, reply: FastifyReply): Attempt
  /** Whether the request got as far as the envelope. */
  opened(request: FastifyRequest): boolean
}

export function attempts(): Attempts {
  const seen = new WeakSet<FastifyRequest>()
  return {
    opened: (request) => seen.has(request),
    open(request, reply) {
      seen.add(request)
      return { requestId: request.id, peer: peerOf(request), gone: goneOf(reply) }
    },
  }
}

/** The socket's own address. Forwarded-for headers are the caller's word, so they count for nothing. */
export function peerOf(request: FastifyRequest): string {
  return request.socket.remoteAddress ?? 'unknown'
}

/** Aborts when the caller leaves before its answer was whole. The request's own signal fires at the end of a body, too. */
export function goneOf(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  if (reply.raw.destroyed) gone.abort(new Error('the caller left'))
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort(new Error('the caller left'))
  })
  return gone.signal
}
