/** POST /apis/authentication.k8s.io/v1/tokenreviews. A refused token is a successful call: 201 with `status.error`. */
import type { StandinReply, StandinRequest } from '../server.ts'
import { badRequest, methodNotAllowed, object, parseObject } from './answers.ts'
import type { Authenticate } from './authenticate.ts'

export function tokenReview(request: StandinRequest, authenticate: Authenticate, issuer: string): StandinReply {
  if (request.method !== 'POST') return methodNotAllowed()
  const parsed = parseObject(request.body, contentType(request), 'TokenReview')
  if ('refused' in parsed) return parsed.refused
  const spec = (parsed.value['spec'] ?? {}) as { token?: unknown; audiences?: unknown }
  if (typeof spec.token !== 'string' || spec.token === '') {
    return badRequest('token is required for TokenReview in authentication')
  }
  const audiences = Array.isArray(spec.audiences) ? spec.audiences.map(String) : []
  const outcome = authenticate(spec.token, audiences.length === 0 ? [issuer] : audiences)
  return object(201, {
    kind: 'TokenReview',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: {},
    spec: audiences.length === 0 ? { token: spec.token } : { token: spec.token, audiences },
    status:
      'error' in outcome
        ? { user: {}, error: outcome.error }
        : { authenticated: true, user: outcome.user, audiences: outcome.audiences },
  })
}

export function contentType(request: StandinRequest): string | undefined {
  const value = request.headers['content-type']
  return typeof value === 'string' ? value : undefined
}
