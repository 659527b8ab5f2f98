/** What there is to rotate: four Secrets in two namespaces under two Transit keys, of both formats, one of them of both keys. */
import type { Policy } from '../../src/policy/in-force.ts'
import { grant, policyFrom, transitKey } from '../policy/documents.ts'

/** One ciphertext and where it lies. */
export interface Sealed {
  readonly namespace: string
  readonly secret: string
  readonly dataKey: string
  readonly key: string
}

export interface Keeping {
  readonly namespace: string
  readonly secret: string
  readonly format: 'json' | 'files'
  /** Transit key and version by data key. */
  readonly sealed: Readonly<Record<string, { readonly key: KeyName; readonly version: number }>>
  /** Other data keys: none of keyhole's business. */
  readonly plain: Readonly<Record<string, string>>
  readonly type: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
}

/** `pay` keeps no old version (grace 0); `led` keeps one, and is at its second version already. */
export const KEYS = { pay: { grace: 0, versions: 1 }, led: { grace: 1, versions: 2 } } as const
export type KeyName = keyof typeof KEYS

/** In every plaintext, and in what lies beside: nothing of it may turn up anywhere else. */
export const CANARY = 'c4n4ry-of-a-plaintext'

export const REALM = 'west.example'
export const LEASE = { namespace: 'keyhole', name: 'keyhole-rotation' } as const
export const ROTATOR = { namespace: 'keyhole', name: 'keyhole-rotator' } as const
export const READER = { namespace: 'keyhole', name: 'keyhole' } as const
export const CRON = { namespace: 'keyhole', serviceAccount: 'keyhole-cron' } as const

export const ESTATE: readonly Keeping[] = [
  {
    namespace: 'payments',
    secret: 'db',
    format: 'json',
    sealed: { 'secrets.json': { key: 'pay', version: 1 } },
    plain: { note: `${CANARY}: ask the team`, 'a.b': '\u0000\u00ff' },
    type: 'example.com/database',
    labels: { team: 'payments' },
    annotations: { 'example.com/owner': 'them' },
  },
  {
    namespace: 'payments',
    secret: 'tls',
    format: 'files',
    sealed: { 'tls.key': { key: 'pay', version: 1 }, 'ca.crt': { key: 'pay', version: 1 } },
    plain: {},
    type: 'Opaque',
    labels: {},
    annotations: {},
  },
  {
    namespace: 'billing',
    secret: 'mixed',
    format: 'json',
    sealed: { 'a.json': { key: 'pay', version: 1 }, 'b.json': { key: 'led', version: 2 } },
    plain: { empty: '' },
    type: 'Opaque',
    labels: { tier: 'gold' },
    annotations: {},
  },
  {
    namespace: 'billing',
    secret: 'files',
    format: 'files',
    sealed: { one: { key: 'led', version: 1 }, two: { key: 'led', version: 2 } },
    plain: {},
    type: 'Opaque',
    labels: {},
    annotations: { 'example.com/made': 'by hand' },
  },
]

export function idOf({ namespace, secret, dataKey }: Omit<Sealed, 'key'>): string {
  return `${namespace}/${secret}#${dataKey}`
}

export function sealedIn({ namespace, secret, sealed }: Keeping): readonly Sealed[] {
  return Object.entries(sealed).map(([dataKey, { key }]) => ({ namespace, secret, dataKey, key }))
}

export interface PolicyTerms {
  /** Secrets, as `namespace/name`, that no grant names. */
  readonly without?: readonly string[]
  readonly keepings?: readonly Keeping[]
  /** Names of keyhole's ServiceAccounts. */
  readonly admins?: readonly string[]
}

const parsed = new Map<string, Policy>()

/** Every Secret is read in whole by payments/api. Parsed once for each terms: worlds are many. */
export function policyOf(terms: PolicyTerms = {}): Policy {
  const id = JSON.stringify(terms)
  const policy = parsed.get(id) ?? parsedPolicy(terms)
  parsed.set(id, policy)
  return policy
}

function parsedPolicy({ without = [], keepings = ESTATE, admins = [CRON.serviceAccount] }: PolicyTerms): Policy {
  const keys = Object.entries(KEYS).map(([name, { grace }]) =>
    transitKey(
      {
        namespaces: ['payments', 'billing'],
        exclusive: true,
        rotation: { grace, admins: admins.map((serviceAccount) => ({ namespace: 'keyhole', serviceAccount })) },
      },
      name,
    ),
  )
  return policyFrom(...keys, ...keepings.filter((one) => !without.includes(nameOf(one))).flatMap(grantsOf))
}

export function nameOf({ namespace, secret }: Pick<Keeping, 'namespace' | 'secret'>): string {
  return `${namespace}/${secret}`
}

/** One for a Secret of files; one for each dictionary. */
function grantsOf({ namespace, secret, format, sealed }: Keeping): readonly object[] {
  const readers = [{ namespace: 'payments', serviceAccount: 'api', allKeys: true }]
  if (format === 'files') {
    const key = Object.values(sealed)[0]?.key
    return [grant({ secretRef: { name: secret }, format, transitKey: key, readers }, secret, namespace)]
  }
  return Object.entries(sealed).map(([dataKey, { key }]) =>
    grant(
      { secretRef: { name: secret, key: dataKey }, format, transitKey: key, readers },
      grantNameOf({ secret, dataKey }),
      namespace,
    ),
  )
}

export function grantNameOf({ secret, dataKey }: Pick<Sealed, 'secret' | 'dataKey'>): string {
  return `${secret}-${dataKey.replaceAll('.', '-')}`
}
