/** Faults for one caller's traffic, so that the next one can be served meanwhile. */
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import type { Fault, Match } from '../../src/standins/faults.ts'
import { change, status } from '../../src/standins/faults.ts'
import type { Standin } from '../../src/standins/server.ts'

/** In every upstream error text that a test makes up: it must never come out on the other side. */
export const MARKER = 'upstream-marker-93c1d7'

export const REVIEWS = '/apis/authentication.k8s.io/v1/tokenreviews'
export const SECRET = '/api/v1/namespaces/payments/secrets/payments-db'
export const DECRYPT = '/v1/transit/decrypt/payments'
export const LOGIN = '/v1/auth/kubernetes/login'

/** Only for requests whose body holds this text. */
export function only(text: string, fault: Fault): Fault {
  return (request, next, clock) => (request.body.includes(text) ? fault(request, next, clock) : next())
}

/** A refusal as the API server words one. */
export function kubernetesStatus(code: number): Fault {
  return status(code, { kind: 'Status', apiVersion: 'v1', status: 'Failure', message: MARKER, reason: MARKER, code })
}

/** A refusal as Vault words one. */
export function vaultErrors(code: number, ...texts: readonly string[]): Fault {
  return status(code, { errors: texts.length === 0 ? [MARKER] : texts })
}

/** An HTTP answer written by hand, so that its head may lie about its body. */
export function wire(head: string, body: string): Fault {
  return async () => ({ status: 0, wire: 'raw', body: Buffer.from(`${head}\r\n\r\n${body}`) })
}

/** The real answer, and blanks behind it: beyond the bound of keyhole, still good JSON, and its length is not told. */
export function padded(mebibytes = 5): Fault {
  const blanks = Buffer.alloc(1 << 20, ' ')
  return change((reply) => ({
    ...reply,
    body: [Buffer.from(String(reply.body)), ...Array.from({ length: mebibytes }, () => blanks)],
  }))
}

/** The real answer, announced as 64 MiB, and then silence: only a look at the head ends this before its time. */
export function announcing(): Fault {
  return change((reply) => ({
    ...reply,
    headers: { ...reply.headers, 'content-length': String(64 << 20) },
    wire: 'stall',
  }))
}

/** The real answer, with a word that it is compressed. */
export function encoded(): Fault {
  return change((reply) => ({ ...reply, headers: { ...reply.headers, 'content-encoding': 'gzip' } }))
}

export interface Held {
  /** Resolves when the first request is being held. */
  readonly arrived: Promise<void>
  /** Resolves when the client of one that is held has given up. */
  readonly left: Promise<void>
  /** Lets all of them go on, and those that come. */
  release(): void
}

/** Holds the matching requests back until released. What a client that has left asked for takes no effect. */
export function hold(standin: Standin, match: Match, fault: Fault = (_request, next) => next()): Held {
  const arrived = Promise.withResolvers<void>()
  const left = Promise.withResolvers<void>()
  const released = Promise.withResolvers<void>()
  const injected = standin.faults.inject(match, async (request, next, clock) => {
    arrived.resolve()
    request.signal.addEventListener('abort', () => left.resolve())
    await Promise.race([released.promise, aborted(request.signal)])
    return request.signal.aborted ? { status: 0, wire: 'before' } : fault(request, next, clock)
  })
  return {
    arrived: arrived.promise,
    left: left.promise,
    release() {
      injected.remove()
      released.resolve()
    },
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
}

export interface Elsewhere extends AsyncDisposable {
  readonly url: string
  /** Connections that anybody opened. */
  visits(): number
}

/** A server that no request of keyhole's should ever reach. */
export async function elsewhere(): Promise<Elsewhere> {
  let visits = 0
  const server = createServer((socket) => {
    visits += 1
    socket.destroy()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    visits: () => visits,
    async [Symbol.asyncDispose]() {
      await new Promise<void>((resolve) => server.close(() => resolve()))
    },
  }
}
