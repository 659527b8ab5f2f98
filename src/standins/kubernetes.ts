/** A Kubernetes API server on the wire, as far as keyhole and Vault speak to one. */
import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { createAuthenticate } from './kubernetes/authenticate.ts'
import { seeding } from './kubernetes/seed.ts'
import type { Cluster } from './kubernetes/serve.ts'
import { serveCluster } from './kubernetes/serve.ts'
import { createSigningKey } from './kubernetes/signing.ts'
import type { LeaseSpec } from './kubernetes/store.ts'
import { createStore } from './kubernetes/store.ts'
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

export type KubernetesStandin = Standin & KubernetesSeeding

/** The same without a socket: whoever holds it carries requests to it by hand. */
export interface KubernetesInProcess extends KubernetesSeeding {
  handle(request: StandinRequest): StandinReply
}

export interface KubernetesSeeding {
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
  /** As it is stored, whoever wrote it. */
  secret(which: Named): SecretSeen | undefined
  /** Creates or replaces it, whatever its resourceVersion; the namespace too. */
  putLease(lease: LeaseSeed): { readonly uid: string; readonly resourceVersion: string }
  deleteLease(which: Named): void
  lease(which: Named): LeaseSeen | undefined
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
  /** Names of field managers, e.g. of a GitOps tool; absent: those that it had. */
  readonly managers?: readonly string[]
}

export interface SecretSeen {
  readonly uid: string
  readonly resourceVersion: string
  readonly data: Readonly<Record<string, Buffer>>
  readonly type: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly immutable: boolean
  readonly managers: readonly string[]
}

export interface LeaseSeed extends Named {
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly spec?: LeaseSpec
}

export interface LeaseSeen {
  readonly uid: string
  readonly resourceVersion: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  readonly spec: LeaseSpec
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
  const { handle, ...seeding } = createKubernetesStandin(options)
  const { clock, tls, port } = options
  return Object.assign(await serve({ clock, tls, port, handler: handle }), seeding)
}

export function createKubernetesStandin(options: Omit<KubernetesStandinOptions, 'tls' | 'port'>): KubernetesInProcess {
  const { clock, random = randomBytes, issuer = 'https://kubernetes.default.svc.cluster.local' } = options
  const store = createStore(clock, random)
  const key = createSigningKey(random)
  const stranger = createSigningKey(random)
  const authenticate = createAuthenticate({ clock, store, key, issuer, cacheMs: options.reviewCacheMs ?? 0 })
  const rights = new Map<string, Right[]>()
  const cluster: Cluster = { clock, store, key, issuer, authenticate, rights }
  const adminToken = `admin-${random(16).toString('hex')}`
  store.users.set(adminToken, { name: 'admin', uid: 'admin', groups: ['system:masters'] })
  return {
    ...seeding(cluster),
    issuer,
    adminToken,
    signToken: (claims, by = 'cluster') => (by === 'cluster' ? key : stranger).sign(claims),
    handle: (request) => serveCluster(request, cluster),
  }
}
