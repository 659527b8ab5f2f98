/**
 * Who gets in, and for how long. A request holds its place until its reply is over, so that slow readers are counted
 * with everybody else; a reply that its reader does not take in time is cut off, and its place is free again.
 */
import type { FastifyInstance } from 'fastify'
import type { Clock } from '../clock.ts'
import { KeyholeError } from '../errors.ts'
import type { Turnstile } from '../services/turnstile.ts'
import { goneOf, peerOf } from './attempt.ts'

export interface AdmissionOptions {
  readonly turnstile: Turnstile
  readonly clock: Clock
  /** Told of every reply that is over: the route's pattern, never its path. */
  readonly replied: (route: string, status: number, durationMs: number) => void
  readonly replyTimeoutMs: number
  /** Longest URL, path and query, in bytes. */
  readonly maxUrlBytes: number
}

export function admission(app: FastifyInstance, options: AdmissionOptions): void {
  const { turnstile, clock, replied, replyTimeoutMs, maxUrlBytes } = options

  app.addHook('onRequest', async (request, reply) => {
    const startedAt = clock.now()
    reply.header('X-Request-Id', request.id)
    reply.raw.once('close', () => {
      replied(request.routeOptions.url ?? 'unknown', reply.raw.statusCode, clock.now() - startedAt)
    })
    if (request.is404) throw new KeyholeError('ROUTE_UNKNOWN', { why: 'path' })
    if (Buffer.byteLength(request.raw.url ?? '') > maxUrlBytes) throw new KeyholeError('URL_TOO_LONG', { why: 'url' })
    if (request.routeOptions.config.audit === 'none') return
    if (hasBody(request.headers)) {
      // What follows on this connection would be read as the next request.
      reply.header('Connection', 'close')
      throw new KeyholeError('PAYLOAD_TOO_LARGE', { why: 'body' })
    }
    const leave = await turnstile.enter(peerOf(request), goneOf(reply))
    const cancel = clock.after(replyTimeoutMs, () => reply.raw.destroy())
    reply.raw.once('close', () => {
      cancel()
      leave()
    })
  })
}

function hasBody(headers: NodeJS.Dict<string | string[]>): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}
