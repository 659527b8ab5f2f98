/**
 * The Kubernetes API, as far as keyhole needs it: TokenReview and GET of one Secret for whoever reads, and what the files
 * beside this one add for whoever rotates. The SDK writes the requests and reads the answers.
 *
 * An answer is believed as far as it is what was asked for: right kind, right object, right types. All else is garbage.
 */
import {
  AuthenticationV1ApiRequestFactory,
  AuthenticationV1ApiResponseProcessor,
} from '@kubernetes/client-node/dist/gen/apis/AuthenticationV1Api.js'
import { CoreV1ApiRequestFactory, CoreV1ApiResponseProcessor } from '@kubernetes/client-node/dist/gen/apis/CoreV1Api.js'
import { ResponseContext } from '@kubernetes/client-node/dist/gen/http/http.js'
import type { Self } from '../check/ports.ts'
import { UpstreamError } from '../errors.ts'
import type { Token } from '../opaque.ts'
import type { Leases, SecretStore } from '../services/rotation/ports.ts'
import type { KubernetesOptions } from './kubernetes-client.ts'
import {
  CONFIGURATION,
  isLabel,
  isSubdomain,
  mapOf,
  mapOfStrings,
  openClient,
  record,
  refusedBy,
  whole,
} from './kubernetes-client.ts'
import { openLeases } from './kubernetes-leases.ts'
import { openSecretStore } from './kubernetes-secrets.ts'
import { openSelf } from './kubernetes-self.ts'
import type { Answer } from './send.ts'

export interface Kubernetes extends SecretStore, Leases, Self {
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

export function openKubernetes(options: KubernetesOptions): Kubernetes {
  const call = openClient(options)
  const authentication = new AuthenticationV1ApiRequestFactory(CONFIGURATION)
  const reviews = new AuthenticationV1ApiResponseProcessor()
  const core = new CoreV1ApiRequestFactory(CONFIGURATION)
  const secrets = new CoreV1ApiResponseProcessor()

  return {
    ...openSecretStore(call),
    ...openLeases(call),
    ...openSelf(call),

    async reviewToken(reviewed, audience, signal) {
      const spec = { token: reviewed.reveal(), audiences: [audience] }
      const request = await authentication.createTokenReview({ ...TOKEN_REVIEW, spec })
      const answer = await call(request, signal)
      return await whole(answer, 201, async (found) => {
        const { data } = await reviews.createTokenReviewWithHttpInfo(responseOf(found))
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
      return await whole(answer, 200, async (found) => {
        const { data } = await secrets.readNamespacedSecretWithHttpInfo(responseOf(found))
        const { kind, apiVersion, metadata } = data
        if (kind !== 'Secret' || apiVersion !== 'v1') return undefined
        if (metadata?.name !== name || metadata.namespace !== namespace) return undefined
        return secret(data)
      })
    },
  }
}

const TOKEN_REVIEW = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview' } as const

function responseOf({ status, headers, body }: Answer): ResponseContext {
  return new ResponseContext(status, headers, {
    text: async () => body.toString('utf8'),
    binary: async () => body,
    stream: () => null,
  })
}

/** A 404 of anything else on the way, such as a proxy's page, says nothing about the Secret. */
function isNotFound(answer: Answer): boolean {
  const refused = refusedBy(answer)
  return refused?.reason === 'NotFound' && refused.kind === 'secrets'
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
  const data = mapOfStrings(found.data)
  if (data === undefined) return undefined
  return { uid, resourceVersion, type: found.type, immutable: found.immutable === true, data }
}

function strings(value: unknown): readonly string[] | undefined {
  return Array.isArray(value) && value.every((item) => typeof item === 'string') ? value : undefined
}
