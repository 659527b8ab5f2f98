import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Identity } from '../../src/policy/decide.ts'
import { decide } from '../../src/policy/decide.ts'
import type { Policy } from '../../src/policy/in-force.ts'
import { secretsNamed } from '../../src/policy/secrets-named.ts'
import { grant, policyFrom, reader, transitKey } from './documents.ts'

const ADMINS = { rotation: { admins: [{ namespace: 'keyhole', serviceAccount: 'keyhole-cron' }] } }
const DB = { namespace: 'payments', secret: 'payments-db' }
const NONE = { read: [], move: [], look: [] }

const named = (...documents: readonly unknown[]) => secretsNamed(policyFrom(...documents))

describe('no right is asked for on a Secret', () => {
  it('that no grant names', () => {
    expect(named(transitKey(ADMINS))).toEqual(NONE)
  })

  it('to read it, where nobody is a reader; to move it, all the same', () => {
    expect(named(transitKey(ADMINS), grant({ readers: [] }))).toEqual({ ...NONE, move: [DB] })
  })

  it.each([
    ['of no key', { keys: [] }],
    ['that is the ServiceAccount default without leave', { serviceAccount: 'default' }],
    ['that is both', { serviceAccount: 'default', allowDefault: true, keys: [] }],
  ])('to read it, for a reader %s', (_title, fields) => {
    expect(named(transitKey(), grant({ readers: [reader(fields)] })).read).toEqual([])
  })

  it('whose Transit key there is not', () => {
    expect(named(grant())).toEqual(NONE)
  })

  it('whose namespace its Transit key does not admit: whoever may write grants could have any Secret read', () => {
    expect(named(transitKey({ ...ADMINS, namespaces: ['billing'] }), grant())).toEqual(NONE)
  })

  it('to read it, whose ciphertext could be exchanged for another', () => {
    const loose = transitKey({ ...ADMINS, binding: 'none' })
    const other = grant({ secretRef: { name: 'other', key: 'a' } }, 'other')
    expect(named(loose, grant(), other)).toEqual({
      ...NONE,
      move: [{ namespace: 'payments', secret: 'other' }, DB],
    })
  })
})

describe('a right is asked for on a Secret', () => {
  it('to read and to move it, where its key has somebody who may rotate it', () => {
    expect(named(transitKey(ADMINS), grant())).toEqual({ read: [DB], move: [DB], look: [] })
  })

  it('to look at it only, where nobody may rotate its key', () => {
    expect(named(transitKey(), grant())).toEqual({ read: [DB], move: [], look: [DB] })
  })

  it('for a reader whose time has passed: rights are not taken by the minute', () => {
    const readers = [reader({ until: '2001-01-01T00:00:00Z' })]
    expect(named(transitKey(), grant({ readers })).read).toEqual([DB])
  })

  it.each([
    ['all keys', { allKeys: true }],
    ['default with leave', { serviceAccount: 'default', allowDefault: true }],
    ['not bound to a pod', { podBound: false }],
    ['of one uid', { uid: 'u1' }],
  ])('for a reader: %s', (_title, fields) => {
    expect(named(transitKey(), grant({ readers: [reader(fields)] })).read).toEqual([DB])
  })

  it('once, however many grants and data keys name it', () => {
    const again = grant({ secretRef: { name: 'payments-db', key: 'other.json' } }, 'again')
    const files = grant({ format: 'files', secretRef: { name: 'payments-db' } }, 'files')
    expect(named(transitKey(ADMINS), grant(), again, files)).toEqual({ read: [DB], move: [DB], look: [] })
  })

  it('to move it, and not to look at it beside, where one of two keys in it may be rotated', () => {
    const theirs = grant({ secretRef: { name: 'payments-db', key: 'b' }, transitKey: 'other' }, 'theirs')
    for (const documents of [
      [transitKey(ADMINS), transitKey({}, 'other')],
      [transitKey(), transitKey(ADMINS, 'other')],
    ]) {
      expect(named(...documents, grant(), theirs)).toEqual({ read: [DB], move: [DB], look: [] })
    }
  })

  it('in order of namespaces, then of names, also where one begins as another does', () => {
    const key = transitKey({ ...ADMINS, namespaces: ['a', 'a-b'] })
    const at = (namespace: string, name: string) => grant({ secretRef: { name, key: 'k' } }, name, namespace)
    expect(named(key, at('a-b', 'x'), at('a', 'z'), at('a', 'y')).move).toEqual([
      { namespace: 'a', secret: 'y' },
      { namespace: 'a', secret: 'z' },
      { namespace: 'a-b', secret: 'x' },
    ])
  })
})

/** Few names, so that they meet. */
const NAMESPACES = ['a', 'b'] as const
const documents = fc.record({
  keys: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('k', 'l'),
      namespaces: fc.subarray([...NAMESPACES]),
      binding: fc.constantFrom('place', 'none'),
      admins: fc.boolean(),
    }),
    { selector: ({ name }) => name },
  ),
  grants: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('db', 'mail', 'web'),
      namespace: fc.constantFrom(...NAMESPACES),
      secret: fc.constantFrom('s', 't'),
      key: fc.constantFrom('k', 'l', 'm'),
      readers: fc.array(
        fc.record({
          serviceAccount: fc.constantFrom('api', 'default'),
          allowDefault: fc.boolean(),
          podBound: fc.boolean(),
          keys: fc.subarray(['A', 'B']),
        }),
        { maxLength: 2 },
      ),
    }),
    { selector: ({ namespace, name }) => `${namespace}/${name}`, maxLength: 5 },
  ),
})

describe('whatever the policy', () => {
  it('a Secret is named for reads exactly if somebody is given something out of it', () => {
    fc.assert(
      fc.property(documents, ({ keys, grants }) => {
        const policy = policyFrom(
          ...keys.map(({ name, namespaces, binding, admins }) =>
            transitKey({ namespaces, binding, ...(admins ? ADMINS : {}) }, name),
          ),
          ...grants.map(({ name, namespace, secret, key, readers }) =>
            grant({ secretRef: { name: secret, key: 'k' }, transitKey: key, readers }, name, namespace),
          ),
        )
        const given = new Set([...policy.grants.values()].flatMap((one) => servedOf(policy, one)))
        expect(secretsNamed(policy).read.map(({ namespace, secret }) => `${namespace}/${secret}`)).toEqual(
          [...given].sort(),
        )
      }),
      { numRuns: 300 },
    )
  })
})

/** The place of a grant, if the decision itself gives any of its readers anything. */
function servedOf(
  policy: Policy,
  { namespace, name, secret, readers }: NonNullable<ReturnType<Policy['grants']['get']>>,
): readonly string[] {
  const isServed = readers.some((entry) => {
    const identity: Identity = { ...entry, uid: entry.uid ?? 'u', pod: { name: 'p', uid: 'q' } }
    return 'granted' in decide(policy, identity, { namespace, name }, undefined, 0)
  })
  return isServed ? [`${namespace}/${secret}`] : []
}
