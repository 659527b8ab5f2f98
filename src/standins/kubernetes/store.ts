/** The objects of the cluster, each with a uid and a resourceVersion that every write moves. */
import type { Clock } from '../../clock.ts'
import type { Random } from '../server.ts'

export interface Meta {
  readonly name: string
  readonly namespace: string
  readonly uid: string
  readonly resourceVersion: string
  readonly creationTimestamp: string
}

export interface StoredPod {
  readonly meta: Meta
  readonly serviceAccount: string
  readonly node: { readonly name: string; readonly uid: string }
  /** Epoch milliseconds at which its grace ends; undefined while nobody deleted it. */
  readonly deletionAt: number | undefined
}

export interface StoredSecret {
  readonly meta: Meta
  readonly data: ReadonlyMap<string, Buffer>
  readonly type: string
  readonly labels: Readonly<Record<string, string>> | undefined
  readonly annotations: Readonly<Record<string, string>> | undefined
  readonly immutable: boolean | undefined
  /** Who wrote it, by the names that a GitOps tool is known by. */
  readonly managers: readonly string[]
}

export interface StoredLease {
  readonly meta: Meta
  readonly labels: Readonly<Record<string, string>> | undefined
  readonly annotations: Readonly<Record<string, string>> | undefined
  readonly spec: LeaseSpec
}

/** Times in microseconds: `2026-11-22T00:00:00.123456Z`. */
export interface LeaseSpec {
  readonly holderIdentity?: string
  readonly leaseDurationSeconds?: number
  readonly acquireTime?: string
  readonly renewTime?: string
  readonly leaseTransitions?: number
}

export interface StoredUser {
  readonly name: string
  readonly uid: string
  readonly groups: readonly string[]
}

export interface Store {
  readonly namespaces: Set<string>
  readonly serviceAccounts: Map<string, Meta>
  readonly pods: Map<string, StoredPod>
  readonly secrets: Map<string, StoredSecret>
  readonly leases: Map<string, StoredLease>
  /** Name to uid. */
  readonly nodes: Map<string, string>
  /** By bearer token. */
  readonly users: Map<string, StoredUser>
  /** Metadata of a new object, or of the old one's next version. */
  written(namespace: string, name: string, old?: Meta): Meta
  uid(): string
}

export function createStore(clock: Clock, random: Random): Store {
  let revision = 0
  return {
    namespaces: new Set(['default', 'kube-system']),
    serviceAccounts: new Map(),
    pods: new Map(),
    secrets: new Map(),
    leases: new Map(),
    nodes: new Map(),
    users: new Map(),
    written(namespace, name, old) {
      revision += 1
      const resourceVersion = String(revision)
      if (old !== undefined) return { ...old, resourceVersion }
      return { name, namespace, uid: uuid(random), resourceVersion, creationTimestamp: timestamp(clock.now()) }
    },
    uid: () => uuid(random),
  }
}

export function at(namespace: string, name: string): string {
  return `${namespace}/${name}`
}

/** RFC 3339 in whole seconds, as Kubernetes writes times. */
export function timestamp(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`
}

export function uuid(random: Random): string {
  const bytes = random(16)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x40, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
