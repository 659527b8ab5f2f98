/**
 * The decision: may this ServiceAccount read these keys of this grant, now? Pure and total: it takes a policy, an
 * identity that was proven elsewhere, and the time. Callers see the same refusal for every `why`; reasons are for the
 * operator.
 */
import type { Condition } from './conditions.ts'
import { conditionOf } from './conditions.ts'
import type { Policy } from './in-force.ts'
import { grantId } from './in-force.ts'
import type { Admin, Reader, TransitKey } from './schema.ts'

export interface Identity {
  readonly namespace: string
  readonly serviceAccount: string
  /** Of the ServiceAccount. */
  readonly uid: string
  /** Absent: the token is not bound to a pod. */
  readonly pod?: { readonly name: string; readonly uid: string }
}

export interface Granted {
  /** The grant. */
  readonly secret: { readonly namespace: string; readonly name: string }
  /** The Secret that it names, always in the same namespace. */
  readonly place: { readonly namespace: string; readonly secret: string }
  readonly format: 'json' | 'files'
  /** Present exactly when the format is json. */
  readonly dataKey?: string
  readonly keys: ReadonlySet<string> | 'all'
  /** The keys asked for, sorted and distinct, all of them granted; undefined: all that are granted. */
  readonly selection: readonly string[] | undefined
  readonly transitKey: TransitKey
}

export type Why =
  | 'no-such-grant'
  | 'not-a-reader'
  | 'default-service-account'
  | 'other-uid'
  | 'not-pod-bound'
  | 'reader-expired'
  | 'key-not-granted'

export type Decision = { readonly granted: Granted } | { readonly why: Why } | { readonly condition: Condition }

/**
 * @param asked the grant's own namespace and name.
 * @param selection keys asked for; undefined: all that are granted.
 * @returns `condition` (the grant cannot be served) only to an identity that is a reader of all it asks for.
 */
export function decide(
  policy: Policy,
  identity: Identity,
  asked: { readonly namespace: string; readonly name: string },
  selection: readonly string[] | undefined,
  nowMs: number,
): Decision {
  const id = grantId(asked)
  // The caller's own entries first, so that a missing grant and somebody else's cost the same two look-ups.
  const entries = entriesOf(policy, identity).get(id) ?? []
  const grant = policy.grants.get(id)
  if (grant === undefined) return { why: 'no-such-grant' }
  const keys = keysOf(entries, identity, nowMs)
  if (isNone(keys)) return { why: refusalOf(entries, identity, nowMs) }
  const wanted = selection === undefined ? undefined : [...new Set(selection)].sort()
  if (keys !== 'all' && wanted?.some((key) => !keys.has(key))) return { why: 'key-not-granted' }
  const transitKey = conditionOf(policy, grant)
  if (typeof transitKey === 'string') return { condition: transitKey }
  const { namespace, name, secret, format, dataKey } = grant
  return {
    granted: {
      secret: { namespace, name },
      place: { namespace, secret },
      format,
      ...(dataKey !== undefined && { dataKey }),
      keys,
      selection: wanted,
      transitKey,
    },
  }
}

/** The keys that this identity may rotate, sorted by name. */
export function rotatable(policy: Policy, identity: Identity): readonly TransitKey[] {
  return [...policy.transitKeys.values()]
    .filter(({ rotation }) => rotation.admins.some((admin) => isAdmin(admin, identity)))
    .sort((a, b) => order(a.name, b.name))
}

function isAdmin(admin: Admin, { namespace, serviceAccount, pod }: Identity): boolean {
  const isNamed = admin.namespace === namespace && admin.serviceAccount === serviceAccount
  return isNamed && serviceAccount !== 'default' && (!admin.podBound || pod !== undefined)
}

/** A grant that an identity may read, whether or not it can be served at the moment. */
export interface Listed {
  readonly namespace: string
  readonly name: string
  /** Sorted; empty when `all`. */
  readonly keys: readonly string[]
  readonly all: boolean
}

/** What the identity may read: its own namespace's grants first, then others', each by namespace and name. */
export function listFor(policy: Policy, identity: Identity, nowMs: number): Listed[] {
  const listed: Listed[] = []
  for (const [id, entries] of entriesOf(policy, identity)) {
    const keys = keysOf(entries, identity, nowMs)
    if (isNone(keys)) continue
    const [namespace = '', name = ''] = id.split('/')
    listed.push({ namespace, name, keys: keys === 'all' ? [] : [...keys].sort(), all: keys === 'all' })
  }
  return listed.sort(
    (a, b) =>
      Number(b.namespace === identity.namespace) - Number(a.namespace === identity.namespace) ||
      order(a.namespace, b.namespace) ||
      order(a.name, b.name),
  )
}

function order(a: string, b: string): number {
  return Number(a > b) - Number(a < b)
}

function entriesOf(policy: Policy, { namespace, serviceAccount }: Identity): ReadonlyMap<string, readonly Reader[]> {
  return policy.readers.get(`${namespace}/${serviceAccount}`) ?? NO_ENTRIES
}

const NO_ENTRIES: ReadonlyMap<string, readonly Reader[]> = new Map()

/** The union of what the entries that hold for this identity now grant. */
function keysOf(entries: readonly Reader[], identity: Identity, nowMs: number): ReadonlySet<string> | 'all' {
  const live = entries.filter((entry) => failing(entry, identity, nowMs) === undefined)
  if (live.some(({ keys }) => keys === 'all')) return 'all'
  return new Set(live.flatMap(({ keys }) => keys))
}

/** A reader of no keys is no reader: keyhole would decrypt and have nothing to disclose. */
function isNone(keys: ReadonlySet<string> | 'all'): boolean {
  return keys !== 'all' && keys.size === 0
}

/** If there are several entries, the term at which the one that got furthest failed. */
function refusalOf(entries: readonly Reader[], identity: Identity, nowMs: number): Why {
  const reasons = entries.map((entry) => failing(entry, identity, nowMs))
  return ORDER.findLast((reason) => reasons.includes(reason)) ?? 'not-a-reader'
}

const ORDER = ['default-service-account', 'other-uid', 'not-pod-bound', 'reader-expired'] as const

/** The first of an entry's terms, in ORDER, that the identity does not meet. */
function failing(entry: Reader, identity: Identity, nowMs: number): (typeof ORDER)[number] | undefined {
  if (identity.serviceAccount === 'default' && !entry.allowDefault) return 'default-service-account'
  if (entry.uid !== undefined && entry.uid !== identity.uid) return 'other-uid'
  if (entry.podBound && identity.pod === undefined) return 'not-pod-bound'
  // Written so that the entry also expires if the time is not a number.
  if (entry.until !== undefined && !(nowMs < entry.until)) return 'reader-expired'
  return undefined
}
