/**
 * One call to the API server. The SDK's request factories write it; our Send carries it, with keyhole's own token.
 *
 * Only those factories are loaded. The SDK's index loads every API there is, which takes twice the time and 40 MB, and
 * its clients each bring a transport that opens a connection per call.
 */
import { createConfiguration } from '@kubernetes/client-node/dist/gen/configuration.js'
import type { RequestContext } from '@kubernetes/client-node/dist/gen/http/http.js'
import { wrapHttpLibrary } from '@kubernetes/client-node/dist/gen/http/http.js'
import { ServerConfiguration } from '@kubernetes/client-node/dist/gen/servers.js'
import type { UpstreamKind } from '../errors.ts'
import { UpstreamError } from '../errors.ts'
import { LABEL, SUBDOMAIN } from '../label.ts'
import type { Token } from '../opaque.ts'
import { wipe } from '../opaque.ts'
import { kindOfStatus, unanswered } from './refused.ts'
import type { Renewed } from './renewed-file.ts'
import type { Answer, Outbound, Send } from './send.ts'

export interface KubernetesOptions {
  readonly send: Send
  /** keyhole's own token. */
  readonly token: Renewed<Token>
}

/** The receiver wipes the answer. @throws UpstreamError when there was none. */
export type Call = (request: RequestContext, signal: AbortSignal) => Promise<Answer>

export function openClient({ send, token }: KubernetesOptions): Call {
  async function attempt(request: RequestContext, own: Token, signal: AbortSignal): Promise<Answer> {
    try {
      return await send(outbound(request, own), signal)
    } catch (error) {
      throw unanswered('kubernetes', error)
    }
  }

  return async (request, signal) => {
    const answer = await attempt(request, token.current(), signal)
    if (answer.status !== 401) return answer
    // The token in hand may have ended while the file holds its successor. Refused like this, nothing was done.
    wipe(answer.body)
    return await attempt(request, token.again(), signal)
  }
}

/** Never resolved: a Send knows its origin. */
const BASE = 'http://kubernetes.invalid'

export const CONFIGURATION = createConfiguration({
  baseServer: new ServerConfiguration(BASE, {}),
  // In place of the SDK's own transport, so that nothing can ever leave through it.
  httpApi: wrapHttpLibrary({ send: () => Promise.reject(new Error('requests leave through Send')) }),
})

const METHODS = ['GET', 'POST', 'PUT', 'PATCH'] as const

function outbound(request: RequestContext, own: Token): Outbound {
  const body = request.getBody()
  const method = METHODS.find((known) => known === String(request.getHttpMethod()))
  if (method === undefined) throw new TypeError('a method that Send does not carry')
  return {
    method,
    path: request.getUrl().slice(BASE.length),
    headers: { ...request.getHeaders(), authorization: `Bearer ${own.reveal()}` },
    ...(typeof body === 'string' && { body }),
  }
}

/** Reads an answer of the wanted status and wipes it. What `read` throws quotes the answer, so nothing of it is kept. */
export async function whole<T>(
  answer: Answer,
  status: number,
  read: (answer: Answer) => Promise<T | undefined>,
): Promise<T> {
  try {
    if (answer.status !== status) throw new UpstreamError('kubernetes', kindOf(answer.status), answer.status)
    const found = await read(answer).catch(() => undefined)
    if (found === undefined) throw new UpstreamError('kubernetes', 'garbage', answer.status)
    return found
  } finally {
    wipe(answer.body)
  }
}

function kindOf(status: number): UpstreamKind {
  return kindOfStatus(status) ?? (status === 400 || status === 422 ? 'bad-request' : 'garbage')
}

/** Why the API server refused. */
export interface Refused {
  readonly reason: unknown
  readonly message: unknown
  /** Of what it is about, e.g. `secrets`. */
  readonly kind: unknown
  readonly name: unknown
  readonly causes: readonly Readonly<Record<string, unknown>>[]
}

/** Undefined for what is not a Status: a proxy's page says nothing about an object. Wipes the answer. */
export function refusedBy({ body }: Answer): Refused | undefined {
  try {
    const status = record(JSON.parse(body.toString('utf8')))
    if (status?.['kind'] !== 'Status') return undefined
    const { kind, name, causes } = record(status['details']) ?? {}
    const read = Array.isArray(causes) ? causes.map(record).filter((cause) => cause !== undefined) : []
    return { reason: status['reason'], message: status['message'], kind, name, causes: read }
  } catch {
    return undefined
  } finally {
    wipe(body)
  }
}

export interface ObjectName {
  readonly apiVersion: string
  readonly kind: string
  readonly namespace: string
  readonly name: string
}

export interface ApiObject {
  readonly uid: string
  readonly resourceVersion: string
  readonly metadata: Readonly<Record<string, unknown>>
  readonly [member: string]: unknown
}

/**
 * The object in an answer, if it is the one asked for. Not through the SDK, which checks no types and loses a data key
 * named `__proto__`. @throws for what is not JSON.
 */
export function objectIn({ headers, body }: Answer, wanted: ObjectName): ApiObject | undefined {
  if (!/^application\/json(?:;|$)/.test(headers['content-type'] ?? '')) return undefined
  const object = record(JSON.parse(body.toString('utf8')))
  const metadata = record(object?.['metadata'])
  if (object?.['kind'] !== wanted.kind || object['apiVersion'] !== wanted.apiVersion) return undefined
  if (metadata?.['name'] !== wanted.name || metadata['namespace'] !== wanted.namespace) return undefined
  const { uid, resourceVersion } = metadata
  if (typeof uid !== 'string' || uid === '') return undefined
  if (typeof resourceVersion !== 'string' || resourceVersion === '') return undefined
  return { ...object, uid, resourceVersion, metadata }
}

/** Own properties only: what the SDK makes of a key named `__proto__` is not one. */
export function mapOf<T>(value: unknown, read: (value: unknown) => T | undefined): ReadonlyMap<string, T> | undefined {
  const fields = record(value)
  if (fields === undefined) return undefined
  const map = new Map<string, T>()
  for (const [key, field] of Object.entries(fields)) {
    const content = read(field)
    if (content === undefined) return undefined
    map.set(key, content)
  }
  return map
}

/** An absent one is an empty one: the API server leaves out what is empty. */
export function mapOfStrings(value: unknown): ReadonlyMap<string, string> | undefined {
  return value === undefined ? new Map() : mapOf(value, (field) => (typeof field === 'string' ? field : undefined))
}

export function record(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
}

/** RFC 1123. The SDK takes `..` for a name, and the path then means another object. */
export function isLabel(name: string): boolean {
  return LABEL.test(name)
}

export function isSubdomain(name: string): boolean {
  return SUBDOMAIN.test(name)
}
