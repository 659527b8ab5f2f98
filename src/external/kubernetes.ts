/**
 * The Kubernetes API, as far as keyhole needs it: TokenReview and GET of one Secret. The SDK writes the requests and
 * reads the answers; our Send carries them.
 *
 * Only the SDK's request factories and response processors are loaded. Its index loads every API there is, which takes
 * twice the time and 40 MB, and its clients each bring a transport that opens a connection per call.
 *
 * An answer is believed as far as it is what was asked for: right kind, right object, right types. All else is garbage.
 */
import {
  AuthenticationV1ApiRequestFactory,
  AuthenticationV1ApiResponseProcessor,
} from '@kubernetes/client-node/dist/gen/apis/AuthenticationV1Api.js'
import { CoreV1ApiRequestFactory, CoreV1ApiResponseProcessor } from '@kubernetes/client-node/dist/gen/apis/CoreV1Api.js'
import { createConfiguration } from '@kubernetes/client-node/dist/gen/configuration.js'
import type { RequestContext } from '@kubernetes/client-node/dist/gen/http/http.js'
import { ResponseContext, wrapHttpLibrary } from '@kubernetes/client-node/dist/gen/http/http.js'
import { ServerConfiguration } from '@kubernetes/client-node/dist/gen/servers.js'
import type { UpstreamKind } from '../errors.ts'
import { UpstreamError } from '../errors.ts'
import type { Token } from '../opaque.ts'
import { wipe } from '../opaque.ts'
import { kindOfStatus, unanswered } from './refused.ts'
import type { Renewed } from './renewed-file.ts'
import type { Answer, Outbound, Send } from './send.ts'

export interface Kubernetes {
  /** Asks for this audience; whether the answer confirms it, and whose token it is, is the caller's to check. @throws UpstreamError */
  reviewToken(token: Token, audience: string, signal: AbortSignal): Promise<TokenReview>
  /** A quorum read; undefined when the API server says that there is no such Secret. @throws UpstreamError */
  getSecret(namespace: string, name: string, signal: AbortSignal): Promise<Secret | undefined>
}

export interface TokenReview {
  readonly authenticated: boolean
  readonly audiences: readonly string[]
  readonly username?: string
  readonly uid?: string
  readonly extra: ReadonlyMap<string, readonly string[]>
  /** Why not, where it is not authenticated: the token is of another audience, or anything else. */
  readonly refusal?: 'audience' | 'rejected'
}

export interface Secret {
  readonly uid: string
  readonly resourceVersion: string
  readonly type: string
  readonly immutable: boolean
  /** Values still in base64. */
  readonly data: ReadonlyMap<string, string>
}

export interface KubernetesOptions {
  readonly send: Send
  /** keyhole's own token. */
  readonly token: Renewed<Token>
}

export function openKubernetes({ send, token }: KubernetesOptions): Kubernetes {
  const authentication = new AuthenticationV1ApiRequestFactory(CONFIGURATION)
  const reviews = new AuthenticationV1ApiResponseProcessor()
  const core = new CoreV1ApiRequestFactory(CONFIGURATION)
  const secrets = new CoreV1ApiResponseProcessor()

  async function call(request: RequestContext, signal: AbortSignal): Promise<Answer> {
    const answer = await attempt(request, token.current(), signal)
    if (answer.status !== 401) return answer
    // The token in hand may have ended while the file holds its successor.
    wipe(answer.body)
    return await attempt(request, token.again(), signal)
  }

  async function attempt(request: RequestContext, own: Token, signal: AbortSignal): Promise<Answer> {
    try {
      return await send(outbound(request, own), signal)
    } catch (error) {
      throw unanswered('kubernetes', error)
    }
  }

  return {
    async reviewToken(reviewed, audience, signal) {
      const spec = { token: reviewed.reveal(), audiences: [audience] }
      const request = await authentication.createTokenReview({ ...TOKEN_REVIEW, spec })
      const answer = await call(request, signal)
      return await whole(answer, 201, async (response) => {
        const { data } = await reviews.createTokenReviewWithHttpInfo(response)
        if (data.kind !== TOKEN_REVIEW.kind || data.apiVersion !== TOKEN_REVIEW.apiVersion) return undefined
        // The API server repeats the token. Another one here means another caller's answer.
        if (data.spec?.token !== undefined && data.spec.token !== spec.token) return undefined
        return tokenReview(data.status)
      })
    },

    async getSecret(namespace, name, signal) {
      if (!isLabel(namespace) || !isSubdomain(name)) throw new UpstreamError('kubernetes', 'bad-request')
      const answer = await call(await core.readNamespacedSecret(name, namespace), signal)
      if (answer.status === 404 && isNotFound(answer)) return undefined
      return await whole(answer, 200, async (response) => {
        const { data } = await secrets.readNamespacedSecretWithHttpInfo(response)
        const { kind, apiVersion, metadata } = data
        if (kind !== 'Secret' || apiVersion !== 'v1') return undefined
        if (metadata?.name !== name || metadata.namespace !== namespace) return undefined
        return secret(data)
      })
    },
  }
}

const TOKEN_REVIEW = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview' } as const

/** Never resolved: a Send knows its origin. */
const BASE = 'http://kubernetes.invalid'

const CONFIGURATION = createConfiguration({
  baseServer: new ServerConfiguration(BASE, {}),
  // In place of the SDK's own transport, so that nothing can ever leave through it.
  httpApi: wrapHttpLibrary({ send: () => Promise.reject(new Error('requests leave through Send')) }),
})

function outbound(request: RequestContext, own: Token): Outbound {
  const body = request.getBody()
  return {
    method: request.getHttpMethod() === 'POST' ? 'POST' : 'GET',
    path: request.getUrl().slice(BASE.length),
    headers: { ...request.getHeaders(), authorization: `Bearer ${own.reveal()}` },
    ...(typeof body === 'string' && { body }),
  }
}

/** Reads an answer of the wanted status and wipes it. What `read` throws quotes the answer, so nothing of it is kept. */
async function whole<T>(
  answer: Answer,
  status: number,
  read: (response: ResponseContext) => Promise<T | undefined>,
): Promise<T> {
  try {
    if (answer.status !== status) throw new UpstreamError('kubernetes', kindOf(answer.status), answer.status)
    const found = await read(responseOf(answer)).catch(() => undefined)
    if (found === undefined) throw new UpstreamError('kubernetes', 'garbage', answer.status)
    return found
  } finally {
    wipe(answer.body)
  }
}

function kindOf(status: number): UpstreamKind {
  return kindOfStatus(status) ?? (status === 400 || status === 422 ? 'bad-request' : 'garbage')
}

function responseOf({ status, headers, body }: Answer): ResponseContext {
  return new ResponseContext(status, headers, {
    text: async () => body.toString('utf8'),
    binary: async () => body,
    stream: () => null,
  })
}

/** A 404 of anything else on the way, such as a proxy's page, says nothing about the Secret. */
function isNotFound({ body }: Answer): boolean {
  try {
    const status = record(JSON.parse(body.toString('utf8')))
    return (
      status?.['kind'] === 'Status' &&
      status['reason'] === 'NotFound' &&
      record(status['details'])?.['kind'] === 'secrets'
    )
  } catch {
    return false
  } finally {
    wipe(body)
  }
}

/** The SDK converts shapes but checks no types: everything is looked at again. */
function tokenReview(status: unknown): TokenReview | undefined {
  const { authenticated, audiences, user, error } = record(status) ?? { authenticated: 0 }
  if (authenticated !== undefined && typeof authenticated !== 'boolean') return undefined
  if (error !== undefined && typeof error !== 'string') return undefined
  if (authenticated !== true || (error !== undefined && error !== '')) {
    const refusal = error?.includes(WRONG_AUDIENCE) === true ? 'audience' : 'rejected'
    return { authenticated: false, audiences: [], extra: new Map(), refusal }
  }
  const { username, uid, extra } = record(user) ?? {}
  if (typeof username !== 'string' || username === '') return undefined
  if (uid !== undefined && typeof uid !== 'string') return undefined
  const confirmed = audiences === undefined ? [] : strings(audiences)
  const details = extra === undefined ? new Map() : mapOf(extra, strings)
  if (confirmed === undefined || details === undefined) return undefined
  return { authenticated, audiences: confirmed, username, ...(uid !== undefined && { uid }), extra: details }
}

/** Of `token audiences ["x"] is invalid for the target audiences ["keyhole"]`. */
const WRONG_AUDIENCE = 'is invalid for the target audiences'

function secret(found: {
  type?: unknown
  immutable?: unknown
  metadata?: unknown
  data?: unknown
}): Secret | undefined {
  const { uid, resourceVersion } = record(found.metadata) ?? {}
  if (typeof uid !== 'string' || uid === '' || typeof resourceVersion !== 'string') return undefined
  if (typeof found.type !== 'string') return undefined
  const data =
    found.data === undefined ? new Map() : mapOf(found.data, (value) => (typeof value === 'string' ? value : undefined))
  if (data === undefined) return undefined
  return { uid, resourceVersion, type: found.type, immutable: found.immutable === true, data }
}

/** Own properties only: what the SDK makes of a key named `__proto__` is not one. */
function mapOf<T>(value: unknown, read: (value: unknown) => T | undefined): ReadonlyMap<string, T> | undefined {
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

function strings(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined
}

function record(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
}

/** RFC 1123. The SDK takes `..` for a name, and the path then means another object. */
function isLabel(name: string): boolean {
  return /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/.test(name)
}

function isSubdomain(name: string): boolean {
  return name.length <= 253 && /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*$/.test(name)
}
