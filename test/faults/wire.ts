/** Between what an SDK sends and what a stand-in serves, without a socket. */
import type { Answer, Outbound } from '../../src/external/send.ts'
import type { StandinReply, StandinRequest } from '../../src/standins/server.ts'

const NEVER = new AbortController().signal

export function requestOf({ method, path, headers, body = '' }: Outbound): StandinRequest {
  const mark = path.indexOf('?')
  return {
    method,
    path: mark < 0 ? path : path.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? '' : path.slice(mark)),
    headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value])),
    body: Buffer.from(body),
    signal: NEVER,
  }
}

export function answerOf({ status, headers = {}, body = '' }: StandinReply): Answer {
  if (typeof body !== 'string' && !Buffer.isBuffer(body)) throw new Error('no stand-in streams such an answer')
  const lower = Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value] as const)
  // A copy: its receiver wipes it.
  return { status, headers: Object.fromEntries(lower), body: Buffer.from(body) }
}

/** The call goes on without whoever gave it up. */
export async function unlessAborted<T>(call: Promise<T>, signal: AbortSignal, gone: () => Error): Promise<T> {
  call.catch(() => {})
  const { promise, reject } = Promise.withResolvers<never>()
  promise.catch(() => {})
  const giveUp = () => reject(gone())
  signal.addEventListener('abort', giveUp)
  try {
    return await Promise.race([call, promise])
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}
