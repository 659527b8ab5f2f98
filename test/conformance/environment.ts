/**
 * What a conformance case needs of the world it runs in: two servers, and an operator who can set them up.
 * The stand-ins and the real servers each implement it; a case never learns which one it got.
 *
 * The operator works before and between the requests of a case. What a case *observes* goes over HTTP only.
 * Every call resolves once its effect is visible to the next request.
 */

export interface Environment {
  readonly kubernetes: Origin
  readonly vault: Origin
  /** The cluster's own audience, which is also its issuer: the audience of a token that asked for none. */
  readonly issuer: string
  readonly operator: Operator
  /** Epoch milliseconds by the servers' clock. */
  now(): number
  /** Lets time pass: the stand-ins' clock is moved, real servers are waited for. Cases keep it under three seconds. */
  elapse(ms: number): Promise<void>
}

export interface Origin {
  /** Without a trailing slash, e.g. `https://127.0.0.1:26443`. */
  readonly url: string
  /** PEM; needed when `url` is https with a private CA. */
  readonly ca?: string
}

export interface Operator {
  readonly kubernetes: KubernetesOperator
  readonly vault: VaultOperator
}

export interface Named {
  readonly namespace: string
  readonly name: string
}

export interface KubernetesOperator {
  /** A bearer token with every right. */
  readonly adminToken: string
  /** A bearer token of a person, not of a ServiceAccount, without rights: user `ada`, uid `ada-uid`, group `developers`. */
  readonly userToken: string
  /** A bearer token of user `system:node:worker`, uid `node-uid`, group `system:nodes`. */
  readonly nodeToken: string
  /** Creates the namespace too. Creating what exists answers with the existing one's uid. */
  createServiceAccount(which: Named): Promise<{ uid: string }>
  deleteServiceAccount(which: Named): Promise<void>
  /** Bound to node `worker` unless said otherwise; the node need not exist. */
  createPod(pod: Named & { serviceAccount: string; node?: string }): Promise<{ uid: string }>
  /** At once, without grace. */
  deletePod(which: Named): Promise<void>
  /** `data` is what an owner writes before base64. Creates or replaces; the namespace is created too. */
  putSecret(
    secret: Named & { data: Readonly<Record<string, string>>; immutable?: boolean },
  ): Promise<{ uid: string; resourceVersion: string }>
  deleteSecret(which: Named): Promise<void>
  /** Creates or replaces; the namespace is created too. */
  putLease(lease: Lease): Promise<{ uid: string; resourceVersion: string }>
  deleteLease(which: Named): Promise<void>
  /** Gives a ServiceAccount (or a username) exactly these rights beside the ones it has, as RBAC would. */
  allow(subject: Named | string, right: Right): Promise<void>
  /** As kubelet asks for projected tokens: through TokenRequest. */
  issueToken(request: TokenOrder): Promise<string>
  /**
   * Without `kid` in the header. Signs claims that no TokenRequest would yield (expired, not yet valid, another uid), with the cluster's key, or with a key
   * that the cluster does not know.
   */
  signToken(claims: Readonly<Record<string, unknown>>, key: 'cluster' | 'stranger'): Promise<string>
}

export interface Lease extends Named {
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly spec: { readonly holderIdentity?: string; readonly leaseDurationSeconds?: number }
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
  /** Empty or absent: the cluster's own audience. */
  readonly audiences?: readonly string[]
  /** At least 600; absent: 3600. */
  readonly expirationSeconds?: number
  /** Binds the token to this pod, which must exist and run as the ServiceAccount. */
  readonly pod?: { readonly name: string; readonly uid: string }
}

export interface VaultOperator {
  /** A token with every right. */
  readonly rootToken: string
  /** Auth method `kubernetes` at `auth/kubernetes` and a Transit engine at `transit` are there from the start. */
  putPolicy(name: string, rules: readonly PolicyRule[]): Promise<void>
  /** With `token_no_default_policy`: the token has the role's policies and no other. */
  putRole(role: VaultRole): Promise<void>
  deleteRole(name: string): Promise<void>
  /** Without the default policy. A token of its own, not from a login; `batch` ones start with `hvb.`, `service` ones with `hvs.`. */
  createToken(order: { policies: readonly string[]; ttlSeconds: number; type: 'batch' | 'service' }): Promise<string>
  /** aes256-gcm96. Creating what exists changes nothing. */
  createTransitKey(key: { name: string; derived: boolean }): Promise<void>
  rotateTransitKey(name: string): Promise<void>
  configureTransitKey(
    name: string,
    config: { minDecryptionVersion?: number; minEncryptionVersion?: number },
  ): Promise<void>
  /** Drops the versions below, for good. Needs both minimums to be at least `minAvailableVersion`. */
  trimTransitKey(name: string, minAvailableVersion: number): Promise<void>
  deleteTransitKey(name: string): Promise<void>
  seal(): Promise<void>
  unseal(): Promise<void>
}

export interface PolicyRule {
  /** As in a policy file: a trailing `*` is a prefix, `+` one segment. */
  readonly path: string
  readonly capabilities: readonly ('create' | 'read' | 'update' | 'delete' | 'list' | 'sudo' | 'deny')[]
  /** By name, the values; none stands for any. */
  readonly allowedParameters?: Readonly<Record<string, readonly unknown[]>>
  readonly deniedParameters?: Readonly<Record<string, readonly unknown[]>>
}

export interface VaultRole {
  readonly name: string
  /** Absent: the role takes a token of any audience. */
  readonly audience?: string
  readonly serviceAccountNames: readonly string[]
  readonly serviceAccountNamespaces: readonly string[]
  readonly policies: readonly string[]
  readonly tokenTtlSeconds: number
  readonly tokenType: 'batch' | 'service'
}
