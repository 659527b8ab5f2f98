/** What Roles and ClusterRoles let whom do, one line a rule. */
import type { KubeObject } from './objects.ts'
import { ofKind } from './objects.ts'

interface Role extends KubeObject {
  readonly rules: readonly Rule[]
  readonly aggregationRule?: object
}

interface Rule {
  readonly apiGroups?: readonly string[]
  readonly resources?: readonly string[]
  readonly resourceNames?: readonly string[]
  readonly nonResourceURLs?: readonly string[]
  readonly verbs: readonly string[]
}

interface Binding extends KubeObject {
  readonly roleRef: { readonly kind: string; readonly name: string }
  readonly subjects: readonly { readonly kind: string; readonly namespace: string; readonly name: string }[]
}

/** By `namespace/name` of the ServiceAccount, sorted: `payments: get,patch secrets [payments-db]`. */
export function rightsIn(objects: readonly KubeObject[]): Readonly<Record<string, readonly string[]>> {
  const rights = new Map<string, string[]>(
    ofKind(objects, 'ServiceAccount').map(({ metadata }) => [`${metadata.namespace}/${metadata.name}`, []]),
  )
  for (const binding of bindingsIn(objects)) {
    for (const { kind, namespace, name } of binding.subjects) {
      const of = rights.get(`${namespace}/${name}`)
      if (kind !== 'ServiceAccount' || of === undefined) throw new Error(`${binding.metadata.name} binds a stranger`)
      of.push(...rulesOf(objects, binding).map((rule) => `${binding.metadata.namespace ?? '*'}: ${lineOf(rule)}`))
    }
  }
  return Object.fromEntries([...rights].map(([id, lines]) => [id, lines.toSorted()]))
}

/** Rules that are wider than keyhole needs any to be, whoever has them. */
export function tooWide(objects: readonly KubeObject[]): readonly string[] {
  return rolesIn(objects).flatMap((role) => [
    ...(role.aggregationRule === undefined ? [] : [`${role.metadata.name} aggregates others`]),
    ...role.rules.filter(isTooWide).map((rule) => `${role.metadata.name}: ${lineOf(rule)}`),
  ])
}

function isTooWide({ apiGroups = [], resources = [], resourceNames = [], nonResourceURLs = [], verbs }: Rule): boolean {
  const words = [...apiGroups, ...resources, ...resourceNames, ...nonResourceURLs, ...verbs]
  const isAboutAll = resourceNames.length === 0 && !(resources.length === 1 && resources[0] === 'tokenreviews')
  return (
    isAboutAll ||
    nonResourceURLs.length > 0 ||
    words.some((word) => word.includes('*')) ||
    verbs.some((verb) =>
      ['escalate', 'bind', 'impersonate', 'list', 'watch', 'delete', 'deletecollection'].includes(verb),
    ) ||
    (resources.includes('secrets') && verbs.some((verb) => !['get', 'patch'].includes(verb)))
  )
}

function rulesOf(objects: readonly KubeObject[], { roleRef, metadata }: Binding): readonly Rule[] {
  const role = rolesIn(objects).find(
    (one) =>
      one.kind === roleRef.kind &&
      one.metadata.name === roleRef.name &&
      (one.kind === 'ClusterRole' || one.metadata.namespace === metadata.namespace),
  )
  // One of the cluster's own, such as system:auth-delegator.
  if (role === undefined) throw new Error(`${metadata.name} binds ${roleRef.kind} ${roleRef.name}, which is not ours`)
  return role.rules
}

function rolesIn(objects: readonly KubeObject[]): readonly Role[] {
  return ofKind(objects, 'Role', 'ClusterRole') as readonly Role[]
}

function bindingsIn(objects: readonly KubeObject[]): readonly Binding[] {
  return ofKind(objects, 'RoleBinding', 'ClusterRoleBinding') as readonly Binding[]
}

function lineOf({ resources = [], resourceNames, verbs, nonResourceURLs = [] }: Rule): string {
  const names = resourceNames === undefined ? '' : ` [${resourceNames.join(',')}]`
  return `${verbs.join(',')} ${[...resources, ...nonResourceURLs].join(',')}${names}`
}
