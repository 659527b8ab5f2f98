/** Decisions of any policy, against an oracle that reads the documents as a person would. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Identity } from '../../src/policy/decide.ts'
import { decide, listFor, rotatable } from '../../src/policy/decide.ts'
import type { Policy } from '../../src/policy/in-force.ts'
import { policyOf } from '../../src/policy/in-force.ts'
import { secretGrantDocument, secretGrantOf, transitKeyDocument, transitKeyOf } from '../../src/policy/schema.ts'
import { START } from '../../src/policy/yaml.ts'
import { grant, transitKey } from './documents.ts'

interface GrantWritten {
  readonly namespace: string
  readonly name: string
  readonly secret: string
  readonly transitKey: string
  readonly readers: readonly ReaderWritten[]
}

interface ReaderWritten {
  readonly namespace?: string
  readonly serviceAccount: string
  readonly keys?: readonly string[]
  readonly allKeys?: true
  readonly podBound?: boolean
  readonly allowDefault?: boolean
  readonly uid?: string
  readonly until?: string
}

interface KeyWritten {
  readonly name: string
  readonly namespaces: readonly string[]
  readonly binding: 'place' | 'none'
  readonly allowTransplant: boolean
}

interface World {
  readonly grants: readonly GrantWritten[]
  readonly keys: readonly KeyWritten[]
}

// Few names, so that they meet.
const NAMESPACES = ['a', 'b']
const ACCOUNTS = ['default', 'api', 'web']
const UIDS = ['u1', 'u2']
const KEYS = ['A', 'B', 'all', '__proto__']
const TIMES = ['2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z', '2026-01-03T00:00:00Z']

const namespace = fc.constantFrom(...NAMESPACES)
const keys = fc.array(fc.constantFrom(...KEYS), { maxLength: 3 })

const readerWritten: fc.Arbitrary<ReaderWritten> = fc
  .tuple(
    fc.record(
      {
        serviceAccount: fc.constantFrom(...ACCOUNTS),
        namespace,
        podBound: fc.boolean(),
        allowDefault: fc.boolean(),
        uid: fc.constantFrom(...UIDS),
        until: fc.constantFrom(...TIMES),
      },
      { requiredKeys: ['serviceAccount'] },
    ),
    fc.oneof(
      { weight: 4, arbitrary: keys.map((each) => ({ keys: each })) },
      { weight: 1, arbitrary: fc.constant({ allKeys: true as const }) },
    ),
  )
  .map(([reader, which]) => ({ ...reader, ...which }))

const world: fc.Arbitrary<World> = fc.record({
  grants: fc.uniqueArray(
    fc.record({
      namespace,
      name: fc.constantFrom('db', 'mail'),
      secret: fc.constantFrom('s', 't'),
      transitKey: fc.constantFrom('k', 'k', 'k', 'l'),
      readers: fc.array(readerWritten, { maxLength: 6 }),
    }),
    { minLength: 1, maxLength: 4, selector: (each) => `${each.namespace}/${each.name}` },
  ),
  keys: fc.uniqueArray(
    fc.record({
      name: fc.constantFrom('k', 'l'),
      namespaces: fc.oneof(fc.subarray(NAMESPACES), fc.constant(NAMESPACES)),
      binding: fc.constantFrom('place', 'none'),
      allowTransplant: fc.boolean(),
    }),
    { selector: (each) => each.name },
  ),
})

const identity: fc.Arbitrary<Identity> = fc.record(
  {
    namespace,
    serviceAccount: fc.constantFrom(...ACCOUNTS),
    uid: fc.constantFrom(...UIDS),
    pod: fc.constant({ name: 'p', uid: 'q' }),
  },
  { requiredKeys: ['namespace', 'serviceAccount', 'uid'] },
)

const asked = fc.record({ namespace, name: fc.constantFrom('db', 'mail', 'none') })
const selection = fc.option(keys, { nil: undefined })
const nowMs = fc.constantFrom(...TIMES.map((time) => Date.parse(time)), Date.parse('2026-01-02T12:00:00Z'))

/** Without the YAML, which has tests of its own and takes most of the time. */
function policyIn({ grants, keys }: World): Policy {
  const at = { file: 'p.yaml', position: START }
  return policyOf([
    ...keys.map(({ name, ...spec }) => {
      const key = transitKeyOf(transitKeyDocument.parse(transitKey(spec, name)))
      return { ...at, kind: 'TransitKey' as const, id: `TransitKey ${name}`, transitKey: key }
    }),
    ...grants.map(({ namespace, name, secret, ...spec }) => {
      const written = grant({ ...spec, secretRef: { name: secret, key: 'k' } }, name, namespace)
      const id = `SecretGrant ${namespace}/${name}`
      const parsed = secretGrantOf(secretGrantDocument.parse(written))
      return { ...at, kind: 'SecretGrant' as const, id, grant: parsed, transitKeyPosition: START }
    }),
  ])
}

/** What this identity may read of this grant: every key there is, or a list of them. */
function readable(written: GrantWritten, me: Identity, now: number): 'everything' | string[] {
  const mine: string[] = []
  for (const entry of written.readers) {
    if ((entry.namespace ?? written.namespace) !== me.namespace) continue
    if (entry.serviceAccount !== me.serviceAccount) continue
    if (me.serviceAccount === 'default' && entry.allowDefault !== true) continue
    if (entry.uid !== undefined && entry.uid !== me.uid) continue
    if (me.pod === undefined && entry.podBound !== false) continue
    if (entry.until !== undefined && now >= Date.parse(entry.until)) continue
    if (entry.allKeys) return 'everything'
    mine.push(...(entry.keys ?? []))
  }
  return mine
}

function condition({ grants, keys }: World, written: GrantWritten): string | undefined {
  const key = keys.find(({ name }) => name === written.transitKey)
  if (key === undefined) return 'transit-key-undefined'
  if (!key.namespaces.includes(written.namespace)) return 'namespace-not-allowed'
  const served = grants.filter((each) => each.transitKey === key.name && key.namespaces.includes(each.namespace))
  const oneSecret = served.every(({ secret }) => secret === written.secret)
  const oneNamespace = key.namespaces.every((each) => each === written.namespace)
  return key.binding === 'none' && !key.allowTransplant && !(oneSecret && oneNamespace) ? 'transplant' : undefined
}

const RUNS = { seed: 20261122, numRuns: 1000 }

describe('decide', () => {
  it('answers as the documents read', () => {
    const seen = new Set<string>()
    fc.assert(
      fc.property(world, identity, asked, selection, nowMs, (written, me, name, wanted, now) => {
        const decision = decide(policyIn(written), me, name, wanted, now)
        seen.add(Object.values(decision).find((value) => typeof value === 'string') ?? 'granted')
        const found = written.grants.find((each) => each.namespace === name.namespace && each.name === name.name)
        const mine = found === undefined ? [] : readable(found, me, now)
        const allowed = mine === 'everything' || (mine.length > 0 && (wanted ?? []).every((key) => mine.includes(key)))
        if (found === undefined || !allowed) {
          expect(decision).toHaveProperty('why')
          expect('why' in decision && decision.why === 'no-such-grant').toBe(found === undefined)
          expect('why' in decision && decision.why === 'key-not-granted').toBe(mine.length > 0)
          return
        }
        const impeded = condition(written, found)
        if (impeded !== undefined) {
          expect(decision).toEqual({ condition: impeded })
          return
        }
        expect(decision).toMatchObject({
          granted: {
            place: { namespace: found.namespace, secret: found.secret },
            keys: mine === 'everything' ? 'all' : new Set(mine),
            selection: wanted && [...new Set(wanted)].sort(),
            transitKey: { name: found.transitKey },
          },
        })
      }),
      RUNS,
    )
    // The generator reaches every answer; else the property above says little.
    expect([...seen].sort()).toEqual([
      'default-service-account',
      'granted',
      'key-not-granted',
      'namespace-not-allowed',
      'no-such-grant',
      'not-a-reader',
      'not-pod-bound',
      'other-uid',
      'reader-expired',
      'transit-key-undefined',
      'transplant',
    ])
  })

  it('never grants more once a reader, a key of one, a namespace of a Transit key or a whole grant is taken away', () => {
    fc.assert(
      fc.property(world, identity, asked, selection, nowMs, fc.nat(), (written, me, name, wanted, now, at) => {
        const after = decide(policyIn(reduced(written, at)), me, name, wanted, now)
        if (!('granted' in after)) return
        const before = decide(policyIn(written), me, name, wanted, now)
        // Fewer grants may end a transplant, which is a condition of the key and nobody's right.
        if ('condition' in before) {
          expect(before.condition).toBe('transplant')
          return
        }
        expect(before).toHaveProperty('granted')
        if (!('granted' in before) || before.granted.keys === 'all') return
        const had = before.granted.keys
        expect(after.granted.keys).not.toBe('all')
        expect([...after.granted.keys].filter((key) => !had.has(key))).toEqual([])
      }),
      RUNS,
    )
  })

  it('never grants what no live entry of the identity names', () => {
    fc.assert(
      fc.property(world, identity, asked, selection, nowMs, (written, me, name, wanted, now) => {
        const decision = decide(policyIn(written), me, name, wanted, now)
        if (!('granted' in decision) || decision.granted.keys === 'all') return
        const own = written.grants
          .filter((each) => each.namespace === name.namespace && each.name === name.name)
          .flatMap(({ readers, namespace }) =>
            readers.filter(
              (entry) => entry.serviceAccount === me.serviceAccount && (entry.namespace ?? namespace) === me.namespace,
            ),
          )
          .flatMap((entry) => entry.keys ?? [])
        for (const key of decision.granted.keys) expect(own).toContain(key)
        for (const key of decision.granted.selection ?? []) expect(decision.granted.keys.has(key)).toBe(true)
      }),
      RUNS,
    )
  })
})

/** The world without one thing. */
function reduced(written: World, at: number): World {
  const which = at % 4
  const index = Math.floor(at / 4)
  const grants = written.grants.map((each, place) => {
    if (place !== index % Math.max(1, written.grants.length)) return each
    if (which === 0) return { ...each, readers: each.readers.slice(1) }
    return which === 1
      ? {
          ...each,
          readers: each.readers.map((entry) =>
            'keys' in entry ? { ...entry, keys: (entry.keys ?? []).slice(1) } : entry,
          ),
        }
      : each
  })
  if (which === 2) return { ...written, grants: grants.slice(1) }
  return {
    grants,
    keys: which === 3 ? written.keys.map((key) => ({ ...key, namespaces: key.namespaces.slice(1) })) : written.keys,
  }
}

describe('listFor', () => {
  it('lists exactly what decide would not refuse', () => {
    fc.assert(
      fc.property(world, identity, nowMs, (written, me, now) => {
        const policy = policyIn(written)
        const listed = listFor(policy, me, now)
        const names = listed.map(({ namespace, name }) => `${namespace}/${name}`)
        expect(new Set(names).size).toBe(names.length)
        for (const { namespace, name } of written.grants) {
          const decision = decide(policy, me, { namespace, name }, undefined, now)
          expect(names.includes(`${namespace}/${name}`)).toBe(!('why' in decision))
        }
        for (const { namespace, name, keys, all } of listed) {
          expect(all).toBe('why' in decide(policy, me, { namespace, name }, ['never granted'], now) === false)
          if (keys.length > 0) expect(decide(policy, me, { namespace, name }, keys, now)).not.toHaveProperty('why')
        }
      }),
      RUNS,
    )
  })
})

describe('rotatable', () => {
  const admins = fc.array(
    fc.record(
      { namespace, serviceAccount: fc.constantFrom('api', 'web'), podBound: fc.boolean() },
      { requiredKeys: ['namespace', 'serviceAccount'] },
    ),
    { maxLength: 4 },
  )
  const written = fc.uniqueArray(fc.record({ name: fc.constantFrom('k', 'l', 'm'), admins }), {
    selector: ({ name }) => name,
  })
  const policyWith = (keys: readonly { readonly name: string; readonly admins: readonly object[] }[]) =>
    policyOf(
      keys.map(({ name, admins: listed }) => {
        const transitKey_ = transitKeyOf(transitKeyDocument.parse(transitKey({ rotation: { admins: listed } }, name)))
        const id = `TransitKey ${name}`
        return { file: 'p.yaml', position: START, kind: 'TransitKey' as const, id, transitKey: transitKey_ }
      }),
    )

  it('is exactly the keys whose documents name the identity', () => {
    fc.assert(
      fc.property(written, identity, (keys, me) => {
        const named = keys.filter(({ admins: listed }) =>
          listed.some(
            (admin) =>
              admin.namespace === me.namespace &&
              admin.serviceAccount === me.serviceAccount &&
              (me.pod !== undefined || admin.podBound === false),
          ),
        )
        expect(rotatable(policyWith(keys), me).map(({ name }) => name)).toEqual(named.map(({ name }) => name).sort())
      }),
      RUNS,
    )
  })

  it('never grows when an admin or a key is taken away, and has nothing to do with who reads', () => {
    fc.assert(
      fc.property(written, identity, (keys, me) => {
        const may = new Set(rotatable(policyWith(keys), me).map(({ name }) => name))
        const fewer = keys.slice(1).map((key) => ({ ...key, admins: key.admins.slice(1) }))
        for (const { name } of rotatable(policyWith(fewer), me)) expect(may).toContain(name)
      }),
      RUNS,
    )
    fc.assert(
      fc.property(world, identity, (read, me) => {
        expect(rotatable(policyIn(read), me)).toEqual([])
      }),
      RUNS,
    )
  })
})
