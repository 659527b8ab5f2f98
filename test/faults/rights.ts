/** Who may do what, and with which credentials: the least that docs/reference/rights.md asks an operator to give. */
import type { KubernetesInProcess } from '../../src/standins/kubernetes.ts'
import type { PolicyRule } from '../../src/standins/vault.ts'
import { ESTATE, KEYS, LEASE, nameOf, READER, ROTATOR } from './estate.ts'
import type { World } from './world.ts'

export interface Identity {
  /** For the API server. */
  readonly token: string
  /** For Vault's auth method. */
  readonly jwt: string
}

export interface Tokens {
  readonly rotator: Identity
  readonly reader: Identity
}

export const ROLES = { rotate: 'keyhole-rotate', read: 'keyhole' } as const

/** Longer than anything here takes. */
const YEARS_SECONDS = 1_000_000_000

export function tokensOf(kubernetes: KubernetesInProcess): Tokens {
  const identity = (which: { readonly namespace: string; readonly name: string }): Identity => {
    const { uid } = kubernetes.putServiceAccount(which)
    const order = { namespace: which.namespace, serviceAccount: which.name, audiences: ['vault'] }
    const token = `token-of-${which.name}`
    // The same user by a token that costs no signature: of these there are thousands of calls.
    kubernetes.putUser({ name: `system:serviceaccount:${which.namespace}:${which.name}`, uid, token })
    return { token, jwt: kubernetes.issueToken({ ...order, expirationSeconds: YEARS_SECONDS }) }
  }
  return { rotator: identity(ROTATOR), reader: identity(READER) }
}

export function giveRights({ kubernetes, vault }: Pick<World, 'kubernetes' | 'vault'>): void {
  for (const keeping of ESTATE) {
    const secret = { group: '', resource: 'secrets', namespace: keeping.namespace, names: [keeping.secret] }
    kubernetes.allow(ROTATOR, { ...secret, verbs: ['get', 'patch'] })
    kubernetes.allow(READER, { ...secret, verbs: ['get'] })
  }
  kubernetes.putNamespace(LEASE.namespace)
  kubernetes.allow(ROTATOR, {
    verbs: ['get', 'update', 'create'],
    group: 'coordination.k8s.io',
    resource: 'leases',
    namespace: LEASE.namespace,
    names: [LEASE.name],
  })
  const keys = Object.keys(KEYS)
  vault.putPolicy(ROLES.rotate, keys.flatMap(rotateRules))
  vault.putPolicy(
    ROLES.read,
    keys.map((key): PolicyRule => ({ path: `transit/decrypt/${key}`, capabilities: ['update'] })),
  )
  for (const [role, { namespace, name }] of [
    [ROLES.rotate, ROTATOR],
    [ROLES.read, READER],
  ] as const) {
    vault.putRole({
      name: role,
      audience: 'vault',
      serviceAccountNames: [name],
      serviceAccountNamespaces: [namespace],
      policies: [role],
    })
  }
}

function rotateRules(key: string): readonly PolicyRule[] {
  return [
    { path: `transit/rewrap/${key}`, capabilities: ['update'] },
    { path: `transit/keys/${key}`, capabilities: ['read'] },
    { path: `transit/keys/${key}/rotate`, capabilities: ['update'] },
    {
      path: `transit/keys/${key}/config`,
      capabilities: ['update'],
      allowedParameters: { min_decryption_version: [] },
    },
  ]
}

/** Of the whole estate, by name; for what is added later. */
export function mayBeRotated(world: World, keeping: { readonly namespace: string; readonly secret: string }): void {
  if (ESTATE.some((one) => nameOf(one) === nameOf(keeping))) return
  const secret = { group: '', resource: 'secrets', namespace: keeping.namespace, names: [keeping.secret] }
  world.kubernetes.allow(ROTATOR, { ...secret, verbs: ['get', 'patch'] })
  world.kubernetes.allow(READER, { ...secret, verbs: ['get'] })
}
