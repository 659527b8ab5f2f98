/**
 * A small world to try keyhole in: one Secret of the team `payments`, read by three workloads that each get something
 * else, and one stranger. The demo, dev mode and the tests all start from it.
 */

import { transitContext } from '../services/place.ts'
import type { KubernetesStandin, SecretSeed } from '../standins/kubernetes.ts'
import type { VaultStandin } from '../standins/vault.ts'

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
  stranger: { namespace: 'lab', serviceAccount: 'notebook', pod: 'notebook-1' },
} as const

export type Workload = keyof typeof WORKLOADS

/** Puts the sample into a pair of stand-ins, with the rights that keyhole needs and no others. */
export function seedSample(kubernetes: KubernetesStandin, vault: VaultStandin): void {
  seedKeyhole(kubernetes, vault)
  for (const { namespace, serviceAccount, pod } of Object.values(WORKLOADS)) {
    kubernetes.putPod({ namespace, name: pod, serviceAccount })
  }
  vault.transit().putKey('payments', { derived: true })
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

/** keyhole's own identity, and what it may do: review tokens, get the Secrets of the sample, decrypt with one key. */
function seedKeyhole(kubernetes: KubernetesStandin, vault: VaultStandin): void {
  const keyhole = { namespace: KEYHOLE.namespace, name: KEYHOLE.serviceAccount }
  kubernetes.putServiceAccount(keyhole)
  kubernetes.putPod({ ...keyhole, name: 'keyhole-0', serviceAccount: KEYHOLE.serviceAccount })
  kubernetes.allow(
    keyhole,
    { verbs: ['create'], group: 'authentication.k8s.io', resource: 'tokenreviews' },
    { verbs: ['get'], group: '', resource: 'secrets', namespace: 'payments', names: ['payments-db', 'payments-tls'] },
  )
  vault.putPolicy('keyhole-read', [{ path: 'transit/decrypt/payments', capabilities: ['update'] }])
  vault.putRole({
    name: 'keyhole',
    audience: 'vault',
    serviceAccountNames: [KEYHOLE.serviceAccount],
    serviceAccountNamespaces: [KEYHOLE.namespace],
    policies: ['keyhole-read'],
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
