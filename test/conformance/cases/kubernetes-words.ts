/** Words that the Kubernetes cases share. */
import type { Expected, RawRequest } from '../case.ts'
import type { Environment } from '../environment.ts'

export const JSON_TYPE = { 'content-type': 'application/json' }

export function bearer(token: string): Record<string, string> {
  return { authorization: `Bearer ${token}` }
}

export function reviewRequest(token: string, audiences: readonly string[] | undefined, reviewer: string): RawRequest {
  return {
    method: 'POST',
    path: '/apis/authentication.k8s.io/v1/tokenreviews',
    headers: { ...JSON_TYPE, ...bearer(reviewer) },
    body: JSON.stringify({ apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences } }),
  }
}

/** Claims of a good token of ServiceAccount `<namespace>/api`, to be bent by a case. */
export async function goodClaims(
  world: Environment,
  namespace: string,
): Promise<Record<string, unknown> & { uid: string }> {
  const { uid } = await world.operator.kubernetes.createServiceAccount({ namespace, name: 'api' })
  const now = Math.floor(world.now() / 1000)
  const claims = {
    iss: world.issuer,
    sub: `system:serviceaccount:${namespace}:api`,
    aud: ['keyhole'],
    exp: now + 600,
    iat: now,
    nbf: now,
    jti: 'one',
    'kubernetes.io': { namespace, serviceaccount: { name: 'api', uid } },
  }
  // Beside the claims, for the expected texts; never signed.
  Object.defineProperty(claims, 'uid', { value: uid, enumerable: false })
  return claims as typeof claims & { uid: string }
}

/** A Status that refuses. */
export function status(code: number, reason: string, message: string, details?: object): Expected {
  return {
    status: code,
    headers: { 'content-type': 'application/json', 'cache-control': 'no-cache, private' },
    json: {
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message,
      reason,
      code,
      ...(details === undefined ? {} : { details }),
    },
  }
}

export const UNAUTHORIZED = status(401, 'Unauthorized', 'Unauthorized')
export const METHOD_NOT_ALLOWED = status(
  405,
  'MethodNotAllowed',
  'the server does not allow this method on the requested resource',
)
export const UNKNOWN_RESOURCE = status(404, 'NotFound', 'the server could not find the requested resource')

/** An object that was sent to the place of another. */
export function nameMismatch(given: string, name: string): Expected {
  return status(400, 'BadRequest', `the name of the object (${given}) does not match the name on the URL (${name})`)
}

export function nameless(name: string): Expected {
  const why = 'was undeterminable: name must be provided'
  return status(400, 'BadRequest', `the name of the object (${name} based on URL) ${why}`)
}

export const NAMESPACE_MISMATCH = status(
  400,
  'BadRequest',
  'the namespace of the provided object does not match the namespace sent on the request',
)
