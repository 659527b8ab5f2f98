/** The rights that any policy asks for: every Secret exactly where it must be named, and nothing that is wider than a name. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { RbacObject, Role } from '../../src/cli/rbac.ts'
import { rbacFor, rbacYaml } from '../../src/cli/rbac.ts'
import { differences } from '../../src/cli/rbac-differences.ts'
import { secretsNamed } from '../../src/policy/secrets-named.ts'
import { grant, policyFrom, transitKey } from '../policy/documents.ts'
import { objectsIn } from './manifests-world.ts'

const READER = { namespace: 'keyhole', name: 'keyhole' }
const ROTATOR = { namespace: 'keyhole', name: 'keyhole-rotate' }

interface World {
  readonly keys: readonly {
    readonly name: string
    readonly namespaces: readonly string[]
    readonly isRotated: boolean
  }[]
  readonly grants: readonly GrantWritten[]
}

interface GrantWritten {
  readonly name: string
  readonly namespace: string
  readonly secret: string
  readonly key: string
  readonly isRead: boolean
}

/** Some are numbers, times, words or the beginning of another one, all of which a namespace and a Secret may be called. */
const namespace = fc.constantFrom('a', 'a-b', 'b', '1', 'no', 'keyhole', '2026-01-01')
const secret = fc.oneof(
  fc.constantFrom('s', 't', 'null', '1e3', '0x1', 'y'),
  fc.stringMatching(/^[a-z0-9]{1,3}([-.][a-z0-9]{1,3}){0,2}$/),
)

const world: fc.Arbitrary<World> = fc.record({
  keys: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('k', 'l', 'm'),
      namespaces: fc.array(namespace, { maxLength: 6 }),
      isRotated: fc.boolean(),
    }),
    { selector: ({ name }) => name },
  ),
  grants: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('one', 'two', 'three', 'four'),
      namespace,
      secret,
      key: fc.constantFrom('k', 'l', 'm', 'n'),
      isRead: fc.boolean(),
    }),
    { selector: (one) => `${one.namespace}/${one.name}`, maxLength: 12 },
  ),
})

function generated({ keys, grants }: World): readonly RbacObject[] {
  const admins = [{ namespace: 'keyhole', serviceAccount: 'keyhole-cron' }]
  const policy = policyFrom(
    ...keys.map(({ name, namespaces, isRotated }) =>
      transitKey({ namespaces: [...namespaces], ...(isRotated && { rotation: { admins } }) }, name),
    ),
    ...grants.map((one) =>
      grant(
        {
          secretRef: { name: one.secret, key: `${one.name}.json` },
          transitKey: one.key,
          readers: one.isRead ? [{ serviceAccount: 'api', keys: ['A'] }] : [],
        },
        one.name,
        one.namespace,
      ),
    ),
  )
  return rbacFor(secretsNamed(policy), { reader: READER, rotator: ROTATOR })
}

/** `ROLE VERBS NAMESPACE/SECRET`, as a person would read them off the documents. */
function wanted({ keys, grants }: World): ReadonlySet<string> {
  const lines = grants.flatMap((one) => {
    const key = keys.find(({ name }) => name === one.key)
    if (key === undefined || !key.namespaces.includes(one.namespace)) return []
    const place = `${one.namespace}/${one.secret}`
    return [
      ...(one.isRead ? [`keyhole get ${place}`] : []),
      `keyhole-rotate ${key.isRotated ? 'get,patch' : 'get'} ${place}`,
    ]
  })
  // Of two keys, the one that may be rotated counts.
  return new Set(
    lines.filter(
      (line) =>
        !lines.includes(line.replace(/^keyhole-rotate get /, 'keyhole-rotate get,patch ')) ||
        !line.startsWith('keyhole-rotate get '),
    ),
  )
}

function rolesIn(objects: readonly RbacObject[]): readonly Role[] {
  return objects.filter((object): object is Role => object.kind === 'Role')
}

function told(objects: readonly RbacObject[]): readonly string[] {
  return rolesIn(objects).flatMap(({ metadata, rules }) =>
    rules.flatMap(({ verbs, resourceNames }) =>
      resourceNames.map((name) => `${metadata.name} ${verbs.join(',')} ${metadata.namespace}/${name}`),
    ),
  )
}

const NAME = /^(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/

describe('whatever the policy', () => {
  const holds = (property: (world: World) => void) => fc.assert(fc.property(world, property), { numRuns: 200 })

  test('every Secret is named exactly where it must be, once, and none other is', () => {
    holds((given) => {
      const lines = told(generated(given))
      expect(lines.toSorted()).toEqual([...wanted(given)].toSorted())
    })
  })

  test('no rule is about anything but Secrets by their names, and no name is a pattern', () => {
    holds((given) => {
      for (const { rules } of rolesIn(generated(given))) {
        expect(rules.length).toBeGreaterThan(0)
        for (const { verbs, resourceNames, ...rest } of rules) {
          expect(rest).toEqual({ apiGroups: [''], resources: ['secrets'] })
          expect(['get', 'get,patch']).toContain(verbs.join(','))
          // An empty list would be about every Secret.
          expect(resourceNames.length).toBeGreaterThan(0)
          for (const name of resourceNames) expect(name).toMatch(NAME)
        }
      }
    })
  })

  test('each Role has its RoleBinding, to whom it is for', () => {
    holds((given) => {
      const objects = generated(given)
      for (let at = 0; at < objects.length; at += 2) {
        const [role, binding] = objects.slice(at, at + 2)
        const to = role?.metadata.name === 'keyhole' ? READER : ROTATOR
        expect(role?.kind).toBe('Role')
        expect(binding).toMatchObject({
          kind: 'RoleBinding',
          metadata: role?.metadata,
          roleRef: { kind: 'Role', name: role?.metadata.name },
          subjects: [{ kind: 'ServiceAccount', ...to }],
        })
      }
    })
  })

  test('as many namespaces as have Secrets to read have a Role to read them, and none has two', () => {
    holds((given) => {
      const roles = rolesIn(generated(given)).map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
      expect(new Set(roles).size).toBe(roles.length)
      const namespaces = new Set(
        [...wanted(given)].filter((line) => line.startsWith('keyhole ')).map((line) => line.split(/[ /]/)[2]),
      )
      expect(roles.filter((id) => id.endsWith('/keyhole'))).toHaveLength(namespaces.size)
    })
  })

  test('the order of its documents makes no difference', () => {
    holds((given) => {
      const turned = { keys: given.keys.toReversed(), grants: given.grants.toReversed() }
      expect(rbacYaml(generated(turned), [])).toBe(rbacYaml(generated(given), []))
    })
  })

  test('what is written is read as what was meant, by YAML 1.1 and 1.2 alike, and found to be that', () => {
    holds((given) => {
      const objects = generated(given)
      const text = rbacYaml(objects, ['a comment'])
      expect(objectsIn(text, '1.1')).toEqual(objects)
      expect(objectsIn(text, '1.2')).toEqual(objects)
      expect(differences(text, objects)).toEqual([])
    })
  })

  test('a file of another policy is found to differ exactly if it does', () => {
    fc.assert(
      fc.property(world, world, (one, other) => {
        const [asked, there] = [generated(one), generated(other)]
        const isSame = rbacYaml(asked, []) === rbacYaml(there, [])
        expect(differences(rbacYaml(there, []), asked).length === 0).toBe(isSame)
      }),
      { numRuns: 100 },
    )
  })
})

test('a policy of N namespaces makes N Roles for reads, and N to rotate', () => {
  const namespaces = Array.from({ length: 40 }, (_, index) => `team-${index}`)
  const given: World = {
    keys: [{ name: 'k', namespaces, isRotated: true }],
    grants: namespaces.map((of) => ({ name: 'one', namespace: of, secret: 's', key: 'k', isRead: true })),
  }
  const names = rolesIn(generated(given)).map(({ metadata }) => metadata.name)
  expect(names.filter((name) => name === 'keyhole')).toHaveLength(40)
  expect(names.filter((name) => name === 'keyhole-rotate')).toHaveLength(40)
})
