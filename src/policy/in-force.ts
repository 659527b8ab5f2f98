/** The policy as decisions read it: documents, indexed, under the hash that audit records quote. */
import { createHash } from 'node:crypto'
import type { Reader, SecretGrant, TransitKey } from './schema.ts'
import { API_VERSION } from './schema.ts'
import type { Position } from './yaml.ts'

export interface Policy {
  /** `sha256:<hex>` over what is in force, however it is spread over files. */
  readonly hash: string
  /** By `namespace/name`. */
  readonly grants: ReadonlyMap<string, SecretGrant>
  /** By name. */
  readonly transitKeys: ReadonlyMap<string, TransitKey>
  /** Reader entries by `namespace/serviceAccount`, then by grant. */
  readonly readers: ReadonlyMap<string, ReadonlyMap<string, readonly Reader[]>>
  /** Names of keys without binding that serve more than one Secret, or admit more than one namespace, with nobody's leave. */
  readonly overspread: ReadonlySet<string>
}

export type PolicyDocument = GrantDocument | KeyDocument

interface Written {
  /** `SecretGrant payments/db` or `TransitKey payments`. */
  readonly id: string
  /** Path of its file, relative to the policy directory. */
  readonly file: string
  readonly position: Position
}

export interface GrantDocument extends Written {
  readonly kind: 'SecretGrant'
  readonly grant: SecretGrant
  /** Where it names its Transit key. */
  readonly transitKeyPosition: Position
}

export interface KeyDocument extends Written {
  readonly kind: 'TransitKey'
  readonly transitKey: TransitKey
}

/** @param documents each id once. */
export function policyOf(documents: Iterable<PolicyDocument>): Policy {
  const grants = new Map<string, SecretGrant>()
  const transitKeys = new Map<string, TransitKey>()
  const content: [string, unknown][] = []
  for (const document of documents) {
    if (document.kind === 'SecretGrant') grants.set(grantId(document.grant), document.grant)
    else transitKeys.set(document.transitKey.name, document.transitKey)
    content.push([document.id, contentOf(document)])
  }
  return {
    hash: hashOf(content),
    grants,
    transitKeys,
    readers: byReader(grants),
    overspread: overspread(grants.values(), transitKeys),
  }
}

/** Names hold no slash, so no two share an id. */
export function grantId({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${name}`
}

/** What makes a document another one: everything but where it is written. */
export function contentOf(document: PolicyDocument): SecretGrant | TransitKey {
  return document.kind === 'SecretGrant' ? document.grant : document.transitKey
}

/** The same for equal documents, whatever the order of their fields. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}

function hashOf(content: [string, unknown][]): string {
  const sorted = content.sort(([a], [b]) => (a < b ? -1 : 1))
  return `sha256:${createHash('sha256')
    .update(canonical([API_VERSION, sorted]))
    .digest('hex')}`
}

function byReader(grants: ReadonlyMap<string, SecretGrant>): Policy['readers'] {
  const readers = new Map<string, Map<string, Reader[]>>()
  for (const [id, grant] of grants) {
    for (const reader of grant.readers) {
      const granted = emplace(
        readers,
        `${reader.namespace}/${reader.serviceAccount}`,
        () => new Map<string, Reader[]>(),
      )
      emplace(granted, id, () => []).push(reader)
    }
  }
  return readers
}

/**
 * Ciphertext of a key without binding opens wherever it is pasted, so such a key serves one Secret. Only grants that
 * the key admits are counted: else anyone who may write a grant could take another team's out of service by naming
 * its key. For the same reason a key that admits two namespaces is overspread whether or not both use it.
 */
function overspread(grants: Iterable<SecretGrant>, transitKeys: ReadonlyMap<string, TransitKey>): ReadonlySet<string> {
  const loose = [...transitKeys.values()].filter(
    ({ binding, allowTransplant }) => binding === 'none' && !allowTransplant,
  )
  const spread = new Set(loose.filter(({ namespaces }) => new Set(namespaces).size > 1).map(({ name }) => name))
  const served = new Map(loose.map(({ name, namespaces }) => [name, { namespaces, secrets: new Set<string>() }]))
  for (const { namespace, secret, transitKey } of grants) {
    const key = served.get(transitKey)
    if (!key?.namespaces.includes(namespace)) continue
    key.secrets.add(secret)
    if (key.secrets.size > 1) spread.add(transitKey)
  }
  return spread
}

/** The value at `key`, made first if there is none. */
export function emplace<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const value = map.get(key) ?? make()
  map.set(key, value)
  return value
}
