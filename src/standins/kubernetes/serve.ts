/** From a request to its answer, in the real server's order: who asks, may they, and only then whether it exists. */
import type { Right } from '../kubernetes.ts'
import type { StandinReply, StandinRequest } from '../server.ts'
import { methodNotAllowed, notServed, object, refusal, text, unknownResource } from './answers.ts'
import type { Authenticate, User } from './authenticate.ts'
import type { Asked } from './authorize.ts'
import { asked, forbidden } from './authorize.ts'
import { getLease, putLease } from './leases.ts'
import { patchSecret } from './secret-patch.ts'
import { getSecret } from './secrets.ts'
import { selfReview } from './self-reviews.ts'
import type { Issuer } from './token-request.ts'
import { tokenRequest } from './token-request.ts'
import { tokenReview } from './token-review.ts'

export interface Cluster extends Issuer {
  readonly authenticate: Authenticate
  /** By username. */
  readonly rights: Map<string, Right[]>
}

export function serveCluster(request: StandinRequest, cluster: Cluster): StandinReply {
  const reply = answer(request, cluster)
  return { ...reply, headers: { 'audit-id': cluster.store.uid(), ...reply.headers } }
}

function answer(request: StandinRequest, cluster: Cluster): StandinReply {
  const path = decoded(request.path)
  if (path === undefined) return NOT_A_PATH
  const user = authenticated(request, cluster)
  if (user === undefined) return refusal(401, 'Unauthorized', 'Unauthorized')
  const rights = cluster.rights.get(user.username) ?? []
  const refuse: Refuse = (asking) => forbidden(asking, user, rights)
  const what = asked(request, path)
  return selfReview(request, what, user, rights) ?? refuse(what) ?? route(request, what, cluster, refuse)
}

/** What refuses this to whoever asks; undefined: nothing. */
type Refuse = (what: Asked) => StandinReply | undefined

const NOT_A_PATH = { status: 400, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: '400 Bad Request' }

function decoded(path: string): string | undefined {
  try {
    return decodeURIComponent(path)
  } catch {
    return undefined
  }
}

/** No bearer token at all is a user too, the anonymous one: the real server answers that with 403, not 401. */
function authenticated(request: StandinRequest, cluster: Cluster): User | undefined {
  const token = /^bearer +(\S+)/i.exec(String(request.headers['authorization'] ?? ''))?.[1]
  if (token === undefined) return { username: 'system:anonymous', groups: ['system:unauthenticated'] }
  const outcome = cluster.authenticate(token, [cluster.issuer])
  return 'user' in outcome ? outcome.user : undefined
}

function route(request: StandinRequest, what: Asked, cluster: Cluster, refuse: Refuse): StandinReply {
  if ('path' in what) return nonResource(what.path, cluster)
  const { namespace, name, resource, subresource } = what
  const kind = `${what.group}/${what.version}/${resource}`
  if (kind === 'authentication.k8s.io/v1/tokenreviews' && namespace === undefined) {
    return name === undefined ? tokenReview(request, cluster.authenticate, cluster.issuer) : unknownResource()
  }
  if (kind === '/v1/serviceaccounts' && subresource === 'token' && namespace !== undefined && name !== undefined) {
    return tokenRequest(request, cluster, namespace, name)
  }
  if (kind === '/v1/secrets' && subresource === undefined) {
    const one = namespace !== undefined && name !== undefined
    if (one && request.method === 'GET') return getSecret(cluster.store, namespace, name)
    if (one && request.method === 'PATCH') return patchSecret(request, cluster.store, namespace, name)
    return neither(request.method, one)
  }
  if (kind === 'coordination.k8s.io/v1/leases' && subresource === undefined && namespace !== undefined) {
    const one = name !== undefined
    if (one && request.method === 'GET') return getLease(cluster.store, namespace, name)
    if (one && request.method === 'PUT') {
      return putLease(request, cluster.store, { namespace, name }, () => refuse({ ...what, verb: 'create' }))
    }
    return neither(request.method, one)
  }
  if (what.group !== '' && !GROUPS.has(what.group)) return text(404, '404 page not found\n')
  return unknownResource()
}

const GROUPS = new Set(['authentication.k8s.io', 'authorization.k8s.io', 'coordination.k8s.io'])

/** What the real server does not allow, or the stand-in does not serve. */
function neither(method: string, one: boolean): StandinReply {
  return method === 'HEAD' || (one ? method === 'POST' : method === 'PATCH') ? methodNotAllowed() : notServed()
}

const VERSION = { major: '1', minor: '36', gitVersion: 'v1.36.3', platform: 'linux/amd64' }

function nonResource(path: string, cluster: Cluster): StandinReply {
  if (path === '/livez' || path === '/readyz' || path === '/healthz') return text(200, 'ok')
  if (path === '/version') return object(200, VERSION)
  if (path === '/openid/v1/jwks') {
    const reply = object(200, { keys: [cluster.key.jwk] })
    return { ...reply, headers: { ...reply.headers, 'content-type': 'application/jwk-set+json' } }
  }
  return text(404, '404 page not found\n')
}
