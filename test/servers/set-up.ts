/**
 * What an operator does once to run keyhole: namespaces, identities and the least rights, nothing more.
 *
 *     keyhole/keyhole   create tokenreviews; get on named Secrets; Vault role `keyhole`: update on transit/decrypt/<key>
 *     vault/reviewer    create tokenreviews: Vault's own identity for its Kubernetes auth method
 *     keyhole/keyhole-rotator, keyhole/keyhole-cron   who rotates and who asks for it: see rotation-set-up.ts
 *     payments/legacy   the Python library: its own token, one Secret; Vault role `python`: encrypt, decrypt and rotate with one key
 *
 * keyhole cannot be Vault's reviewer itself: the token it logs in with names the audience `vault` alone, and the API server
 * takes no such token.
 */
import type { Named } from '../conformance/environment.ts'
import { expectStatus } from './call.ts'
import type { RealKubernetesOperator } from './kubernetes-operator.ts'
import { RBAC_VERSION } from './kubernetes-operator.ts'
import type { RealOperator } from './operator.ts'
import { VAULT_PLUGIN } from './programs.ts'
import type { Connection } from './start.ts'
import { until } from './until.ts'

export const REALM = 'test'
export const KEYHOLE = { namespace: 'keyhole', name: 'keyhole' } as const
export const ROTATOR = { namespace: 'keyhole', name: 'keyhole-rotator' } as const
/** Asks for rotations: a caller, without any right of its own. */
export const CRON = { namespace: 'keyhole', name: 'keyhole-cron' } as const
export const REVIEWER = { namespace: 'vault', name: 'reviewer' } as const
export const LEGACY = { namespace: 'payments', name: 'legacy' } as const

/** What keyhole's token must name at Vault, and what callers' tokens must name at keyhole. */
export const AUDIENCE = { vault: 'vault', keyhole: 'keyhole', python: 'https://kubernetes.default.svc' } as const

/** Derived: ciphertext is bound to its place. */
export const DERIVED_KEY = 'payments'
/** Not derived: what the Python library encrypts with. */
export const PLAIN_KEY = 'legacy'

/** The Secrets of namespace `payments` that keyhole may get. */
export const SECRETS = {
  db: 'payments-db',
  files: 'payments-files',
  legacy: 'payments-legacy',
  moved: 'payments-moved',
} as const

/** A right that can be taken away and given back; each resolves once the servers act on it. */
export interface Revocable {
  take(): Promise<void>
  give(): Promise<void>
}

export interface Installation {
  readonly rights: {
    readonly reviewTokens: Revocable
    readonly getSecrets: Revocable
    readonly decrypt: Revocable
    readonly vaultRole: Revocable
  }
}

export async function setUp(connection: Connection, operator: RealOperator): Promise<Installation> {
  await setUpKubernetes(operator.kubernetes)
  await setUpVault(connection, operator)
  const installation = installationOf(operator)
  for (const right of Object.values(installation.rights)) await right.give()
  return installation
}

async function setUpKubernetes(kubernetes: RealKubernetesOperator): Promise<void> {
  for (const account of [KEYHOLE, ROTATOR, CRON, REVIEWER, LEGACY]) await kubernetes.createServiceAccount(account)
  await kubernetes.createNamespace('bi')
  await kubernetes.apply(`${RBAC}/clusterroles/review-tokens`, {
    ...rbac('ClusterRole', 'review-tokens'),
    rules: [{ apiGroups: ['authentication.k8s.io'], resources: ['tokenreviews'], verbs: ['create'] }],
  })
  await kubernetes.apply(`${RBAC}/clusterrolebindings/vault-reviews-tokens`, {
    ...rbac('ClusterRoleBinding', 'vault-reviews-tokens'),
    roleRef: { apiGroup: RBAC_GROUP, kind: 'ClusterRole', name: 'review-tokens' },
    subjects: [subject(REVIEWER)],
  })
  await bindRole(kubernetes, 'payments', 'keyhole', KEYHOLE, [
    { apiGroups: [''], resources: ['secrets'], resourceNames: Object.values(SECRETS), verbs: ['get'] },
  ])
  await bindRole(kubernetes, 'payments', 'legacy', LEGACY, [
    { apiGroups: [''], resources: ['serviceaccounts/token'], resourceNames: [LEGACY.name], verbs: ['create'] },
    { apiGroups: [''], resources: ['secrets'], resourceNames: [SECRETS.legacy], verbs: ['get', 'update'] },
    { apiGroups: [''], resources: ['secrets'], verbs: ['create'] },
  ])
}

async function setUpVault({ kubernetes, ca }: Connection, operator: RealOperator): Promise<void> {
  const { vault } = operator
  await expectStatus(vault.call('POST', '/v1/sys/mounts/transit', { type: 'transit' }))
  await expectStatus(vault.call('POST', '/v1/sys/auth/kubernetes', { type: VAULT_PLUGIN }))
  const reviewer = { namespace: REVIEWER.namespace, serviceAccount: REVIEWER.name, expirationSeconds: 86_400 }
  await expectStatus(
    vault.call('POST', '/v1/auth/kubernetes/config', {
      kubernetes_host: kubernetes.origin,
      kubernetes_ca_cert: ca,
      token_reviewer_jwt: await operator.kubernetes.issueToken(reviewer),
      disable_local_ca_jwt: true,
    }),
  )
  await vault.createTransitKey({ name: DERIVED_KEY, derived: true })
  await vault.createTransitKey({ name: PLAIN_KEY, derived: false })
  await vault.putPolicy('python', [
    { path: `transit/encrypt/${PLAIN_KEY}`, capabilities: ['update'] },
    { path: `transit/decrypt/${PLAIN_KEY}`, capabilities: ['update'] },
    { path: `transit/keys/${PLAIN_KEY}`, capabilities: ['read'] },
    { path: `transit/keys/${PLAIN_KEY}/rotate`, capabilities: ['update'] },
    { path: 'auth/token/lookup-self', capabilities: ['read'] },
    { path: 'auth/token/revoke-self', capabilities: ['update'] },
  ])
  await vault.putRole({
    name: 'python',
    audience: AUDIENCE.python,
    serviceAccountNames: [LEGACY.name],
    serviceAccountNamespaces: [LEGACY.namespace],
    policies: ['python'],
    tokenTtlSeconds: 600,
    tokenType: 'service',
  })
}

/** keyhole's four rights. `give` is also how they come to be. */
export function installationOf({ kubernetes, vault }: RealOperator): Installation {
  const binding = `${RBAC}/clusterrolebindings/keyhole-reviews-tokens`
  const role = `${RBAC}/namespaces/payments/rolebindings/keyhole`
  const review = { verbs: ['create'], group: 'authentication.k8s.io', resource: 'tokenreviews' }
  const get = { verbs: ['get'], group: '', resource: 'secrets', namespace: 'payments', names: Object.values(SECRETS) }
  return {
    rights: {
      reviewTokens: {
        async take() {
          await kubernetes.remove(binding)
          await until('the right to review is gone', async () => !(await kubernetes.may(KEYHOLE, review)))
        },
        async give() {
          await kubernetes.apply(binding, {
            ...rbac('ClusterRoleBinding', 'keyhole-reviews-tokens'),
            roleRef: { apiGroup: RBAC_GROUP, kind: 'ClusterRole', name: 'review-tokens' },
            subjects: [subject(KEYHOLE)],
          })
          await until('the right to review is there', () => kubernetes.may(KEYHOLE, review))
        },
      },
      getSecrets: {
        async take() {
          await kubernetes.remove(role)
          await until('the right to get is gone', async () => !(await kubernetes.may(KEYHOLE, get)))
        },
        async give() {
          await bind(kubernetes, 'payments', 'keyhole', KEYHOLE)
          await until('the right to get is there', () => kubernetes.may(KEYHOLE, get))
        },
      },
      decrypt: {
        take: () => vault.deletePolicy('keyhole'),
        give: () =>
          vault.putPolicy('keyhole', [
            { path: `transit/decrypt/${DERIVED_KEY}`, capabilities: ['update'] },
            { path: `transit/decrypt/${PLAIN_KEY}`, capabilities: ['update'] },
          ]),
      },
      vaultRole: {
        take: () => vault.putRole({ ...KEYHOLE_ROLE, serviceAccountNames: ['somebody-else'] }),
        give: () => vault.putRole(KEYHOLE_ROLE),
      },
    },
  }
}

const KEYHOLE_ROLE = {
  name: 'keyhole',
  audience: AUDIENCE.vault,
  serviceAccountNames: [KEYHOLE.name],
  serviceAccountNamespaces: [KEYHOLE.namespace],
  policies: ['keyhole'],
  tokenTtlSeconds: 10,
  tokenType: 'batch',
} as const

export const RBAC_GROUP = 'rbac.authorization.k8s.io'
export const RBAC = `/apis/${RBAC_VERSION}`

/** A Role of these rules, and its binding, both of this name. */
export async function bindRole(
  kubernetes: RealKubernetesOperator,
  namespace: string,
  name: string,
  account: Named,
  rules: readonly unknown[],
): Promise<void> {
  await kubernetes.apply(`${RBAC}/namespaces/${namespace}/roles/${name}`, { ...rbac('Role', name), rules })
  await bind(kubernetes, namespace, name, account)
}

async function bind(kubernetes: RealKubernetesOperator, namespace: string, name: string, who: Named): Promise<void> {
  await kubernetes.apply(`${RBAC}/namespaces/${namespace}/rolebindings/${name}`, {
    ...rbac('RoleBinding', name),
    roleRef: { apiGroup: RBAC_GROUP, kind: 'Role', name },
    subjects: [subject(who)],
  })
}

export function rbac(kind: string, name: string): { apiVersion: string; kind: string; metadata: { name: string } } {
  return { apiVersion: RBAC_VERSION, kind, metadata: { name } }
}

export function subject({ namespace, name }: Named): { kind: string; namespace: string; name: string } {
  return { kind: 'ServiceAccount', namespace, name }
}
