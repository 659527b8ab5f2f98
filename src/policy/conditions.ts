/** What keeps a grant from being served: its Transit key. Never a reason to refuse the rest of a policy. */
import type { Policy } from './in-force.ts'
import type { SecretGrant, TransitKey } from './schema.ts'

export type Condition = 'transit-key-undefined' | 'namespace-not-allowed' | 'transplant'

/** The key that opens the grant, or what keeps it from doing so. */
export function conditionOf(policy: Policy, grant: SecretGrant): TransitKey | Condition {
  const key = policy.transitKeys.get(grant.transitKey)
  if (key === undefined) return 'transit-key-undefined'
  if (!key.namespaces.includes(grant.namespace)) return 'namespace-not-allowed'
  return policy.overspread.has(key.name) ? 'transplant' : key
}
