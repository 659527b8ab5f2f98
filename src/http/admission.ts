/**
 * Who gets in, and for how long. A request holds its place until its reply is over, so that slow readers are counted
 * with everybody else; a reply that its reader does not take in time is cut off, and its place is free again.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Clock } from '../clock.ts'
import { KeyholeError } from '../errors.ts'
import type { Leave, Turnstile } from '../services/turnstile.ts'
import { peerOf } from './attempt.ts'
import type { Connections } from './connections.ts'
import { MAX_BODY_BYTES } from './rotate-request.ts'

export interface AdmissionOptions {
  readonly turnstile: Turnstile
  readonly connections: Connections
  readonly clock: Clock
  /** Told of every reply that is over: the route's pattern, never its path. */
  readonly replied: (route: string, status: number, durationMs: number) => void
  /** Why a request has no route, where that is not for want of one. */
  readonly unroutable: (request: IncomingMessage) => KeyholeError | undefined
  readonly replyTimeoutMs: number
  /** Longest wait for a place. The deadline of a request begins behind it. */
  readonly waitTimeoutMs: number
  /** Longest URL, path and query, in bytes. */
  readonly maxUrlBytes: number
}

const MAX_LISTENERS = 20

/** What metrics call a request whose client left before its answer began. Nobody was ever sent it. */
const CLIENT_LEFT = 499

export function admission(app: FastifyInstance, options: AdmissionOptions): void {
  const { turnstile, connections, clock, replied, unroutable, replyTimeoutMs, waitTimeoutMs, maxUrlBytes } = options

  app.addHook('onRequest', async (request, reply) => {
    const { raw } = request
    const startedAt = clock.now()
    reply.header('X-Request-Id', request.id)
    // Each guard waits for the end of the reply, and a stream brings listeners of its own: more than Node takes for a leak.
    reply.raw.setMaxListeners(MAX_LISTENERS)
    // Before anything is refused: a refusal that is not read holds its connection as well as an answer does.
    const { audit, body = 0, replyTimeoutMs: ownTimeoutMs = replyTimeoutMs } = request.routeOptions.config
    const cancel = clock.after(ownTimeoutMs, () => reply.raw.destroy())
    reply.raw.once('close', () => {
      cancel()
      const status = reply.raw.headersSent ? reply.raw.statusCode : CLIENT_LEFT
      replied(request.routeOptions.url ?? 'unknown', status, clock.now() - startedAt)
    })
    const mayBringMore = connections.begun(raw.socket, reply.raw)
    // A body that is not read to its end could be taken for the next request, so what brought one is the last.
    if (!mayBringMore || hasBody(raw)) reply.header('Connection', 'close')
    if (!hasOneHost(raw)) {
      reply.header('Connection', 'close')
      throw new KeyholeError('MALFORMED_REQUEST', { why: 'host', detail: 'Send HTTP/1.1 with one Host header.' })
    }
    if (request.is404) throw unroutable(raw) ?? new KeyholeError('ROUTE_UNKNOWN', { why: 'path' })
    if (Buffer.byteLength(request.url) > maxUrlBytes) throw new KeyholeError('URL_TOO_LONG', { why: 'url' })
    if (audit === 'none') return
    if (hasBody(raw) && body === 0) throw new KeyholeError('PAYLOAD_TOO_LARGE', { why: 'body' })
    if (Number(raw.headers['content-length'] ?? 0) > body) throw bodyTooLarge()

    reply.raw.once('close', await enter(request, reply))
    // Whoever asks first whether its body may come waits for the word.
    if (hasBody(raw) && /^100-continue$/i.test(raw.headers.expect ?? '')) reply.raw.writeContinue()
  })

  async function enter(request: FastifyRequest, reply: FastifyReply): Promise<Leave> {
    const waiting = new AbortController()
    const cancel = clock.after(waitTimeoutMs, () =>
      waiting.abort(new KeyholeError('OVERLOADED', { why: 'waited-too-long' })),
    )
    reply.raw.once('close', () => waiting.abort(new Error('the caller left')))
    try {
      return await turnstile.enter(peerOf(request), waiting.signal)
    } finally {
      cancel()
    }
  }
}

export function bodyTooLarge(): KeyholeError {
  return new KeyholeError('PAYLOAD_TOO_LARGE', {
    why: 'body',
    detail: `This call takes a body of at most ${MAX_BODY_BYTES} bytes.`,
  })
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
}

/**
 * RFC 9112 §3.2: two Host headers are refused, since a proxy in front may have routed by the other one. Node's own
 * check lets them pass, and refuses a missing one in its own words.
 */
function hasOneHost({ httpVersion, headersDistinct }: IncomingMessage): boolean {
  const hosts = headersDistinct['host']?.length ?? 0
  return (httpVersion === '1.1' && hosts === 1) || (httpVersion === '1.0' && hosts <= 1)
}
