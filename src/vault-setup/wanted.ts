/** What Vault has to hold for a policy to be served, and no more: worked out from the policy alone, asking nobody. */
import type { Identities, ServiceAccount } from '../policy/identities.ts'
import type { Policy } from '../policy/in-force.ts'
import type { TransitKey } from '../policy/schema.ts'
import type { Rule } from './rules.ts'
import { ruleOf } from './rules.ts'

export interface Wanted {
  /** Paths of Transit secrets engines. */
  readonly mounts: readonly string[]
  readonly keys: readonly WantedKey[]
  readonly auth: WantedAuth
  /** By name. */
  readonly roles: readonly WantedRole[]
}

export interface WantedKey {
  readonly mount: string
  readonly name: string
  /** A key without a derivation is one that others made before: it is looked at, and never made. */
  readonly derived: boolean
}

/** The Kubernetes auth method. */
export interface WantedAuth {
  readonly mount: string
  readonly type: string
  /** Absent: whatever is there, or Vault's own pod where nothing is. */
  readonly kubernetes?: {
    readonly host: string
    readonly ca?: PemFile
    /** The token that Vault has tokens reviewed with. Absent: its own pod's. */
    readonly reviewerTokenFile?: string
  }
}

/** @property text what is in it. */
export interface PemFile {
  readonly file: string
  readonly text: string
}

/** A role of the auth method, and the policy of the same name that it gives. */
export interface WantedRole {
  readonly name: string
  readonly does: 'reads' | 'rotates'
  readonly account: ServiceAccount
  readonly audience: string
  /** Key by key; exactly these. */
  readonly rules: readonly Rule[]
}

/** Longest life of a token of either role: keyhole uses one for ten seconds at most, and a rotator refuses a longer one. */
export const TOKEN_TTL_SECONDS = 10

/** For a Vault that runs in the cluster. */
export const IN_CLUSTER_HOST = 'https://kubernetes.default.svc'

export interface WantedOptions {
  readonly identities: Identities
  /** Of TransitKeys that name none. */
  readonly roles: { readonly read: string; readonly rotate: string }
  readonly audience: string
  readonly auth: WantedAuth
}

export function wantedIn(policy: Policy, { identities, roles, audience, auth }: WantedOptions): Wanted {
  const transitKeys = [...policy.transitKeys.values()].sort(byPlace)
  const named = (does: WantedRole['does'], account: ServiceAccount, roleOf: (key: TransitKey) => string) =>
    [...Map.groupBy(transitKeys, (key) => roleOf(key).toLowerCase())].map(([name, keys]) => {
      const rules = keys.flatMap(does === 'reads' ? readingRules : rotatingRules)
      return { name, does, account, audience, rules }
    })
  const { reader, rotator } = identities
  return {
    mounts: [...new Set(transitKeys.map(({ mount }) => mount))],
    keys: transitKeys.map(({ mount, name, binding }) => ({ mount, name, derived: binding === 'place' })),
    auth,
    roles: [
      ...named('reads', reader, ({ vaultRoles }) => vaultRoles.read ?? roles.read),
      ...(rotator === undefined
        ? []
        : named('rotates', rotator, ({ vaultRoles }) => vaultRoles.rotate ?? roles.rotate)),
    ].sort((a, b) => Number(a.name > b.name) - Number(a.name < b.name)),
  }
}

function byPlace(a: TransitKey, b: TransitKey): number {
  const [one, other] = [pathOf(a), pathOf(b)]
  return Number(one > other) - Number(one < other)
}

export function pathOf({ mount, name }: { readonly mount: string; readonly name: string }): string {
  return `${mount}/keys/${name}`
}

/** `update` alone: with `create`, encrypting under a name that is missing would make a key that is not derived. */
function readingRules({ mount, name }: TransitKey): readonly Rule[] {
  return [ruleOf(`${mount}/decrypt/${name}`, ['update'])]
}

/** A key that nobody may rotate is looked at for the ledger, and no more. */
function rotatingRules({ mount, name, rotation }: TransitKey): readonly Rule[] {
  const look = ruleOf(`${mount}/keys/${name}`, ['read'])
  if (rotation.admins.length === 0) return [look]
  return [
    ruleOf(`${mount}/rewrap/${name}`, ['update']),
    look,
    ruleOf(`${mount}/keys/${name}/rotate`, ['update']),
    // No other parameter: `exportable` and `allow_plaintext_backup` would let the key itself out, for good.
    ruleOf(`${mount}/keys/${name}/config`, ['update'], { min_decryption_version: [] }),
  ]
}

/** The same once Vault has the reviewer's token, which it never shows: that it is the right one cannot be seen. */
export function withoutReviewerToken({ auth, ...wanted }: Wanted): Wanted {
  if (auth.kubernetes === undefined) return { ...wanted, auth }
  const { reviewerTokenFile: _, ...kubernetes } = auth.kubernetes
  return { ...wanted, auth: { ...auth, kubernetes } }
}

/** Whatever makes these unusable as a whole; one sentence each. */
export function contradictions({ roles, mounts }: Wanted): readonly string[] {
  const both = [...Map.groupBy(roles, ({ name }) => name)].filter(([, same]) => same.length > 1)
  return [
    ...both.map(
      ([name]) =>
        `The Vault role ${name} is to read and to rotate: whoever rotates could decrypt. Name another for either.`,
    ),
    ...roles
      .filter(({ name }) => RESERVED.has(name))
      .map(
        ({ name }) =>
          `A Vault role gives the policy of its own name, and Vault keeps the policy ${name} for itself. Name another role.`,
      ),
    ...mounts
      .filter((mount) => VAULTS_OWN.test(mount))
      .map((mount) => `No Transit secrets engine can be at ${mount}, which is Vault's own. Name another mount.`),
    ...mounts
      .filter((mount) => mounts.some((other) => mount.startsWith(`${other}/`)))
      .map((mount) => `No Transit secrets engine can be at ${mount}, which is below another. Name another mount.`),
  ]
}

const RESERVED: ReadonlySet<string> = new Set(['root', 'default', 'response-wrapping', 'control-group'])

/** Rules below these would give rights over Vault itself. */
const VAULTS_OWN = /^(?:sys|auth|identity|cubbyhole|audit)(?:\/|$)/
