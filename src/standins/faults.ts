/**
 * Faults that a stand-in shows on demand. A fault is a decorator around the real answer, so it can stand in front of it
 * (silence, a cut), replace it (503, HTML) or change it (a review without audiences).
 *
 *     vault.faults.inject({ path: /decrypt/, calls: [1] }, status(503, { errors: ['Vault is sealed'] }))
 */
import type { Clock } from '../clock.ts'
import type { StandinReply, StandinRequest } from './server.ts'

export type Fault = (request: StandinRequest, next: () => Promise<StandinReply>, clock: Clock) => Promise<StandinReply>

export interface Match {
  /** Absent: any. */
  readonly method?: string
  /** A string is the whole raw path; absent: any. */
  readonly path?: string | RegExp | ((path: string) => boolean)
  /** Which of the matching requests, counted from 1 since the injection; absent: all. */
  readonly calls?: readonly number[]
}

export interface Injected {
  /** How many requests it acted on. */
  readonly hits: number
  remove(): void
}

export interface Faults {
  /** The one injected last is outermost. */
  inject(match: Match, fault: Fault): Injected
  /** Removes all. */
  clear(): void
}

export function createFaults(
  clock: Clock,
): Faults & { around(request: StandinRequest, answer: () => Promise<StandinReply>): Promise<StandinReply> } {
  const injected = new Set<{ match: Match; fault: Fault; seen: number; hits: number }>()
  return {
    inject(match, fault) {
      const rule = { match, fault, seen: 0, hits: 0 }
      injected.add(rule)
      return {
        get hits() {
          return rule.hits
        },
        remove: () => void injected.delete(rule),
      }
    },
    clear: () => injected.clear(),
    around(request, answer) {
      let handler = answer
      for (const rule of injected) {
        if (!matches(rule.match, request)) continue
        rule.seen += 1
        if (rule.match.calls !== undefined && !rule.match.calls.includes(rule.seen)) continue
        rule.hits += 1
        const inner = handler
        handler = () => rule.fault(request, inner, clock)
      }
      return handler()
    },
  }
}

function matches({ method, path }: Match, request: StandinRequest): boolean {
  if (method !== undefined && method !== request.method) return false
  if (path === undefined) return true
  if (typeof path === 'string') return path === request.path
  return typeof path === 'function' ? path(request.path) : path.test(request.path)
}

/** Answers instead of the server. An object becomes JSON; a string leaves as it is. */
export function status(code: number, body: unknown = '', headers: Readonly<Record<string, string>> = {}): Fault {
  const json = typeof body !== 'string' && !Buffer.isBuffer(body)
  return async () => ({
    status: code,
    headers: { ...(json ? { 'content-type': 'application/json' } : {}), ...headers },
    body: json ? JSON.stringify(body) : body,
  })
}

/** The server's own answer, changed: the request took effect. */
export function change(edit: (reply: StandinReply) => StandinReply): Fault {
  return async (_request, next) => edit(await next())
}

/** The server's own JSON answer, edited: e.g. a review whose audiences were dropped. */
export function changeJson(edit: (body: Record<string, unknown>) => unknown): Fault {
  return change((reply) => ({ ...reply, body: JSON.stringify(edit(JSON.parse(String(reply.body)))) }))
}

/** The answer, `ms` later by the stand-in's clock. The request takes effect only then, and not at all if the client has left. */
export function delay(ms: number): Fault {
  return async (request, next, clock) => {
    await elapsed(clock, ms, request.signal)
    return request.signal.aborted ? NOTHING : next()
  }
}

/**
 * Cuts the connection. `before` and `reset` happen before the request takes effect; `mid-body` after: half the body arrives.
 */
export function cut(when: 'before' | 'reset' | 'mid-body'): Fault {
  return async (_request, next) => (when === 'mid-body' ? { ...(await next()), wire: when } : { status: 0, wire: when })
}

/** The request takes effect, and its answer is lost: what a caller sees as a timeout or a reset. */
export function lost(): Fault {
  return async (_request, next) => {
    await next()
    return { status: 0, wire: 'reset' }
  }
}

/** Headers and half the body, then nothing; the connection stays open until the client leaves. */
export function stall(): Fault {
  return change((reply) => ({ ...reply, wire: 'stall' }))
}

/** Bytes that are not HTTP. */
export function garbage(bytes = Buffer.from('\u0000\u0007 SSH-2.0-not-http\r\n\r\n')): Fault {
  return async () => ({ status: 0, wire: 'raw', body: bytes })
}

/** What a load balancer says while nothing is behind it. */
export function html(code = 502): Fault {
  return status(code, '<html><body><h1>Bad Gateway</h1></body></html>', { 'content-type': 'text/html' })
}

export function redirect(location: string, code = 307): Fault {
  return status(code, '', { location })
}

/** A body of this many MiB, streamed without a length; it opens like JSON. */
export function huge(mebibytes: number, code = 200): Fault {
  return async () => ({ status: code, headers: { 'content-type': 'application/json' }, body: pieces(mebibytes) })
}

function* pieces(mebibytes: number): Generator<Buffer> {
  yield Buffer.from('{"data":{"plaintext":"')
  const piece = Buffer.alloc(64 * 1024, 'A')
  for (let sent = 0; sent < mebibytes * 16; sent += 1) yield piece
  yield Buffer.from('"}}')
}

const NOTHING: StandinReply = { status: 0, wire: 'before' }

/** No answer until released; then the real one. */
export function silence(): Fault & { release(): void } {
  const released = Promise.withResolvers<void>()
  const fault: Fault = async (request, next) => {
    await Promise.race([released.promise, aborted(request.signal)])
    return request.signal.aborted ? NOTHING : next()
  }
  return Object.assign(fault, { release: () => released.resolve() })
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

async function elapsed(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  const timer = Promise.withResolvers<void>()
  const cancel = clock.after(ms, timer.resolve)
  await Promise.race([timer.promise, aborted(signal)])
  cancel()
}
