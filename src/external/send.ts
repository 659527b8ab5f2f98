/**
 * The one way out: every call to Kubernetes and Vault, whichever SDK makes it, leaves through a Send.
 *
 * One pool of kept-alive HTTP/1.1 connections per origin. A call goes to that origin or nowhere: no redirect is
 * followed (the answer would be asked for with our token, from whom the peer names) and no proxy is taken from the
 * environment. Answers are bounded, never compressed, and kept in one buffer that its receiver can wipe: plaintext
 * passes here. What fails is reduced to a code, because the errors of HTTP clients hold headers and bodies.
 */

import type { Dispatcher } from 'undici'
import { Pool } from 'undici'
import type { Clock } from '../clock.ts'
import { wipe, wipeable } from '../opaque.ts'
import { parserMemory } from './parser-memory.ts'

export interface Outbound {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH'
  /** Plain segments and at most a plain query: `/api/v1/namespaces/payments/secrets/db?fieldManager=keyhole`. */
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

export interface Answer {
  /** Any final status, 3xx included. */
  readonly status: number
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>
  /** Owns its memory and has no other reader: the receiver wipes it. */
  readonly body: Buffer
}

/** @throws SendError, and nothing else. */
export type Send = (request: Outbound, signal: AbortSignal) => Promise<Answer>

/** Metrics, recording and faults are decorators, so that they see what leaves whichever SDK sent it. */
export type SendDecorator = (send: Send) => Send

export type SendErrorCode =
  /** The caller's signal, or close(). */
  | 'aborted'
  | 'timeout'
  /** Nobody listens. */
  | 'refused'
  /** The peer broke off: the call may have had its effect. */
  | 'reset'
  /** No address, no route, no connection in time. */
  | 'unreachable'
  /** The peer's certificate is not to be trusted, or TLS failed. */
  | 'tls'
  | 'too-large'
  /** Not HTTP, or not HTTP that was asked for. */
  | 'protocol'
  /** A path that could mean another one. Never left the process. */
  | 'path'

/** Has no cause, and no text of the peer: only the code. */
export class SendError extends Error {
  override readonly name = 'SendError'
  readonly code: SendErrorCode

  constructor(code: SendErrorCode) {
    super(code)
    this.code = code
  }
}

export interface SendOptions {
  /** `https://host:port` or `http://host:port`, with nothing behind. */
  readonly origin: string
  /**
   * PEM of the only CAs to trust, asked for at each call: when it changes, new connections take over and the old ones
   * finish their calls. Absent: the system's CAs.
   */
  readonly ca?: () => string
  /** Most connections at once; what is beyond waits for one. */
  readonly connections: number
  /** Longest answer, in bytes. */
  readonly maxBodyBytes: number
  /** Longest call, waiting for a connection included. */
  readonly callTimeoutMs: number
  readonly clock: Clock
}

export interface Sender {
  readonly send: Send
  /** Lets calls in flight finish; new ones are refused. */
  close(): Promise<void>
}

/** @throws TypeError for an origin that is not one, or an empty CA: never a fall-back to the system's. */
export function openSend(options: SendOptions): Sender {
  const origin = originOf(options)
  let ca = options.ca?.()
  if (ca === '') throw new TypeError('the CA is empty')
  const memory = parserMemory(options.clock)
  let pool = openPool(origin, ca, options)
  let closed = false
  const retiring = new Set<Promise<void>>()

  function retire(old: Pool): void {
    const done = old.close().finally(() => retiring.delete(done))
    retiring.add(done)
  }

  return {
    async send(request, signal) {
      if (!PATH.test(request.path) || request.path.length > MAX_PATH) throw new SendError('path')
      if (closed) throw new SendError('aborted')
      const now = options.ca?.()
      // Node takes an empty string for no choice, and trusts every public CA.
      if (now === '') throw new SendError('tls')
      if (now !== ca) {
        retire(pool)
        pool = openPool(origin, now, options)
        ca = now
      }
      try {
        return await exchange(pool, request, signal, options)
      } finally {
        memory.wipeSoon()
      }
    },
    async close() {
      closed = true
      if (!pool.closed) retire(pool)
      await Promise.all(retiring)
      await memory.close()
    },
  }
}

/**
 * No `..`, `//`, `\`, `%` or control character: what a name could bring in to turn one path into another, should a
 * check before this one fail. No segment begins with a dot.
 */
const PATH = /^(?:\/(?!\.)[A-Za-z0-9._-]+)+(?:\?[A-Za-z0-9._=&-]+)?$/
const MAX_PATH = 2048

const ORIGIN = /^https?:\/\/[^/@?#\\\s]+\/?$/i

function originOf({ origin, ca }: SendOptions): string {
  // Not new URL(), whose error holds what it was given, credentials included.
  const url = ORIGIN.test(origin) ? URL.parse(origin) : null
  if (url === null) throw new TypeError('an origin is http:// or https://, a host and perhaps a port')
  if (url.protocol === 'http:' && ca !== undefined) throw new TypeError('a CA was given for an origin without TLS')
  return url.origin
}

/** Shorter than the idle time of the API server and of Vault, so that we close first and no call meets a dead connection. */
const KEEP_ALIVE_MS = 30_000
const MAX_HEADER_BYTES = 16 * 1024

function openPool(origin: string, ca: string | undefined, { connections, callTimeoutMs }: SendOptions): Pool {
  return new Pool(origin, {
    connections,
    pipelining: 1,
    allowH2: false,
    keepAliveTimeout: KEEP_ALIVE_MS,
    keepAliveMaxTimeout: KEEP_ALIVE_MS,
    maxHeaderSize: MAX_HEADER_BYTES,
    // The call's own timer covers these, on the clock.
    headersTimeout: 0,
    bodyTimeout: 0,
    connectTimeout: callTimeoutMs,
    connect: {
      // Said aloud, since NODE_TLS_REJECT_UNAUTHORIZED=0 would otherwise switch it off.
      rejectUnauthorized: true,
      ...(ca !== undefined && { ca }),
    },
  })
}

function exchange(
  pool: Pool,
  request: Outbound,
  signal: AbortSignal,
  { clock, callTimeoutMs, maxBodyBytes }: SendOptions,
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(new SendError('aborted'))
      return
    }
    const chunks: Buffer[] = []
    let bytes = 0
    let status = 0
    let headers: Readonly<Record<string, string>> = {}
    let connection: Dispatcher.DispatchController | undefined
    let settled = false

    const cancelTimeout = clock.after(callTimeoutMs, () => fail('timeout'))
    const abort = () => fail('aborted')
    signal.addEventListener('abort', abort)

    function settle(): void {
      settled = true
      cancelTimeout()
      signal.removeEventListener('abort', abort)
    }

    function fail(code: SendErrorCode): void {
      if (settled) return
      settle()
      wipe(...chunks)
      const error = new SendError(code)
      connection?.abort(error)
      reject(error)
    }

    pool.dispatch(
      {
        method: request.method,
        path: request.path,
        body: request.body ?? null,
        headers: { ...request.headers, ...OURS },
      },
      {
        onRequestStart(controller) {
          // Given up while it waited for a connection. Throwing drops the call and spares the connection.
          if (settled) throw new SendError('aborted')
          connection = controller
        },
        onResponseStart(_controller, statusCode, received) {
          if (statusCode < 200) return
          status = statusCode
          headers = flat(received)
          if ((headers['content-encoding'] ?? 'identity') !== 'identity') fail('protocol')
          else if (Number(headers['content-length'] ?? 0) > maxBodyBytes) fail('too-large')
        },
        onResponseData(_controller, chunk) {
          bytes += chunk.length
          if (settled || bytes > maxBodyBytes) {
            wipe(chunk)
            fail('too-large')
          } else {
            chunks.push(chunk)
          }
        },
        onResponseEnd() {
          if (settled) return
          settle()
          resolve({ status, headers, body: gathered(chunks, bytes) })
        },
        onResponseError(_controller, error) {
          fail(codeOf(error))
        },
      },
    )
  })
}

/** Bodies that are compressed would have to be inflated, beyond any bound of ours and through buffers that nobody wipes. */
const OURS = { 'accept-encoding': 'identity', 'user-agent': 'keyhole' }

function flat(received: Readonly<Record<string, string | string[] | undefined>>): Readonly<Record<string, string>> {
  const headers: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(received)) {
    if (value !== undefined) headers[name] = typeof value === 'string' ? value : value.join(', ')
  }
  return headers
}

/** One buffer outside Node's shared slab; the chunks, which are slices of what the socket read, are wiped. */
function gathered(chunks: readonly Buffer[], bytes: number): Buffer {
  const body = wipeable(bytes)
  let at = 0
  for (const chunk of chunks) at += chunk.copy(body, at)
  wipe(...chunks)
  return body
}

const CODES: readonly (readonly [RegExp, SendErrorCode])[] = [
  [/^ECONNREFUSED$/, 'refused'],
  [
    /^(?:ECONNRESET|ECONNABORTED|EPIPE|UND_ERR_SOCKET|UND_ERR_RES_CONTENT_LENGTH_MISMATCH|HPE_INVALID_EOF_STATE)$/,
    'reset',
  ],
  [/^(?:ENOTFOUND|EAI_|EHOST|ENET|EADDR|ETIMEDOUT|EMFILE|ENFILE|UND_ERR_CONNECT_TIMEOUT)/, 'unreachable'],
  [/^(?:UND_ERR_HEADERS_OVERFLOW|HPE_HEADER_OVERFLOW)$/, 'too-large'],
  [/^(?:UND_ERR_(?:CLOSED|DESTROYED|ABORTED))$/, 'aborted'],
  [/^(?:UND_ERR_|HPE_)/, 'protocol'],
  [
    /^(?:ERR_TLS|ERR_SSL|ERR_OSSL|EPROTO|CERT|CRL|UNABLE|DEPTH_ZERO|SELF_SIGNED|INVALID_|HOSTNAME|PATH_LENGTH|ERROR_IN_CERT)/,
    'tls',
  ],
]

function codeOf(error: unknown): SendErrorCode {
  if (error instanceof SendError) return error.code
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  return CODES.find(([pattern]) => pattern.test(code))?.[1] ?? 'protocol'
}
