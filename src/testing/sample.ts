/**
 * A small world to try keyhole in: one Secret of the team `payments`, read by three workloads that each get something
 * else, one that rotates and reads nothing, and one stranger. The demo, dev mode and the tests all start from it.
 */

import { transitContext } from '../services/place.ts'
import type { KubernetesStandin, SecretSeed } from '../standins/kubernetes.ts'
import type { PolicyRule, VaultStandin } from '../standins/vault.ts'

export const SAMPLE_REALM = 'sample'
export const KEYHOLE = { namespace: 'keyhole', serviceAccount: 'keyhole' } as const

/** What rests in the Secret `payments/payments-db`, before Vault encrypts it. */
export const SAMPLE_DICTIONARY = `{
  "PGHOST": "db.payments.svc",
  "PGPORT": 5432,
  "PGUSER": "api",
  "PGPASSWORD": "correct horse battery staple",
  "LEDGER_ID": 12345678901234567890,
  "MIGRATOR_PASSWORD": "only for the migrator"
}`

export const SAMPLE_POLICY = {
  'platform.yaml': `apiVersion: keyhole.dev/v1alpha1
kind: TransitKey
metadata: { name: payments }
spec:
  namespaces: [payments]
  exclusive: true
  rotation:
    admins: [{ namespace: keyhole, serviceAccount: keyhole-cron }]
`,
  'payments.yaml': `apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: db, namespace: payments }
spec:
  secretRef: { name: payments-db, key: secrets.json }
  transitKey: payments
  readers:
    - { serviceAccount: api, keys: [PGHOST, PGPORT, PGUSER, PGPASSWORD, LEDGER_ID] }
    - { serviceAccount: migrator, allKeys: true }
    - { namespace: bi, serviceAccount: reports, keys: [PGHOST, PGPORT] }
---
apiVersion: keyhole.dev/v1alpha1
kind: SecretGrant
metadata: { name: tls, namespace: payments }
spec:
  secretRef: { name: payments-tls }
  transitKey: payments
  format: files
  readers:
    - { serviceAccount: api, keys: [tls.crt, tls.key] }
`,
} as const

/** Workloads by role: what to ask tokens for. */
export const WORKLOADS = {
  api: { namespace: 'payments', serviceAccount: 'api', pod: 'api-7d4b9' },
  migrator: { namespace: 'payments', serviceAccount: 'migrator', pod: 'migrator-x2x9k' },
  reports: { namespace: 'bi', serviceAccount: 'reports', pod: 'reports-0' },
  rotator: { namespace: 'keyhole', serviceAccount: 'keyhole-cron', pod: 'keyhole-cron-29401' },
  stranger: { namespace: 'lab', serviceAccount: 'notebook', pod: 'notebook-1' },
} as const

export type Workload = keyof typeof WORKLOADS

/** When the Transit key got its version: it may be rotated at once. */
const LONG_AGO_MS = Date.UTC(2025, 0, 1)

/** Puts the sample into a pair of stand-ins, with the rights that keyhole needs and no others. */
export function seedSample(kubernetes: KubernetesStandin, vault: VaultStandin): void {
  seedKeyhole(kubernetes, vault)
  for (const { namespace, serviceAccount, pod } of Object.values(WORKLOADS)) {
    kubernetes.putPod({ namespace, name: pod, serviceAccount })
  }
  vault.transit().putKey('payments', { derived: true, createdAtMs: [LONG_AGO_MS] })
  putSealed(kubernetes, vault, {
    namespace: 'payments',
    name: 'payments-db',
    data: { 'secrets.json': SAMPLE_DICTIONARY },
  })
  putSealed(kubernetes, vault, {
    namespace: 'payments',
    name: 'payments-tls',
    data: { 'tls.crt': 'certificate of payments\n', 'tls.key': 'private key of payments\n' },
  })
}

/** keyhole's own identity, and what each of its two roles may do. */
function seedKeyhole(kubernetes: KubernetesStandin, vault: VaultStandin): void {
  const keyhole = { namespace: KEYHOLE.namespace, name: KEYHOLE.serviceAccount }
  kubernetes.putServiceAccount(keyhole)
  kubernetes.putPod({ ...keyhole, name: 'keyhole-0', serviceAccount: KEYHOLE.serviceAccount })
  kubernetes.allow(
    keyhole,
    { verbs: ['create'], group: 'authentication.k8s.io', resource: 'tokenreviews' },
    { verbs: ['get'], ...SAMPLE_SECRETS },
  )
  seedRole(vault, 'keyhole', 'keyhole-read', VAULT_RULES.read)
  seedRotator(kubernetes, vault)
}

/** What rotating takes on top: to write the Secrets, to hold the Lease, and in Vault nothing that decrypts. */
function seedRotator(kubernetes: KubernetesStandin, vault: VaultStandin): void {
  kubernetes.allow(
    { namespace: KEYHOLE.namespace, name: KEYHOLE.serviceAccount },
    { verbs: ['get', 'patch'], ...SAMPLE_SECRETS },
    {
      verbs: ['get', 'update', 'create'],
      group: 'coordination.k8s.io',
      resource: 'leases',
      namespace: KEYHOLE.namespace,
      names: ['keyhole-rotation'],
    },
  )
  seedRole(vault, 'keyhole-rotate', 'keyhole-rotate', VAULT_RULES.rotate)
}

/** What each of keyhole's roles may do in Vault. docs/reference/rights.md says the same. */
export const VAULT_RULES: Readonly<Record<'read' | 'rotate', readonly PolicyRule[]>> = {
  read: [{ path: 'transit/decrypt/payments', capabilities: ['update'] }],
  rotate: [
    { path: 'transit/rewrap/payments', capabilities: ['update'] },
    { path: 'transit/keys/payments', capabilities: ['read'] },
    { path: 'transit/keys/payments/rotate', capabilities: ['update'] },
    {
      path: 'transit/keys/payments/config',
      capabilities: ['update'],
      allowedParameters: { min_decryption_version: [] },
    },
  ],
}

const SAMPLE_SECRETS = {
  group: '',
  resource: 'secrets',
  namespace: 'payments',
  names: ['payments-db', 'payments-tls'],
} as const

function seedRole(vault: VaultStandin, name: string, policy: string, rules: readonly PolicyRule[]): void {
  vault.putPolicy(policy, rules)
  vault.putRole({
    name,
    audience: 'vault',
    serviceAccountNames: [KEYHOLE.serviceAccount],
    serviceAccountNamespaces: [KEYHOLE.namespace],
    policies: [policy],
  })
}

/** Encrypts each data key in the context of its place and stores the Secret, as an owner would. */
export function putSealed(
  kubernetes: KubernetesStandin,
  vault: VaultStandin,
  secret: SecretSeed,
  key = 'payments',
): void {
  const place = { namespace: secret.namespace, secret: secret.name }
  const data = Object.fromEntries(
    Object.entries(secret.data).map(([dataKey, plaintext]) => {
      const context = Buffer.from(transitContext(SAMPLE_REALM, place, dataKey), 'base64')
      return [dataKey, vault.transit().encrypt(key, plaintext, { context })]
    }),
  )
  kubernetes.putSecret({ ...secret, data })
}
