/** Which Secrets rest under a Transit key, as the policy says: what a rotation of that key has to move. */
import type { Policy } from './in-force.ts'
import { emplace } from './in-force.ts'
import type { TransitKey } from './schema.ts'

export interface SecretUnder {
  readonly namespace: string
  readonly secret: string
  /** Data keys that hold ciphertext of the key; `all`: whichever there are, but for `others`. */
  readonly dataKeys: readonly string[] | 'all'
  /** Data keys of the same Secret that grants of other Transit keys name. */
  readonly others: ReadonlySet<string>
}

/** A TransitKey, with the Secrets that rest under it. */
export interface KeyWithSecrets {
  readonly transitKey: TransitKey
  readonly secrets: readonly SecretUnder[]
}

/** @param keys of the policy; absent: all of them. */
export function keysWithSecrets(
  policy: Policy,
  keys: Iterable<TransitKey> = policy.transitKeys.values(),
): readonly KeyWithSecrets[] {
  return [...keys].map((transitKey) => ({ transitKey, secrets: secretsUnder(policy, transitKey) }))
}

/**
 * Sorted, each Secret once, however many grants name it. Only grants of namespaces that the key admits count: else
 * whoever may write a grant could hold up another team's rotation by naming its key. A key that is overspread is served
 * to nobody, and still moved: rewrapping discloses nothing.
 */
export function secretsUnder(policy: Policy, key: TransitKey): readonly SecretUnder[] {
  const found = new Map<string, { namespace: string; secret: string; dataKeys: Set<string>; all: boolean }>()
  const elsewhere = new Map<string, Set<string>>()
  for (const { namespace, secret, dataKey, transitKey } of policy.grants.values()) {
    const place = `${namespace}/${secret}`
    if (transitKey !== key.name) {
      if (dataKey !== undefined) emplace(elsewhere, place, () => new Set<string>()).add(dataKey)
      continue
    }
    if (!key.namespaces.includes(namespace)) continue
    const one = emplace(found, place, () => ({ namespace, secret, dataKeys: new Set<string>(), all: false }))
    if (dataKey === undefined) one.all = true
    else one.dataKeys.add(dataKey)
  }
  return [...found]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([place, { namespace, secret, dataKeys, all }]) => ({
      namespace,
      secret,
      dataKeys: all ? 'all' : [...dataKeys].sort(),
      others: (elsewhere.get(place) ?? new Set<string>()).difference(dataKeys),
    }))
}
