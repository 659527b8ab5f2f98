/** What keyhole may do at the API server: what it needs, and nothing that it does not. */

import type { Config } from '../config.ts'
import type { Policy } from '../policy/in-force.ts'
import type { SecretName } from '../policy/secrets-named.ts'
import { secretsNamed } from '../policy/secrets-named.ts'
import { listed } from '../words.ts'
import { failed } from './failures.ts'
import type { Checking, CheckName, Finding } from './finding.ts'
import { counted, ok, skipped, toFix } from './finding.ts'
import type { Checked } from './policy.ts'
import type { Action, CheckParts, KubernetesPort } from './ports.ts'
import { each } from './step.ts'

export async function* rights(
  parts: CheckParts,
  kubernetes: KubernetesPort | undefined,
  policy: Checked | undefined,
): Checking {
  const { rotate } = parts.config.serves
  if (kubernetes === undefined) {
    yield* skipped(
      'kubernetes',
      'review-right',
      'secret-rights',
      ...(rotate ? (['lease-rights'] as const) : []),
      'wide-rights',
    )
    return
  }
  const asked = asking(parts, kubernetes)
  yield* asked('review-right', [REVIEW], '', 'bind the ClusterRole keyhole-reviews-tokens to its ServiceAccount')
  if (policy === undefined) yield* skipped('policy', 'secret-rights')
  else
    yield* asked(
      'secret-rights',
      secretActions(policy.policy, parts.config.serves),
      'Secret',
      'name it in resourceNames of the Role in its namespace: keyhole manifests rbac writes them',
    )
  if (rotate)
    yield* asked(
      'lease-rights',
      leaseActions(parts.config.KEYHOLE_ROTATION_LEASE),
      '',
      'grant get, update and create on this Lease by resourceNames',
    )
  yield* wideRights(parts, kubernetes, policy)
}

const REVIEW: Action = { verb: 'create', group: 'authentication.k8s.io', resource: 'tokenreviews' }

/** What `keyhole manifests rbac` writes for whoever serves this. */
function secretActions(policy: Policy, { read, rotate }: Config['serves']): readonly Action[] {
  const named = secretsNamed(policy)
  const got = [...(read ? named.read : []), ...(rotate ? [...named.move, ...named.look] : [])]
  const once = new Map(got.map((name) => [`${name.namespace}/${name.secret}`, name])).values()
  const on = (verb: string) => (name: SecretName) => ({
    verb,
    ...SECRETS,
    namespace: name.namespace,
    name: name.secret,
  })
  return [...[...once].map(on('get')), ...(rotate ? named.move.map(on('patch')) : [])]
}

const SECRETS = { group: '', resource: 'secrets' } as const

function leaseActions(lease: string): readonly Action[] {
  const [namespace = '', name = ''] = lease.split('/')
  const on = { group: 'coordination.k8s.io', resource: 'leases', namespace, name }
  return ['get', 'update', 'create'].map((verb) => ({ verb, ...on }))
}

type Asked = (check: CheckName, actions: readonly Action[], noun: string, fix: string) => Checking

function asking(parts: CheckParts, kubernetes: KubernetesPort): Asked {
  return async function* asked(check, actions, noun, fix) {
    try {
      const allowed = await each(parts, actions, kubernetes.mayI)
      const missing = actions.filter((_, index) => allowed[index] === false)
      for (const [of, verbs] of Map.groupBy(missing, objectOf)) {
        yield toFix(check, `may not ${verbs.map(({ verb }) => verb).join(', ')} ${of}`, fix)
      }
      if (missing.length > 0) return
      const distinct = new Set(actions.map(objectOf)).size
      const verbs = [...new Set(actions.map(({ verb }) => verb))].join(', ')
      yield ok(
        check,
        noun === ''
          ? `may ${verbs} ${objectOf(actions[0] ?? REVIEW)}`
          : `may ${verbs || 'get'} ${counted(distinct, noun)}`,
      )
    } catch (error) {
      yield failed(check, error)
    }
  }
}

function objectOf({ resource, namespace, name }: Action): string {
  if (name === undefined) return resource
  return `${KINDS[resource] ?? resource} ${namespace}/${name}`
}

const KINDS: Readonly<Record<string, string>> = { secrets: 'Secret', leases: 'Lease' }

/** Rights that name no Secret, in every namespace that the policy names, and in the cluster as a whole. */
async function* wideRights(parts: CheckParts, kubernetes: KubernetesPort, policy: Checked | undefined): Checking {
  const namespaces = [...new Set([...(policy?.policy.grants.values() ?? [])].map(({ namespace }) => namespace))].sort()
  const scopes = [{}, ...namespaces.map((namespace) => ({ namespace }))]
  const actions = scopes.flatMap((scope) => WIDE.map((verb): Action => ({ verb, ...SECRETS, ...scope })))
  try {
    const allowed = await each(parts, actions, kubernetes.mayI)
    const wide = actions.filter((_, index) => allowed[index] === true)
    for (const [where, verbs] of Map.groupBy(wide, ({ namespace }) => namespace)) yield tooWide(where, verbs)
    if (wide.length === 0)
      yield ok(
        'wide-rights',
        `none over Secrets that are not named, in ${counted(namespaces.length, 'namespace')} and the cluster`,
      )
  } catch (error) {
    yield failed('wide-rights', error)
  }
}

const WIDE = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete'] as const

function tooWide(namespace: string | undefined, verbs: readonly Action[]): Finding {
  const where = namespace === undefined ? 'in the whole cluster' : `in ${namespace}`
  return toFix(
    'wide-rights',
    `may ${listed(
      verbs.map(({ verb }) => verb),
      9,
    )} any Secret ${where}: wider than keyhole needs`,
    'take it off the Role or ClusterRole that grants it: keyhole needs get, and patch where it rotates, by resourceNames',
  )
}
