/** A Kubernetes API server on the wire, as far as keyhole and Vault speak to one. */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { methodNotAllowed, notServed, object, refusal, text, unknownResource } from './kubernetes/answers.ts'
import type { Authenticate, User } from './kubernetes/authenticate.ts'
import { createAuthenticate } from './kubernetes/authenticate.ts'
import type { Asked } from './kubernetes/authorize.ts'
import { asked, forbidden } from './kubernetes/authorize.ts'
import { getSecret } from './kubernetes/secrets.ts'
import { createSigningKey } from './kubernetes/signing.ts'
import type { Store } from './kubernetes/store.ts'
import { at, createStore } from './kubernetes/store.ts'
import type { Issuer } from './kubernetes/token-request.ts'
import { tokenRequest } from './kubernetes/token-request.ts'
import { tokenReview } from './kubernetes/token-review.ts'
import type { Random, Standin, StandinReply, StandinRequest, Tls } from './server.ts'
import { serve } from './server.ts'

export interface KubernetesStandinOptions {
  readonly clock: Clock
  readonly random?: Random
  readonly tls?: Tls
  readonly port?: number
  /** Default `https://kubernetes.default.svc.cluster.local`; also the API audience. */
  readonly issuer?: string
  /** The real server keeps a positive review this long (10,000 there); default 0: every review is fresh. */
  readonly reviewCacheMs?: number
}

export interface Named {
  readonly namespace: string
  readonly name: string
}

export interface KubernetesStandin extends Standin {
  readonly issuer: string
  /** A bearer token of group `system:masters`: every right. */
  readonly adminToken: string
  putNamespace(name: string): void
  /** Creates the namespace too. Putting what exists keeps its uid. */
  putServiceAccount(which: Named): { readonly uid: string }
  deleteServiceAccount(which: Named): void
  /** Creates the ServiceAccount and the node too. */
  putPod(pod: Named & { readonly serviceAccount: string; readonly node?: string }): { readonly uid: string }
  /** With a grace, the pod's tokens live on for grace + 60 s, as in the real server; default 0: gone at once. */
  deletePod(which: Named, graceSeconds?: number): void
  putSecret(secret: SecretSeed): { readonly uid: string; readonly resourceVersion: string }
  deleteSecret(which: Named): void
  /** A user of a static token file: people, nodes. */
  putUser(user: {
    readonly name: string
    readonly uid: string
    readonly groups?: readonly string[]
    readonly token: string
  }): void
  /** Adds rights to a ServiceAccount or a username, as a Role and its binding would. */
  allow(subject: Named | string, ...rights: readonly Right[]): void
  /** Takes all added rights from it. */
  disallow(subject: Named | string): void
  /** As kubelet gets them: what TokenRequest would answer. Throws where TokenRequest would refuse. */
  issueToken(order: TokenOrder): string
  /** Signs any claims: with the cluster's key, or one that the cluster does not know. */
  signToken(claims: Readonly<Record<string, unknown>>, key?: 'cluster' | 'stranger'): string
}

export interface SecretSeed extends Named {
  /** What an owner writes, before base64. */
  readonly data: Readonly<Record<string, string | Buffer>>
  readonly type?: string
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly immutable?: boolean
}

/** One RBAC rule. Without `namespace` it holds cluster-wide; without `names` for every object of the resource. */
export interface Right {
  readonly verbs: readonly string[]
  /** API group; empty for core. */
  readonly group: string
  readonly resource: string
  readonly namespace?: string
  readonly names?: readonly string[]
}

export interface TokenOrder {
  readonly namespace: string
  readonly serviceAccount: string
  /** Empty or absent: the cluster's own. */
  readonly audiences?: readonly string[]
  /** At least 600, at most 2^32; default 3600. */
  readonly expirationSeconds?: number
  /** Binds the token to this pod; the uid is looked up when absent. */
  readonly pod?: { readonly name: string; readonly uid?: string }
}

export async function startKubernetesStandin(options: KubernetesStandinOptions): Promise<KubernetesStandin> {
  const { clock, random = randomBytes, issuer = 'https://kubernetes.default.svc.cluster.local' } = options
  const store = createStore(clock, random)
  const key = createSigningKey(random)
  const stranger = createSigningKey(random)
  const authenticate = createAuthenticate({ clock, store, key, issuer, cacheMs: options.reviewCacheMs ?? 0 })
  const rights = new Map<string, Right[]>()
  const cluster: Cluster = { clock, store, key, issuer, authenticate, rights }
  const adminToken = `admin-${random(16).toString('hex')}`
  store.users.set(adminToken, { name: 'admin', uid: 'admin', groups: ['system:masters'] })
  const standin = await serve({
    clock,
    tls: options.tls,
    port: options.port,
    handler: (request) => identify(answer(request, cluster), store.uid()),
  })
  return Object.assign(standin, seeding(cluster), {
    issuer,
    adminToken,
    signToken: (claims: Readonly<Record<string, unknown>>, by: 'cluster' | 'stranger' = 'cluster') =>
      (by === 'cluster' ? key : stranger).sign(claims),
  })
}

interface Cluster extends Issuer {
  readonly authenticate: Authenticate
  /** By username. */
  readonly rights: Map<string, Right[]>
}

function identify(reply: StandinReply, auditId: string): StandinReply {
  return { ...reply, headers: { 'audit-id': auditId, ...reply.headers } }
}

function answer(request: StandinRequest, cluster: Cluster): StandinReply {
  const path = decoded(request.path)
  if (path === undefined)
    return { status: 400, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: '400 Bad Request' }
  const user = authenticated(request, cluster)
  if (user === undefined) return refusal(401, 'Unauthorized', 'Unauthorized')
  const what = asked(request, path)
  return forbidden(what, user, cluster.rights.get(user.username) ?? []) ?? route(request, what, cluster)
}

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

function route(request: StandinRequest, what: Asked, cluster: Cluster): StandinReply {
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
    return request.method === 'HEAD' || (one && request.method === 'POST') ? methodNotAllowed() : notServed()
  }
  if (what.group !== '' && what.group !== 'authentication.k8s.io') return text(404, '404 page not found\n')
  return unknownResource()
}

function nonResource(path: string, cluster: Cluster): StandinReply {
  if (path === '/livez' || path === '/readyz' || path === '/healthz') return text(200, 'ok')
  if (path === '/version')
    return object(200, { major: '1', minor: '36', gitVersion: 'v1.36.3', platform: 'linux/amd64' })
  if (path === '/openid/v1/jwks') {
    const reply = object(200, { keys: [cluster.key.jwk] })
    return { ...reply, headers: { ...reply.headers, 'content-type': 'application/jwk-set+json' } }
  }
  return text(404, '404 page not found\n')
}

type Seeding = Omit<KubernetesStandin, keyof Standin | 'issuer' | 'adminToken' | 'signToken'>

function seeding(cluster: Cluster): Seeding {
  const { clock, store, rights } = cluster
  const seed: Seeding = {
    putNamespace(name) {
      store.namespaces.add(name)
    },
    putServiceAccount({ namespace, name }) {
      store.namespaces.add(namespace)
      const account = store.serviceAccounts.get(at(namespace, name)) ?? store.written(namespace, name)
      store.serviceAccounts.set(at(namespace, name), account)
      return { uid: account.uid }
    },
    deleteServiceAccount({ namespace, name }) {
      store.serviceAccounts.delete(at(namespace, name))
    },
    putPod({ namespace, name, serviceAccount, node = 'worker' }) {
      seed.putServiceAccount({ namespace, name: serviceAccount })
      const uid = store.nodes.get(node) ?? store.uid()
      store.nodes.set(node, uid)
      const meta = store.written(namespace, name)
      store.pods.set(at(namespace, name), { meta, serviceAccount, node: { name: node, uid }, deletionAt: undefined })
      return { uid: meta.uid }
    },
    deletePod({ namespace, name }, graceSeconds = 0) {
      const pod = store.pods.get(at(namespace, name))
      if (pod === undefined || graceSeconds === 0) store.pods.delete(at(namespace, name))
      else store.pods.set(at(namespace, name), { ...pod, deletionAt: clock.now() + graceSeconds * 1000 })
    },
    putSecret(secret) {
      const place = at(secret.namespace, secret.name)
      store.namespaces.add(secret.namespace)
      const meta = store.written(secret.namespace, secret.name, store.secrets.get(place)?.meta)
      store.secrets.set(place, {
        meta,
        data: new Map(Object.entries(secret.data).map(([dataKey, value]) => [dataKey, Buffer.from(value)])),
        type: secret.type ?? 'Opaque',
        labels: secret.labels,
        annotations: secret.annotations,
        immutable: secret.immutable,
      })
      return { uid: meta.uid, resourceVersion: meta.resourceVersion }
    },
    deleteSecret({ namespace, name }) {
      store.secrets.delete(at(namespace, name))
    },
    putUser({ name, uid, groups = [], token }) {
      store.users.set(token, { name, uid, groups })
    },
    allow(subject, ...added) {
      const username = usernameOf(subject)
      rights.set(username, [...(rights.get(username) ?? []), ...added])
    },
    disallow(subject) {
      rights.delete(usernameOf(subject))
    },
    issueToken(order) {
      return issue(cluster, store, order)
    },
  }
  return seed
}

function usernameOf(subject: Named | string): string {
  return typeof subject === 'string' ? subject : `system:serviceaccount:${subject.namespace}:${subject.name}`
}

/** Through the same code that serves TokenRequest, so that a seeded token cannot be one that a cluster would refuse to make. */
function issue(issuer: Issuer, store: Store, order: TokenOrder): string {
  const pod = order.pod === undefined ? undefined : { kind: 'Pod', apiVersion: 'v1', ...order.pod }
  const spec = {
    audiences: order.audiences,
    expirationSeconds: order.expirationSeconds,
    ...(pod === undefined ? {} : { boundObjectRef: pod }),
  }
  const request: StandinRequest = {
    method: 'POST',
    path: '/',
    query: new URLSearchParams(),
    headers: {},
    body: Buffer.from(JSON.stringify({ spec })),
    signal: new AbortController().signal,
  }
  if (!store.serviceAccounts.has(at(order.namespace, order.serviceAccount))) {
    throw new Error(
      `no ServiceAccount ${order.namespace}/${order.serviceAccount}: put it, or a pod that runs as it, first`,
    )
  }
  const reply = tokenRequest(request, issuer, order.namespace, order.serviceAccount)
  const body = JSON.parse(String(reply.body)) as { status: { token: string }; message?: string }
  if (reply.status !== 201) throw new Error(`TokenRequest refused: ${body.message ?? reply.status}`)
  return body.status.token
}
