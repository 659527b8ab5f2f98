/**
 * One request and its answer, over a connection of its own. It goes to the address or nowhere: no redirect is followed and
 * no proxy is taken from the environment. Over node:https rather than fetch, which cannot be given a CA.
 */
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, RequestOptions } from 'node:http'
import { Agent as HttpAgent, request as httpRequest } from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Receiver } from './bodies.ts'
import { ClientError } from './client-error.ts'

export interface Limits {
  /** To a connection, TLS included. */
  readonly connectMs: number
  /** From there to the head of the answer. */
  readonly answerMs: number
  /** Between two pieces of its body. */
  readonly silenceMs: number
}

export interface Outbound {
  /** Origin and path. */
  readonly url: string
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  /** PEM of the only CAs to trust; absent: the system's. */
  readonly ca: string | undefined
}

export interface Head {
  readonly status: number
  readonly headers: IncomingHttpHeaders
}

/** Runs `act` once after `ms`, unless cancelled. */
export type After = (ms: number, act: () => void) => () => void

/**
 * @param receive takes the head; what it answers takes the body. Whatever they throw ends the call, and is what it throws.
 * @throws ClientError.
 */
export function exchange<T>(
  outbound: Outbound,
  receive: (head: Head) => Receiver<T>,
  { limits, after, signal }: { readonly limits: Limits; readonly after: After; readonly signal: AbortSignal },
): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>()
  let outgoing: ClientRequest | undefined
  let isConnected = false
  let isOver = false
  let cancel = () => {}

  function settle(): void {
    isOver = true
    cancel()
    signal.removeEventListener('abort', abort)
  }
  function fail(error: unknown): void {
    settle()
    reject(error instanceof Error ? error : new ClientError('cut', 'The call failed.'))
    outgoing?.destroy()
  }
  function abort(): void {
    fail(new ClientError('aborted', 'The call was given up.'))
  }
  function within(ms: number, kind: 'unreachable' | 'timeout', what: string): void {
    if (isOver) return
    cancel()
    cancel = after(ms, () => fail(new ClientError(kind, `${what} within ${ms / 1000} s.`)))
  }
  function guarded(act: () => void): void {
    try {
      act()
    } catch (error) {
      fail(error)
    }
  }

  if (signal.aborted) {
    abort()
    return promise
  }
  signal.addEventListener('abort', abort)
  within(limits.connectMs, 'unreachable', 'There was no connection')
  guarded(() => {
    outgoing = requestTo(outbound)
  })
  outgoing?.on('socket', (socket) => {
    socket.once(outbound.url.startsWith('https:') ? 'secureConnect' : 'connect', () => {
      isConnected = true
      within(limits.answerMs, 'timeout', 'There was no answer')
    })
  })
  outgoing?.on('error', (error) => fail(told(error, isConnected)))
  outgoing?.on('response', (incoming: IncomingMessage) => {
    guarded(() => {
      const receiver = receive({ status: incoming.statusCode ?? 0, headers: incoming.headers })
      const quiet = () => within(limits.silenceMs, 'timeout', 'Nothing more came')
      quiet()
      incoming.on('data', (bytes: Buffer) => {
        quiet()
        guarded(() => receiver.chunk(bytes))
      })
      incoming.on('error', (error) => fail(told(error, true)))
      incoming.on('end', () =>
        guarded(() => {
          settle()
          resolve(receiver.end())
        }),
      )
    })
  })
  outgoing?.end(outbound.body)
  return promise
}

const MAX_HEADER_BYTES = 16 * 1024

function requestTo({ url, method, headers, body, ca }: Outbound): ClientRequest {
  const options: RequestOptions = {
    method,
    headers: {
      ...headers,
      'accept-encoding': 'identity',
      'user-agent': 'keyhole',
      ...(body !== undefined && { 'content-length': String(Buffer.byteLength(body)) }),
    },
    maxHeaderSize: MAX_HEADER_BYTES,
  }
  // Agents of our own: the global one may have been told by the environment to use a proxy.
  if (url.startsWith('http:')) return httpRequest(url, { ...options, agent: new HttpAgent() })
  return httpsRequest(url, {
    ...options,
    agent: new HttpsAgent(),
    // Said aloud, since NODE_TLS_REJECT_UNAUTHORIZED=0 would otherwise switch it off.
    rejectUnauthorized: true,
    ...(ca !== undefined && { ca }),
  })
}

const TLS =
  /^(?:ERR_TLS|ERR_SSL|ERR_OSSL|EPROTO|CERT|CRL|UNABLE|DEPTH_ZERO|SELF_SIGNED|INVALID_|HOSTNAME|PATH_LENGTH|ERROR_IN_CERT)/

/** By its code alone: the errors of HTTP clients hold headers, and their messages what a peer sent. */
function told(error: Error, isConnected: boolean): ClientError {
  const code = 'code' in error && typeof error.code === 'string' ? error.code : 'no code'
  if (TLS.test(code)) return new ClientError('tls', `TLS failed (${code}).`)
  if (code === 'HPE_HEADER_OVERFLOW') return new ClientError('too-large', 'The head of the answer is too long.')
  if (code === 'HPE_INVALID_EOF_STATE') return new ClientError('cut', 'The answer was cut.')
  if (code.startsWith('HPE_')) return new ClientError('not-keyhole', `What answered does not speak HTTP (${code}).`)
  if (isConnected) return new ClientError('cut', `The connection broke (${code}).`)
  return new ClientError('unreachable', `There is no connection (${code}).`)
}
