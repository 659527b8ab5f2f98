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
  const { serves, KEYHOLE_ROTATION_LEASE: lease } = parts.config
  if (kubernetes === undefined) {
    const ofRotator = serves.rotate ? (['lease-rights'] as const) : []
    yield* skipped('kubernetes', 'review-right', 'secret-rights', ...ofRotator, 'wide-rights')
    return
  }
  const may = (actions: readonly Action[]) => each(parts, actions, kubernetes.mayI)
  yield* onOneObject(may, REVIEW)
  if (policy === undefined) yield* skipped('policy', 'secret-rights')
  else yield* onSecrets(may, secretActions(policy.policy, serves))
  if (serves.rotate) yield* onOneObject(may, leaseNeed(lease))
  yield* wideRights(may, policy)
}

/** Of each action, whether it is allowed. */
type May = (actions: readonly Action[]) => Promise<readonly boolean[]>

/** Verbs on one thing. */
interface Need {
  readonly check: CheckName
  readonly verbs: readonly string[]
  readonly on: Omit<Action, 'verb'>
  readonly fix: string
}

const REVIEW: Need = {
  check: 'review-right',
  verbs: ['create'],
  on: { group: 'authentication.k8s.io', resource: 'tokenreviews' },
  fix: 'bind the ClusterRole keyhole-reviews-tokens to its ServiceAccount',
}

function leaseNeed(lease: string): Need {
  const [namespace = '', name = ''] = lease.split('/')
  return {
    check: 'lease-rights',
    verbs: ['get', 'update', 'create'],
    on: { group: 'coordination.k8s.io', resource: 'leases', namespace, name },
    fix: 'grant get, update and create on this Lease by resourceNames',
  }
}

async function* onOneObject(may: May, { check, verbs, on, fix }: Need): Checking {
  const actions = verbs.map((verb) => ({ verb, ...on }))
  if (yield* areAllowed(may, check, actions, fix)) yield ok(check, `may ${verbs.join(', ')} ${objectOf(on)}`)
}

async function* onSecrets(may: May, actions: readonly Action[]): Checking {
  const check = 'secret-rights'
  const fix = 'name it in resourceNames of the Role in its namespace: keyhole manifests rbac writes them'
  if (!(yield* areAllowed(may, check, actions, fix))) return
  const verbs = [...new Set(actions.map(({ verb }) => verb))].join(', ') || 'get'
  const secrets = new Set(actions.map(objectOf))
  yield ok(check, `may ${verbs} ${counted(secrets.size, 'Secret')}`)
}

/** Tells of those that are not, thing by thing. */
async function* areAllowed(may: May, check: CheckName, actions: readonly Action[], fix: string): Checking<boolean> {
  try {
    const allowed = await may(actions)
    const missing = actions.filter((_, index) => allowed[index] === false)
    for (const [object, lacking] of Map.groupBy(missing, objectOf)) {
      yield toFix(check, `may not ${lacking.map(({ verb }) => verb).join(', ')} ${object}`, fix)
    }
    return missing.length === 0
  } catch (error) {
    yield failed(check, error)
    return false
  }
}

function objectOf({ resource, namespace, name }: Omit<Action, 'verb'>): string {
  if (name === undefined) return resource
  return `${KINDS[resource] ?? resource} ${namespace}/${name}`
}

const KINDS: Readonly<Record<string, string>> = { secrets: 'Secret', leases: 'Lease' }

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

/** Rights that name no Secret, in every namespace that the policy names, and in the cluster as a whole. */
async function* wideRights(may: May, policy: Checked | undefined): Checking {
  const namespaces = [...new Set([...(policy?.policy.grants.values() ?? [])].map(({ namespace }) => namespace))].sort()
  const scopes = [{}, ...namespaces.map((namespace) => ({ namespace }))]
  const actions = scopes.flatMap((scope) => WIDE.map((verb): Action => ({ verb, ...SECRETS, ...scope })))
  try {
    const allowed = await may(actions)
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
