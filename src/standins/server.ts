/**
 * An HTTP server for a stand-in: it logs what it saw, passes each request through the faults, and can be stopped and
 * started again on the same port with its state kept, as a crash and a restart would look from outside.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createHttpServer } from 'node:http'
import { createServer as createHttpsServer } from 'node:https'
import type { Clock } from '../clock.ts'
import type { Faults } from './faults.ts'
import { createFaults } from './faults.ts'
import { holdPort } from './held-port.ts'
import type { RequestLog } from './request-log.ts'
import { createRequestLog } from './request-log.ts'

/** Bytes of a fresh buffer; the default is node:crypto's randomBytes. Tests pass one that repeats. */
export type Random = (bytes: number) => Buffer

export interface Tls {
  /** PEM. */
  readonly cert: string
  /** PEM. */
  readonly key: string
  /** PEM of the CA that clients should trust, handed on as `ca`; default `cert`. */
  readonly ca?: string
}

/** What every stand-in offers beside its own seeding methods. Disposing of it stops it for good and gives its port away. */
export interface Standin extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`, or https given `tls`. The same before and after a restart. */
  readonly url: string
  readonly ca: string | undefined
  readonly requests: RequestLog
  readonly faults: Faults
  /** Cuts every connection, and whoever dials is refused. State and port stay. */
  stop(): Promise<void>
  /** Opens the same port again after `stop`. */
  restart(): Promise<void>
}

export interface StandinRequest {
  readonly method: string
  /** Raw path, not decoded, without the query. */
  readonly path: string
  readonly query: URLSearchParams
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly body: Buffer
  /** Aborts when the client's connection closes. */
  readonly signal: AbortSignal
}

export interface StandinReply {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  /** An iterable is streamed piece by piece without a content-length. */
  readonly body?: string | Buffer | Iterable<Buffer>
  /**
   * What happens on the wire instead of a whole answer. `before`: closed without a byte. `reset`: closed with RST. `mid-body`:
   * the headers promise the whole body, half of it arrives. `stall`: the same, but the connection stays open. `raw`: `body` is written to the socket as it is, then closed.
   */
  readonly wire?: 'before' | 'reset' | 'mid-body' | 'stall' | 'raw'
}

export type Handler = (request: StandinRequest) => Promise<StandinReply> | StandinReply

export interface ServeOptions {
  readonly clock: Clock
  readonly handler: Handler
  readonly tls?: Tls | undefined
  /** Default 0: any free port. */
  readonly port?: number | undefined
}

export async function serve(options: ServeOptions): Promise<Standin> {
  const { clock, tls } = options
  const faults = createFaults(clock)
  const requests = createRequestLog(clock)
  const server =
    tls === undefined ? createHttpServer() : createHttpsServer({ cert: tls.cert, key: tls.key, minVersion: 'TLSv1.2' })
  server.on('request', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    answer(incoming, outgoing).catch(() => outgoing.destroy())
  })
  // The real servers keep an idle connection for minutes and announce no limit; Node would close it after five seconds.
  server.keepAliveTimeout = 0
  const held = await holdPort(options.port)
  await listen()

  async function answer(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const request = await read(incoming, outgoing)
    const entry = requests.record(request)
    const reply = await faults.around(request, async () => options.handler(request)).catch(defect)
    entry.answered(reply.status)
    if (!outgoing.destroyed) await write(request, reply, outgoing)
  }

  function listen(): Promise<void> {
    return new Promise((resolve, reject) => {
      server.once('error', reject)
      server.listen(held.port, '127.0.0.1', () => {
        server.removeListener('error', reject)
        resolve()
      })
    })
  }

  async function stop(): Promise<void> {
    if (!server.listening) return
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    server.closeAllConnections()
    await closed
  }

  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${held.port}`,
    ca: tls?.ca ?? tls?.cert,
    requests,
    faults,
    stop,
    async restart() {
      if (!server.listening) await listen()
    },
    async [Symbol.asyncDispose]() {
      await stop()
      held[Symbol.dispose]()
    },
  }
}

/** A defect of the stand-in must not look like a fault somebody injected. */
function defect(thrown: unknown): StandinReply {
  return { status: 500, headers: { 'content-type': 'text/plain' }, body: `the stand-in is broken: ${String(thrown)}` }
}

async function read(incoming: IncomingMessage, outgoing: ServerResponse): Promise<StandinRequest> {
  const gone = new AbortController()
  outgoing.once('close', () => gone.abort())
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  const url = incoming.url ?? '/'
  const mark = url.indexOf('?')
  return {
    method: incoming.method ?? 'GET',
    path: mark < 0 ? url : url.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? '' : url.slice(mark)),
    headers: incoming.headers,
    body: Buffer.concat(chunks),
    signal: gone.signal,
  }
}

async function write(request: StandinRequest, reply: StandinReply, outgoing: ServerResponse): Promise<void> {
  const { socket } = outgoing
  if (reply.wire === 'reset') return void socket?.resetAndDestroy()
  if (reply.wire === 'before') return void socket?.destroy()
  if (reply.wire === 'raw') return void socket?.end(wholeBody(reply.body))
  outgoing.statusCode = reply.status
  for (const [name, value] of Object.entries(reply.headers ?? {})) outgoing.setHeader(name, value)
  if (isPieces(reply.body)) return stream(reply.body, outgoing)
  const body = wholeBody(reply.body)
  if (!outgoing.hasHeader('content-length') && reply.status !== 204) outgoing.setHeader('content-length', body.length)
  if (reply.wire === 'stall') return void outgoing.write(body.subarray(0, body.length >> 1))
  if (reply.wire === 'mid-body') {
    outgoing.write(body.subarray(0, body.length >> 1), () => socket?.destroy())
    return
  }
  outgoing.end(request.method === 'HEAD' ? undefined : body)
}

function isPieces(body: StandinReply['body']): body is Iterable<Buffer> {
  return body !== undefined && typeof body !== 'string' && !Buffer.isBuffer(body)
}

function wholeBody(body: StandinReply['body']): Buffer {
  if (body === undefined) return Buffer.alloc(0)
  if (typeof body === 'string') return Buffer.from(body)
  return Buffer.isBuffer(body) ? body : Buffer.concat([...body])
}

/** Waits for the reader between pieces, so that a 64 MiB answer never sits in this process. */
async function stream(pieces: Iterable<Buffer>, outgoing: ServerResponse): Promise<void> {
  for (const piece of pieces) {
    if (outgoing.destroyed) return
    if (!outgoing.write(piece)) await drained(outgoing)
  }
  outgoing.end()
}

function drained(outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      outgoing.off('drain', done).off('close', done)
      resolve()
    }
    outgoing.on('drain', done).on('close', done)
  })
}
