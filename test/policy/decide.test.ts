import { describe, expect, it } from 'vitest'
import type { Identity } from '../../src/policy/decide.ts'
import { decide, listFor, rotatable } from '../../src/policy/decide.ts'
import { api, grant, policyFrom, reader, transitKey } from './documents.ts'

const NOW = Date.UTC(2026, 10, 22)
const DB = { namespace: 'payments', name: 'db' }

/** What `payments/api`, or who differs from it, is told about `payments/db` under these readers. */
function asked(readers: unknown, identity: Partial<Identity> = {}, selection?: readonly string[], nowMs = NOW) {
  const policy = policyFrom(transitKey(), grant({ readers }))
  return decide(policy, { ...api, ...identity }, DB, selection, nowMs)
}

function withoutPod({ pod: _, ...identity }: Identity): Identity {
  return identity
}

describe('who is no reader', () => {
  const policy = policyFrom(transitKey(), grant(), grant({ readers: [] }, 'nobodys'))

  it.each([
    ['of a grant that does not exist', api, { namespace: 'payments', name: 'other' }, 'no-such-grant'],
    ['of a namespace that does not exist', api, { namespace: 'other', name: 'db' }, 'no-such-grant'],
    ['of a grant without readers', api, { namespace: 'payments', name: 'nobodys' }, 'not-a-reader'],
    ['by another name', { ...api, serviceAccount: 'web' }, DB, 'not-a-reader'],
    ['by the same name in another namespace', { ...api, namespace: 'bi' }, DB, 'not-a-reader'],
    ['by a name in upper case', { ...api, serviceAccount: 'API' }, DB, 'not-a-reader'],
    ['without a name', { ...api, serviceAccount: '' }, DB, 'not-a-reader'],
    ['by a name of slashes', { ...api, namespace: '', serviceAccount: 'payments/api' }, DB, 'not-a-reader'],
    ['of a name of slashes', api, { namespace: '', name: 'payments/db' }, 'no-such-grant'],
    ['of __proto__', api, { namespace: '__proto__', name: '__proto__' }, 'no-such-grant'],
  ] as const)('is refused: %s', (_, identity, name, why) => {
    expect(decide(policy, identity, name, undefined, NOW)).toEqual({ why })
  })

  it('is refused with an entry that grants no key', () => {
    expect(asked([reader({ keys: [] })])).toEqual({ why: 'not-a-reader' })
  })
})

describe('the default ServiceAccount', () => {
  const identity = { serviceAccount: 'default' }

  it('is refused unless the entry allows it', () => {
    expect(asked([reader({ serviceAccount: 'default' })], identity)).toEqual({ why: 'default-service-account' })
    expect(asked([reader({ serviceAccount: 'default', allowDefault: false })], identity)).toEqual({
      why: 'default-service-account',
    })
  })

  it('reads where the entry allows it', () => {
    expect(asked([reader({ serviceAccount: 'default', allowDefault: true })], identity)).toHaveProperty('granted')
  })

  it('is refused in another namespace too', () => {
    const readers = [reader({ namespace: 'bi', serviceAccount: 'default' })]
    expect(asked(readers, { namespace: 'bi', ...identity })).toEqual({ why: 'default-service-account' })
  })
})

describe('a token that is bound to no pod', () => {
  it('is refused unless the entry takes it', () => {
    const policy = policyFrom(transitKey(), grant())
    expect(decide(policy, withoutPod(api), DB, undefined, NOW)).toEqual({ why: 'not-pod-bound' })
  })

  it('is taken where the entry says so, as is one that is bound', () => {
    const policy = policyFrom(transitKey(), grant({ readers: [reader({ podBound: false })] }))
    expect(decide(policy, withoutPod(api), DB, undefined, NOW)).toHaveProperty('granted')
    expect(decide(policy, api, DB, undefined, NOW)).toHaveProperty('granted')
  })
})

describe('a pinned uid', () => {
  it('refuses a ServiceAccount made anew under the same name', () => {
    expect(asked([reader({ uid: api.uid })], { uid: 'another' })).toEqual({ why: 'other-uid' })
    expect(asked([reader({ uid: api.uid })], { uid: '' })).toEqual({ why: 'other-uid' })
  })

  it('lets its own ServiceAccount read', () => {
    expect(asked([reader({ uid: api.uid })])).toHaveProperty('granted')
  })
})

describe('until', () => {
  const readers = [reader({ until: '2026-11-22T00:00:00Z' })]

  it('grants to the last millisecond, and nothing from the moment on', () => {
    expect(asked(readers, {}, undefined, NOW - 1)).toHaveProperty('granted')
    expect(asked(readers, {}, undefined, NOW)).toEqual({ why: 'reader-expired' })
    expect(asked(readers, {}, undefined, NOW + 1)).toEqual({ why: 'reader-expired' })
  })

  it('has passed when nobody knows the time', () => {
    expect(asked(readers, {}, undefined, Number.NaN)).toEqual({ why: 'reader-expired' })
  })
})

describe('the keys', () => {
  it('are those of the entry', () => {
    expect(asked([reader({ keys: ['B', 'A'] })])).toMatchObject({
      granted: { keys: new Set(['A', 'B']), selection: undefined },
    })
  })

  it('are all of them for allKeys, whatever is asked for', () => {
    expect(asked([reader({ allKeys: true })], {}, ['anything'])).toMatchObject({
      granted: { keys: 'all', selection: ['anything'] },
    })
  })

  it('asked for come back sorted, once each', () => {
    expect(asked([reader()], {}, ['B', 'A', 'B'])).toMatchObject({ granted: { selection: ['A', 'B'] } })
  })

  it.each([[['C']], [['A', 'C']], [['a']], [['']], [['A ']], [['__proto__']], [['all']], [['constructor']]])(
    '%j are refused, be it for one of them',
    (selection) => {
      expect(asked([reader()], {}, selection)).toEqual({ why: 'key-not-granted' })
    },
  )

  it('called "all" are not all keys', () => {
    expect(asked([reader({ keys: ['all'] })], {}, ['A'])).toEqual({ why: 'key-not-granted' })
  })

  it('of nobody else are granted', () => {
    const readers = [
      reader({ keys: ['A'] }),
      reader({ serviceAccount: 'web', keys: ['C'] }),
      reader({ namespace: 'bi', keys: ['D'] }),
    ]
    expect(asked(readers)).toMatchObject({ granted: { keys: new Set(['A']) } })
  })

  it('of several entries add up, but only of those that hold', () => {
    const readers = [
      reader({ keys: ['A'] }),
      reader({ keys: ['B'], until: '2026-11-23T00:00:00Z' }),
      reader({ keys: ['C'], until: '2026-11-21T00:00:00Z' }),
      reader({ keys: ['D'], uid: 'another' }),
      reader({ allKeys: true, until: '2020-01-01T00:00:00Z' }),
    ]
    expect(asked(readers)).toMatchObject({ granted: { keys: new Set(['A', 'B']) } })
    expect(asked(readers, {}, ['C'])).toEqual({ why: 'key-not-granted' })
  })
})

describe('of several reasons', () => {
  it('the entry that came furthest gives its own', () => {
    const expired = reader({ until: '2020-01-01T00:00:00Z' })
    expect(asked([reader({ uid: 'another' }), expired, reader({ uid: 'another' })])).toEqual({ why: 'reader-expired' })
  })

  it('of one entry the first counts', () => {
    expect(asked([reader({ uid: 'another', until: '2020-01-01T00:00:00Z' })])).toEqual({ why: 'other-uid' })
  })
})

describe('what is granted', () => {
  it('says where the ciphertext lies, and with which key it opens', () => {
    expect(asked([reader()], {}, ['A'])).toEqual({
      granted: {
        secret: { namespace: 'payments', name: 'db' },
        place: { namespace: 'payments', secret: 'payments-db' },
        format: 'json',
        dataKey: 'secrets.json',
        keys: new Set(['A', 'B']),
        selection: ['A'],
        transitKey: expect.objectContaining({ name: 'payments', mount: 'transit' }),
      },
    })
  })

  it('has no data key for files', () => {
    const policy = policyFrom(transitKey(), grant({ format: 'files', secretRef: { name: 's' } }))
    expect(decide(policy, api, DB, undefined, NOW)).toMatchObject({ granted: { format: 'files' } })
    expect(decide(policy, api, DB, undefined, NOW)).not.toHaveProperty('granted.dataKey')
  })

  it('lies in the namespace of the grant, not of the reader', () => {
    const identity = { namespace: 'bi', serviceAccount: 'reports' }
    const decision = asked([reader({ ...identity, keys: ['A'] })], identity)
    expect(decision).toMatchObject({ granted: { place: { namespace: 'payments' } } })
  })
})

describe('the condition of a grant', () => {
  const unbound = (spec = {}) => transitKey({ binding: 'none', ...spec })
  const second = (spec = {}, namespace = 'payments') =>
    grant({ secretRef: { name: 'other', key: 'k' }, ...spec }, 'second', namespace)

  function of(...documents: readonly unknown[]) {
    return decide(policyFrom(...documents), api, DB, undefined, NOW)
  }

  it('is that its Transit key is not defined', () => {
    expect(of(grant())).toEqual({ condition: 'transit-key-undefined' })
    expect(of(grant(), transitKey({}, 'payment'))).toEqual({ condition: 'transit-key-undefined' })
  })

  it('is that its Transit key does not admit its namespace', () => {
    expect(of(grant(), transitKey({ namespaces: [] }))).toEqual({ condition: 'namespace-not-allowed' })
    expect(of(grant(), transitKey({ namespaces: ['bi', 'payment', 'payments2'] }))).toEqual({
      condition: 'namespace-not-allowed',
    })
  })

  it('is that its unbound key serves another Secret too', () => {
    expect(of(grant(), second(), unbound())).toEqual({ condition: 'transplant' })
  })

  it('is that its unbound key admits another namespace, whether or not that one uses it: it is not theirs to decide', () => {
    const shared = unbound({ namespaces: ['payments', 'bi'] })
    expect(of(grant(), shared)).toEqual({ condition: 'transplant' })
    expect(of(grant(), grant({}, 'db', 'bi'), shared)).toEqual({ condition: 'transplant' })
    expect(of(grant(), unbound({ namespaces: ['payments', 'payments'] }))).toHaveProperty('granted')
  })

  it('is good where several grants name one Secret', () => {
    expect(of(grant(), grant({}, 'second'), unbound())).toHaveProperty('granted')
  })

  it('is good where the key may be transplanted, or is bound', () => {
    const namespaces = ['payments', 'bi']
    expect(of(grant(), second(), unbound({ namespaces, allowTransplant: true }))).toHaveProperty('granted')
    expect(of(grant(), second(), unbound({ namespaces, binding: 'place' }))).toHaveProperty('granted')
  })

  it('does not suffer from a grant that the key does not admit', () => {
    expect(of(grant(), second({}, 'evil'), unbound())).toHaveProperty('granted')
  })

  it('does not suffer from a grant of another key', () => {
    expect(of(grant(), second({ transitKey: 'bound' }), unbound(), transitKey({}, 'bound'))).toHaveProperty('granted')
  })

  it.each([
    ['a stranger', { ...api, serviceAccount: 'web' }, undefined, 'not-a-reader'],
    ['a reader of other keys', api, ['C'], 'key-not-granted'],
    ['a reader without a pod', withoutPod(api), undefined, 'not-pod-bound'],
  ] as const)('is not told to %s', (_, identity, selection, why) => {
    expect(decide(policyFrom(grant()), identity, DB, selection, NOW)).toEqual({ why })
  })
})

describe('the list of what an identity may read', () => {
  const policy = policyFrom(
    grant({}, 'z'),
    grant({}, 'a', 'bi'),
    grant({ readers: [reader({ namespace: 'payments', keys: ['Z', 'A', 'Z'] })] }, 'b', 'bi'),
    grant(
      { readers: [reader({ namespace: 'payments', allKeys: true }), reader({ namespace: 'payments' })] },
      'a',
      'analytics-2',
    ),
    grant({ readers: [reader({ namespace: 'payments', allKeys: true })] }, 'z', 'analytics'),
    grant({ readers: [reader({ until: '2026-11-22T00:00:00Z' })] }, 'expired'),
    grant({ readers: [reader({ keys: [] })] }, 'none'),
    grant({ readers: [reader({ serviceAccount: 'web' })] }, 'webs'),
    grant(),
  )

  it('has its own namespace first, then others, and live entries only', () => {
    expect(listFor(policy, api, NOW)).toEqual([
      { namespace: 'payments', name: 'db', keys: ['A', 'B'], all: false },
      { namespace: 'payments', name: 'z', keys: ['A', 'B'], all: false },
      { namespace: 'analytics', name: 'z', keys: [], all: true },
      { namespace: 'analytics-2', name: 'a', keys: [], all: true },
      { namespace: 'bi', name: 'b', keys: ['A', 'Z'], all: false },
    ])
  })

  it('is empty for a stranger', () => {
    expect(listFor(policy, { ...api, namespace: 'elsewhere' }, NOW)).toEqual([])
    expect(listFor(policy, { ...api, serviceAccount: '__proto__' }, NOW)).toEqual([])
  })

  it('is empty for a token without a pod where entries want one', () => {
    expect(listFor(policy, withoutPod(api), NOW)).toEqual([])
  })
})

describe('the keys that an identity may rotate', () => {
  const cron: Identity = { ...api, namespace: 'keyhole', serviceAccount: 'cron' }
  const admin = { namespace: 'keyhole', serviceAccount: 'cron' }

  function names(admins: readonly unknown[], identity: Identity): readonly string[] {
    return rotatable(policyFrom(transitKey({ rotation: { admins } })), identity).map(({ name }) => name)
  }

  it.each<[string, readonly unknown[], Identity]>([
    ['nobody is an admin', [], cron],
    ['somebody else is', [{ ...admin, serviceAccount: 'oncall' }], cron],
    ['the same name of another namespace is', [{ ...admin, namespace: 'payments' }], cron],
    ['it is a reader only', [admin], api],
    ['it is of the namespace only', [admin], { ...cron, serviceAccount: 'other' }],
    ['its token is bound to no pod', [admin], withoutPod(cron)],
    ['it is named in upper case', [admin], { ...cron, serviceAccount: 'CRON' }],
    ['it is a name of slashes', [admin], { ...cron, namespace: '', serviceAccount: 'keyhole/cron' }],
  ])('are none where %s', (_, admins, identity) => {
    expect(names(admins, identity)).toEqual([])
  })

  it('are none of default, even in a policy that no parser would let pass', () => {
    const policy = policyFrom(transitKey({ rotation: { admins: [admin] } }))
    const [key] = [...policy.transitKeys.values()]
    const admins = [{ namespace: 'keyhole', serviceAccount: 'default', podBound: false }]
    const forged = { ...key, rotation: { ...key?.rotation, admins } } as NonNullable<typeof key>
    const forgedPolicy = { ...policy, transitKeys: new Map([['payments', forged]]) }
    expect(rotatable(forgedPolicy, { ...cron, serviceAccount: 'default' })).toEqual([])
  })

  it('are those that name it, also without a pod where one of them says so', () => {
    expect(names([admin], cron)).toEqual(['payments'])
    expect(names([admin, { ...admin, podBound: false }], withoutPod(cron))).toEqual(['payments'])
  })

  it('come by name, and only its own', () => {
    const rotation = { admins: [admin] }
    const keys = ['b', 'a', 'c'].map((name) => transitKey(name === 'c' ? {} : { rotation }, name))
    expect(rotatable(policyFrom(...keys), cron).map(({ name }) => name)).toEqual(['a', 'b'])
  })
})
