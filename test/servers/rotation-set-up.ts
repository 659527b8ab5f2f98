/**
 * What an operator adds to have the Secrets of one Transit key rotated: the least rights, nothing more.
 *
 *     keyhole/keyhole-rotator   create tokenreviews; get and patch on named Secrets; get, update and create on its Lease by
 *                               name; Vault role: update on transit/rewrap/<key> and transit/keys/<key>/rotate, read on
 *                               transit/keys/<key>, and transit/keys/<key>/config for min_decryption_version alone
 *     keyhole/keyhole-cron      asks for rotations: a caller, without any right
 *
 * The rotator may not decrypt, and the reader, keyhole/keyhole, may do nothing but decrypt.
 */
import type { Right } from '../conformance/environment.ts'
import { expectStatus } from './call.ts'
import type { RealOperator } from './operator.ts'
import { AUDIENCE, bindRole, KEYHOLE, RBAC, RBAC_GROUP, ROTATOR, rbac, subject } from './set-up.ts'
import { until } from './until.ts'

/** Of the Vault tokens of both roles. */
export const TOKEN_TTL_SECONDS = 10

/** One Transit key, the Secrets that rest under it, and the Lease of whoever rotates them. */
export interface Estate {
  readonly key: string
  /** Each has a Secret of every name. */
  readonly namespaces: readonly string[]
  readonly secrets: readonly string[]
  /** In the rotator's namespace. */
  readonly lease: string
  /** Vault roles, each with a policy of the same name. */
  readonly roles: { readonly rotate: string; readonly read: string }
}

/** An estate of this name, with everything in it named after it. */
export function estateOf(name: string, namespaces: number, secrets: number): Estate {
  return {
    key: name,
    namespaces: numbered(name, namespaces),
    secrets: numbered('secret', secrets),
    lease: name,
    roles: { rotate: `keyhole-rotate-${name}`, read: `keyhole-${name}` },
  }
}

function numbered(name: string, count: number): readonly string[] {
  return Array.from({ length: count }, (_, index) => `${name}-${index}`)
}

/** Each of the rights that a rotation stands on. */
export const RIGHTS = [
  'reviewTokens',
  'getSecrets',
  'patchSecrets',
  'getLease',
  'updateLease',
  'createLease',
  'rewrap',
  'readKey',
  'rotateKey',
  'configureKey',
  'vaultRole',
] as const

export type RotationRight = (typeof RIGHTS)[number]

/** Gives all rights but these, and takes those; resolves once the servers act on it. Whatever was there before. */
export async function giveRights(
  operator: RealOperator,
  estate: Estate,
  without: readonly RotationRight[] = [],
): Promise<void> {
  const has = (right: RotationRight) => !without.includes(right)
  await giveInKubernetes(operator, estate, has)
  await giveInVault(operator, estate, has)
}

type Has = (right: RotationRight) => boolean

async function giveInKubernetes({ kubernetes }: RealOperator, estate: Estate, has: Has): Promise<void> {
  const review = `${RBAC}/clusterrolebindings/keyhole-rotator-reviews-tokens`
  if (has('reviewTokens')) {
    await kubernetes.apply(review, {
      ...rbac('ClusterRoleBinding', 'keyhole-rotator-reviews-tokens'),
      roleRef: { apiGroup: RBAC_GROUP, kind: 'ClusterRole', name: 'review-tokens' },
      subjects: [subject(ROTATOR)],
    })
  } else await kubernetes.remove(review)
  const secretVerbs = [has('getSecrets') && 'get', has('patchSecrets') && 'patch'].filter((verb) => verb !== false)
  const leaseVerbs = [has('getLease') && 'get', has('updateLease') && 'update', has('createLease') && 'create'].filter(
    (verb) => verb !== false,
  )
  const secrets = { apiGroups: [''], resources: ['secrets'], resourceNames: estate.secrets }
  for (const namespace of estate.namespaces) {
    await bindRole(kubernetes, namespace, 'keyhole-rotator', ROTATOR, [{ ...secrets, verbs: secretVerbs }])
    await bindRole(kubernetes, namespace, 'keyhole', KEYHOLE, [{ ...secrets, verbs: ['get'] }])
  }
  await bindRole(kubernetes, ROTATOR.namespace, `lease-${estate.lease}`, ROTATOR, [
    { apiGroups: [LEASES], resources: ['leases'], resourceNames: [estate.lease], verbs: leaseVerbs },
  ])
  const [name = ''] = estate.secrets
  for (const [right, verb] of Object.entries(SECRET_VERBS))
    for (const namespace of estate.namespaces)
      await seen(right, { verb, group: '', resource: 'secrets', namespace, name })
  for (const [right, verb] of Object.entries(LEASE_VERBS))
    await seen(right, { verb, group: LEASES, resource: 'leases', namespace: ROTATOR.namespace, name: estate.lease })
  await seen('reviewTokens', { verb: 'create', group: 'authentication.k8s.io', resource: 'tokenreviews' })

  /** The API server's own authorizer learns of roles from a watch, a moment later. */
  async function seen(right: string, { verb, name: named, ...rest }: Asked): Promise<void> {
    const wanted = has(right as RotationRight)
    const asked: Right = { verbs: [verb], ...rest, ...(named !== undefined && { names: [named] }) }
    await until(
      `${right} is ${wanted ? 'there' : 'gone'}`,
      async () => (await kubernetes.may(ROTATOR, asked)) === wanted,
    )
  }
}

interface Asked {
  readonly verb: string
  readonly group: string
  readonly resource: string
  readonly namespace?: string
  readonly name?: string
}

const LEASES = 'coordination.k8s.io'
const SECRET_VERBS = { getSecrets: 'get', patchSecrets: 'patch' } as const
const LEASE_VERBS = { getLease: 'get', updateLease: 'update', createLease: 'create' } as const

async function giveInVault({ vault }: RealOperator, { key, roles }: Estate, has: Has): Promise<void> {
  const paths = {
    [`transit/rewrap/${key}`]: has('rewrap') && { capabilities: ['update'] },
    [`transit/keys/${key}`]: has('readKey') && { capabilities: ['read'] },
    [`transit/keys/${key}/rotate`]: has('rotateKey') && { capabilities: ['update'] },
    // No other parameter: `exportable` and `allow_plaintext_backup` would let the key itself out, for good.
    [`transit/keys/${key}/config`]: has('configureKey') && {
      capabilities: ['update'],
      allowed_parameters: { min_decryption_version: [] },
    },
  }
  const path = Object.fromEntries(Object.entries(paths).filter(([, rule]) => rule !== false))
  await expectStatus(vault.call('POST', `/v1/sys/policies/acl/${roles.rotate}`, { policy: JSON.stringify({ path }) }))
  const login = { audience: AUDIENCE.vault, tokenTtlSeconds: TOKEN_TTL_SECONDS, tokenType: 'batch' } as const
  await vault.putRole({
    ...login,
    name: roles.rotate,
    serviceAccountNames: [has('vaultRole') ? ROTATOR.name : 'somebody-else'],
    serviceAccountNamespaces: [ROTATOR.namespace],
    policies: [roles.rotate],
  })
  await vault.putPolicy(roles.read, [{ path: `transit/decrypt/${key}`, capabilities: ['update'] }])
  await vault.putRole({
    ...login,
    name: roles.read,
    serviceAccountNames: [KEYHOLE.name],
    serviceAccountNamespaces: [KEYHOLE.namespace],
    policies: [roles.read],
  })
}

/** The Lease as the manifests bring it: there, and nobody's. */
export async function applyLease({ kubernetes }: RealOperator, { lease }: Estate): Promise<void> {
  await kubernetes.apply(leasePath(lease), {
    apiVersion: `${LEASES}/v1`,
    kind: 'Lease',
    metadata: { name: lease, labels: { 'app.kubernetes.io/name': 'keyhole' } },
    spec: {},
  })
}

export function leasePath(lease: string): string {
  return `/apis/${LEASES}/v1/namespaces/${ROTATOR.namespace}/leases/${lease}`
}
