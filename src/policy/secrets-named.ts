/**
 * Which Secrets keyhole has to be given, and for what: the least that serves a policy. Time plays no part in it, since
 * nobody gives and takes rights by the minute: a reader whose `until` has passed counts until it is taken out.
 */
import { conditionOf } from './conditions.ts'
import type { Policy } from './in-force.ts'
import type { Reader } from './schema.ts'
import { secretsUnder } from './secrets-under.ts'

export interface NamedSecrets {
  /** Whoever serves reads gets these: each has a grant that can be served, and a reader who may be given something. */
  readonly read: readonly SecretName[]
  /** Whoever rotates gets and patches these: they rest under a key that somebody may rotate. */
  readonly move: readonly SecretName[]
  /** Whoever rotates gets these, to tell how they stand, and changes nothing: nobody may rotate their key. */
  readonly look: readonly SecretName[]
}

export interface SecretName {
  readonly namespace: string
  readonly secret: string
}

/** Each list sorted by namespace and name, each Secret once in it, and none in both of the last two. */
export function secretsNamed(policy: Policy): NamedSecrets {
  const served = [...policy.grants.values()].filter(
    (grant) => typeof conditionOf(policy, grant) !== 'string' && grant.readers.some(mayGetSomething),
  )
  const under = (isRotated: boolean) =>
    [...policy.transitKeys.values()]
      .filter(({ rotation }) => rotation.admins.length > 0 === isRotated)
      .flatMap((key) => secretsUnder(policy, key))
  const move = distinct(under(true))
  const moved = new Set(move.map(idOf))
  return { read: distinct(served), move, look: distinct(under(false)).filter((name) => !moved.has(idOf(name))) }
}

/** What the other terms of an entry ask for, some token can meet. */
function mayGetSomething({ serviceAccount, allowDefault, keys }: Reader): boolean {
  return (keys === 'all' || keys.length > 0) && (serviceAccount !== 'default' || allowDefault)
}

function distinct(names: readonly SecretName[]): readonly SecretName[] {
  const found = new Map(names.map(({ namespace, secret }) => [idOf({ namespace, secret }), { namespace, secret }]))
  return [...found.values()].sort((a, b) => order(a.namespace, b.namespace) || order(a.secret, b.secret))
}

function order(a: string, b: string): number {
  return Number(a > b) - Number(a < b)
}

/** Names hold no slash, so no two share one. */
function idOf({ namespace, secret }: SecretName): string {
  return `${namespace}/${secret}`
}
