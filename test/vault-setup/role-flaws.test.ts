/** Roles of the Kubernetes auth method, as Vault tells of them: what is wrong with each, and whose it is. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Fields } from '../../src/vault-setup/port.ts'
import type { RoleFlaws } from '../../src/vault-setup/role-flaws.ts'
import { roleFlaws } from '../../src/vault-setup/role-flaws.ts'
import type { WantedRole } from '../../src/vault-setup/wanted.ts'

const WANTED: WantedRole = {
  name: 'keyhole',
  does: 'reads',
  account: { namespace: 'apps', name: 'broker' },
  audience: 'vault',
  rules: [],
}

/** As Vault 1.21 tells of a role that is as it should be. */
const GOOD: Fields = {
  alias_name_source: 'serviceaccount_uid',
  audience: 'vault',
  bound_service_account_names: ['broker'],
  bound_service_account_namespace_selector: '',
  bound_service_account_namespaces: ['apps'],
  token_bound_cidrs: [],
  token_explicit_max_ttl: 0,
  token_max_ttl: 0,
  token_no_default_policy: true,
  token_num_uses: 0,
  token_period: 0,
  token_policies: ['keyhole'],
  token_ttl: 10,
  token_type: 'batch',
}

const NAMES = 'bound_service_account_names'
const NAMESPACES = 'bound_service_account_namespaces'

const flawsOf = (change: Fields, isPolicyOurs = true) => roleFlaws(WANTED, { ...GOOD, ...change }, isPolicyOurs)

function found(change: Fields): RoleFlaws {
  const flaws = flawsOf(change)
  if (flaws === 'not-ours') throw new Error('it is not ours')
  return flaws
}

describe('a role has no flaw', () => {
  it.each<[string, Fields]>([
    ['as it is written', {}],
    ['with a shorter life', { token_ttl: 1 }],
    ['without a word of a selector', { bound_service_account_namespace_selector: undefined }],
    ['with its names twice', { [NAMES]: ['broker', 'broker'], [NAMESPACES]: ['apps', 'apps'] }],
    ['from some addresses alone', { token_bound_cidrs: ['10.0.0.0/8'] }],
    ['with a longest life of its own', { token_max_ttl: 60, token_explicit_max_ttl: 60 }],
    ['with another name of its entity', { alias_name_source: 'serviceaccount_name' }],
  ])('%s', (_what, change) => {
    expect(found(change)).toEqual({ wide: [], lacks: [], unset: [] })
  })
})

describe('a role is too wide that', () => {
  it.each<[string, Fields]>([
    ['takes tokens of any audience', { audience: '' }],
    ['takes tokens of any audience', { audience: undefined }],
    ['takes tokens of any audience', { audience: ['vault'] }],
    ['lets in the ServiceAccounts *', { [NAMES]: ['*'] }],
    ['lets in the ServiceAccounts br*er', { [NAMES]: ['br*er'] }],
    ['lets in the namespaces *', { [NAMESPACES]: ['*'] }],
    ['lets in the namespaces a*', { [NAMESPACES]: ['a*'] }],
    ['lets in namespaces by their labels', { bound_service_account_namespace_selector: '{"matchLabels":{"a":"b"}}' }],
    ['lets in namespaces by their labels', { bound_service_account_namespace_selector: { matchLabels: {} } }],
    ['gives the policies admin as well', { token_policies: ['admin', 'keyhole'] }],
    ['gives the policies keyhole-rotate as well', { token_policies: ['keyhole', 'keyhole-rotate'] }],
    ['gives the policies default as well', { token_policies: ['default', 'keyhole'] }],
    ['gives the policy default as well', { token_no_default_policy: false }],
    ['gives the policy default as well', { token_no_default_policy: undefined }],
    ['gives the policy default as well', { token_no_default_policy: 'true' }],
    ['gives tokens of type service', { token_type: 'service' }],
    ['gives tokens of type default', { token_type: 'default' }],
    ['gives tokens of type default-service', { token_type: 'default-service' }],
    ['gives tokens of 11 s', { token_ttl: 11 }],
    ['gives tokens of 3600 s', { token_ttl: 3600 }],
    ['gives tokens of -1 s', { token_ttl: -1 }],
    ['gives tokens of 0.5 s', { token_ttl: 0.5 }],
    ['gives tokens that live as long as Vault lets any', { token_ttl: 0 }],
    ['gives tokens that live as long as Vault lets any', { token_ttl: undefined }],
    ['gives tokens that live as long as Vault lets any', { token_ttl: '10' }],
  ])('%s: %j', (flaw, change) => {
    expect(found(change)).toEqual({ wide: [flaw], lacks: [], unset: [] })
  })

  it('has a long list, of which few are told', () => {
    const names = ['broker', 'b*', 'c*', 'd*', 'e*']
    expect(found({ [NAMES]: names }).wide).toEqual(['lets in the ServiceAccounts broker, b*, c*, d*, e*'])
    expect(found({ [NAMES]: [...names, 'f*'] }).wide).toEqual([
      'lets in the ServiceAccounts broker, b*, c*, d*, e* and 1 more',
    ])
    const many = Array.from({ length: 100_000 }, (_, at) => `sa-${at}`)
    expect(found({ token_policies: ['keyhole', ...many] }).wide).toEqual([
      'gives the policies sa-0, sa-1, sa-2, sa-3, sa-4 and 99995 more as well',
    ])
  })

  it('has several flaws, which are all told', () => {
    const flaws = found({ audience: '', [NAMESPACES]: ['*'], token_type: 'service', token_ttl: 0 })
    expect(flaws.wide).toHaveLength(4)
  })
})

describe('a role gives too little that', () => {
  it.each<[string, Fields]>([
    ['asks for the audience other, and not vault', { audience: 'other' }],
    ['asks for the audience Vault, and not vault', { audience: 'Vault' }],
    ['asks for the audience vault , and not vault', { audience: 'vault ' }],
  ])('%s', (flaw, change) => {
    expect(found(change)).toEqual({ wide: [], lacks: [flaw], unset: [] })
  })

  it('does not give our policy, and lets nobody else in', () => {
    expect(found({ token_policies: [] })).toEqual({
      wide: [],
      lacks: ['does not give the policy keyhole'],
      unset: [],
    })
    expect(found({ token_policies: ['Keyhole'] })).toMatchObject({ lacks: ['does not give the policy keyhole'] })
    expect(found({ token_policies: 'keyhole' })).toMatchObject({ lacks: ['does not give the policy keyhole'] })
  })

  it.each(['token_period', 'token_num_uses'])('has %s, with which Vault makes no batch tokens', (field) => {
    expect(found({ [field]: 60 })).toEqual({
      wide: [],
      lacks: [`has ${field}, which batch tokens cannot have`],
      unset: [field],
    })
  })

  it('has a longest life below ours, with which Vault takes no other life: it is to be set to none with the rest', () => {
    expect(found({ token_max_ttl: 5, token_ttl: 5 })).toEqual({ wide: [], lacks: [], unset: ['token_max_ttl'] })
    expect(found({ token_max_ttl: 9, token_period: 60 }).unset).toEqual(['token_period', 'token_max_ttl'])
    expect(found({ token_max_ttl: 10 }).unset).toEqual([])
  })
})

describe('a role is not ours that', () => {
  it.each<[string, Fields]>([
    ['lets in another ServiceAccount', { [NAMES]: ['other'] }],
    ['lets in another namespace', { [NAMESPACES]: ['other'] }],
    ['lets in one of another case', { [NAMES]: ['Broker'] }],
    ['lets in nobody', { [NAMES]: [], [NAMESPACES]: [] }],
    ['says nothing of whom it lets in', { [NAMES]: undefined }],
    ['says it in another way', { [NAMES]: 'broker' }],
    ['says it in numbers', { [NAMES]: [1] }],
    ['lets namespaces in by their labels alone', { [NAMESPACES]: [], bound_service_account_namespace_selector: '{}' }],
    ['has a pattern that begins otherwise', { [NAMES]: ['a*'] }],
    ['has a pattern that ends otherwise', { [NAMES]: ['*s'] }],
    ['has a pattern with something else within', { [NAMES]: ['b*x*r'] }],
    ['has a pattern of which two parts are one', { [NAMES]: ['broke*ker'] }],
    ['has a pattern that would need more', { [NAMES]: ['broker*r'] }],
    ['has an expression', { [NAMES]: ['.*', 'broke[r]', 'broker|x'] }],
  ])('%s', (_what, change) => {
    expect(flawsOf(change)).toBe('not-ours')
  })

  it.each<[string, Fields]>([
    ['other ServiceAccounts', { [NAMES]: ['broker', 'other'] }],
    ['all ServiceAccounts', { [NAMES]: ['*'] }],
    ['other namespaces', { [NAMESPACES]: ['apps', 'bi'] }],
    ['namespaces by their labels', { bound_service_account_namespace_selector: '{}' }],
  ])(
    'lets in %s too and gives another policy, or one that does not say it is ours: it was made for them',
    (_what, change) => {
      expect(flawsOf({ ...change, token_policies: ['theirs'] })).toBe('not-ours')
      expect(flawsOf({ ...change, token_policies: [] })).toBe('not-ours')
      expect(flawsOf(change, false)).toBe('not-ours')
    },
  )
})

describe('a role is not ours, whatever its policy says, that names', () => {
  it.each<[string, Fields]>([
    ['another ServiceAccount', { [NAMES]: ['broker', 'other'] }],
    ['another in the same letters', { [NAMES]: ['broker', 'Broker'] }],
    ['another namespace', { [NAMESPACES]: ['apps', 'bi'] }],
    ['another beside a pattern', { [NAMES]: ['*', 'other'] }],
  ])('%s', (_what, change) => {
    expect(flawsOf(change)).toBe('not-ours')
  })
})

describe('a pattern lets in', () => {
  it.each(['*', '**', 'b*', '*r', 'b*r', '*oke*', 'broker*', '*broker', 'b*o*e*', '*b*r*o*k*e*r*'])(
    'broker: %s',
    (pattern) => {
      expect(flawsOf({ [NAMES]: [pattern] })).not.toBe('not-ours')
      expect(flawsOf({ [NAMES]: ['broker', pattern] })).not.toBe('not-ours')
    },
  )

  it('what it lets in by an expression, whatever it is', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', '*'), maxLength: 8 })
    const word = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(letters, word, (pattern, name) => {
        const role = { ...WANTED, account: { namespace: 'apps', name } }
        const lets = new RegExp(`^${pattern.replaceAll('*', '.*')}$`).test(name)
        expect(roleFlaws(role, { ...GOOD, [NAMES]: [pattern] }, true) !== 'not-ours').toBe(lets)
      }),
      { numRuns: 5000 },
    )
  })

  it('nobody and is soon done with, however many stars it has', () => {
    const role = { ...WANTED, account: { namespace: 'apps', name: 'a'.repeat(253) } }
    for (const pattern of [`${'*'.repeat(100_000)}x`, `${'*a'.repeat(200)}x`]) {
      expect(roleFlaws(role, { ...GOOD, [NAMES]: [pattern] }, true)).toBe('not-ours')
    }
  })
})

describe('whatever Vault says', () => {
  // An object that cannot become a text is one that a peer can send.
  const unprintable = { toString: 1, valueOf: 1 }
  const value = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constant(unprintable), fc.constant([unprintable]))

  it('of a role, it is told of and nothing is thrown', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...Object.keys(GOOD)),
        fc.constantFrom(...Object.keys(GOOD)),
        value,
        (one, other, said) => {
          const flaws = flawsOf({ [one]: said, [other]: said })
          if (flaws !== 'not-ours')
            expect([...flaws.wide, ...flaws.lacks].every((flaw) => typeof flaw === 'string')).toBe(true)
        },
      ),
      { numRuns: 3000 },
    )
  })
})
