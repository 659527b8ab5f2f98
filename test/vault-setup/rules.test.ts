/** What rules give at a path, against the stand-in, which a conformance suite holds to the real Vault. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allows } from '../../src/standins/vault/policies.ts'
import type { Rule } from '../../src/vault-setup/rules.ts'
import { capabilitiesAt, isSameRule, mayFitBelow, pathsOf, ruleOf, ruleText } from '../../src/vault-setup/rules.ts'

const DECRYPT = 'transit/decrypt/payments'

/** One rule a line: `PATH CAPABILITY...`. */
const rules = (...lines: readonly string[]): readonly Rule[] =>
  lines.map((line) => {
    const [path = '', ...capabilities] = line.split(' ')
    return ruleOf(path, capabilities)
  })

describe('a path is given', () => {
  it.each([
    ['what the exact path says', ['transit/decrypt/payments update'], 'update'],
    ['what a prefix says', ['transit/* update'], 'update'],
    ['what a prefix within a segment says', ['transit/decrypt/pay* update'], 'update'],
    ['what a prefix that is all of it says', ['transit/decrypt/payments* update'], 'update'],
    ['what any segment says', ['transit/+/payments update'], 'update'],
    ['what any segments and a prefix say', ['+/decrypt/+ update'], 'update'],
    ['what everything says', ['* create read sudo'], 'create,read,sudo'],
    ['what the same path says twice, added up', [`${DECRYPT} read`, `${DECRYPT} update`], 'read,update'],
    ['what the same pattern says twice, added up', ['transit/* read', 'transit/* update'], 'read,update'],
  ])('%s', (_what, lines, given) => {
    expect(capabilitiesAt(rules(...lines), DECRYPT).join()).toBe(given)
  })

  it.each([
    ['no rule fits', ['transit/decrypt/bi update', 'transit/encrypt/payments update']],
    ['the path goes on', ['transit/decrypt update', 'transit/decrypt/ update']],
    ['the path ended before', ['transit/decrypt/payments/x update', 'transit/decrypt/payments/* update']],
    [
      'there are not as many segments',
      ['transit/+ update', 'transit/+/payments/+ update', 'transit/+/payments/* update'],
    ],
    ['the case is another', ['Transit/decrypt/payments update']],
    ['a slash is left before it', ['/transit/decrypt/payments update']],
    ['a star is not at the end', ['*/decrypt/payments update', 'transit/*/payments update']],
    ['a plus is not a whole segment', ['transit/decrypt/+payments update', 'transit/decrypt/payment+ update']],
    ['the exact path denies', [`${DECRYPT} deny`, 'transit/* update']],
    ['the exact path gives nothing', [DECRYPT, 'transit/* update']],
    ['one of the same path denies', [`${DECRYPT} update`, `${DECRYPT} deny`]],
    ['the longer prefix gives nothing', ['transit/decrypt/*', 'transit/* update']],
    ['the later wildcard gives nothing', ['transit/decrypt/+', 'transit/+/payments update']],
    ['what does not end with a star gives nothing', ['transit/+/payments', 'transit/+/* update']],
    ['what has fewer of any segment gives nothing', ['transit/+/payments', 'transit/+/+ update']],
    ['the longer prefix behind a plus gives nothing', ['transit/+/paym*', 'transit/+/pay* update']],
    ['the longer one gives nothing', ['+/+/payments', '+/decrypt/+ update']],
  ])('nothing where %s', (_what, lines) => {
    expect(capabilitiesAt(rules(...lines), DECRYPT)).toEqual([])
    expect(capabilitiesAt(rules(...lines).toReversed(), DECRYPT)).toEqual([])
  })
})

it('of two as long as each other the later in the alphabet decides', () => {
  expect(capabilitiesAt(rules('+/bb/+ update', '+/+/cc read'), 'a/bb/cc')).toEqual(['update'])
  expect(capabilitiesAt(rules('+/+/cc read', '+/bb/+ update'), 'a/bb/cc')).toEqual(['update'])
})

describe('what Vault fills in per caller', () => {
  it.each([
    ['a name', 'transit/decrypt/{{identity.entity.name}}'],
    ['a name with something behind it', 'transit/decrypt/{{identity.entity.metadata.team}}ments'],
    ['a name that brings slashes', 'transit/{{identity.entity.metadata.path}}'],
    ['a name that brings all of it', '{{identity.entity.metadata.path}}'],
    ['a name that brings a pattern', 'transit/{{identity.entity.metadata.any}}/payments'],
    ['two names', '{{identity.entity.name}}/decrypt/{{identity.groups.names.a.id}}'],
    ['a name before a prefix', '{{identity.entity.name}}/decrypt/*'],
    ['a name behind any segment', '+/decrypt/{{identity.entity.name}}'],
    ['a name before any segment', '{{identity.entity.name}}/decrypt/+'],
    ['a name that makes a segment any', 'transit/{{identity.entity.metadata.slash}}+'],
  ])('may be %s: %s', (_what, path) => {
    expect(capabilitiesAt([ruleOf(path, ['update'])], DECRYPT)).toEqual(['update'])
  })

  it.each([
    'secret/{{identity.entity.name}}',
    'transit/encrypt/{{identity.entity.name}}',
    '{{identity.entity.name}}/bi',
    '{{identity.entity.name}}/encrypt/*',
    'transit/decrypt/{{identity.entity.name}}/more',
  ])('cannot be what stands beside it: %s', (path) => {
    expect(capabilitiesAt([ruleOf(path, ['update'])], DECRYPT)).toEqual([])
  })

  it('denies nobody for sure', () => {
    const denied = rules('transit/decrypt/{{identity.entity.name}} deny', 'transit/* update')
    expect(capabilitiesAt(denied, DECRYPT)).toEqual(['update'])
  })

  it('gives beside what the rules give that are as they are', () => {
    const both = rules('transit/decrypt/{{identity.entity.name}} update', 'transit/* read')
    expect(capabilitiesAt(both, DECRYPT)).toEqual(['read', 'update'])
  })
})

// Few, so that they meet; the stand-in takes no empty segment for any.
const segment = fc.constantFrom('a', 'b', 'ab', '+', 'a+')
const pattern = fc
  .tuple(fc.array(segment, { minLength: 1, maxLength: 4 }), fc.constantFrom('', '', '*', '/*'))
  .map(([segments, end]) => `${segments.join('/')}${end}`)
  // Vault refuses the policy.
  .filter((path) => !path.includes('+*'))
const anyRules = fc.array(
  fc.record({
    path: pattern,
    capabilities: fc.subarray(['read', 'update', 'create', 'deny'] as const, { maxLength: 2 }),
  }),
  { maxLength: 6 },
)
const anyPath = fc
  .array(fc.constantFrom('a', 'b', 'ab', 'aba'), { minLength: 1, maxLength: 4 })
  .map((all) => all.join('/'))

describe('whatever the rules', () => {
  it('the stand-in gives the same at any path', () => {
    let given = 0
    fc.assert(
      fc.property(anyRules, anyPath, (written, path) => {
        // Of two that are alike in all else the later in the alphabet decides; the stand-in takes the first that it is given.
        const alphabetical = written.toSorted((a, b) => Number(a.path < b.path) - Number(a.path > b.path))
        const expected = (['create', 'read', 'update'] as const).filter((one) => allows(alphabetical, path, one))
        given += expected.length
        const ours = written.map(({ path: own, capabilities }) => ruleOf(own, capabilities))
        expect(capabilitiesAt(ours, path)).toEqual(expected)
      }),
      { numRuns: 20_000 },
    )
    expect(given).toBeGreaterThan(1000)
  })

  it('one that fits a path may fit below whatever the path begins with', () => {
    fc.assert(
      fc.property(pattern, anyPath, fc.nat(), (own, path, length) => {
        if (capabilitiesAt([ruleOf(own, ['read'])], path).length === 0) return
        expect(mayFitBelow(own, path.slice(0, length % (path.length + 1)))).toBe(true)
      }),
      { numRuns: 5000 },
    )
  })

  it('what they give on any path of a pattern they give on one that stands for it', () => {
    const asked = fc.array(fc.constantFrom('a', 'b', '+'), { minLength: 1, maxLength: 4 }).map((all) => all.join('/'))
    fc.assert(
      fc.property(anyRules, asked, anyPath, (written, any, path) => {
        const segments = path.split('/')
        const one = any.split('/').map((own, at) => (own === '+' ? (segments[at] ?? 'ab') : own))
        const ours = written.map(({ path: own, capabilities }) => ruleOf(own, capabilities))
        const standing = pathsOf(any, ours).flatMap((each) => capabilitiesAt(ours, each))
        expect(standing).toEqual(expect.arrayContaining([...capabilitiesAt(ours, one.join('/'))]))
      }),
      { numRuns: 20_000 },
    )
  })
})

describe('paths that a pattern stands for', () => {
  it('are the pattern itself where no segment is any', () => {
    expect(pathsOf('sys/remount', rules('* sudo'))).toEqual(['sys/remount'])
  })

  it('are none where no rule is about any of them', () => {
    expect(pathsOf('auth/+/role/+', rules('secret/* read', 'sys/policies/acl/a update'))).toEqual([])
  })

  it('are those that rules name, and one that none names', () => {
    const some = rules(
      'auth/k/role/a update',
      'auth/+/role/b* update',
      'auth/k/* read',
      'auth/{{identity.entity.name}} read',
    )
    expect(pathsOf('auth/+/role/+', some)).toEqual([
      'auth/k/role/a',
      'auth/~/role/b~',
      'auth/k/role/~',
      'auth/~/role/~',
    ])
  })
})

describe('two rules', () => {
  const config = ruleOf('transit/keys/payments/config', ['update'], { a: [], b: ['x', 1] })

  it('are the same in whatever order their parameters stand', () => {
    expect(isSameRule(config, ruleOf(config.path, ['update'], { b: ['x', 1], a: [] }))).toBe(true)
  })

  it.each<[string, Partial<Rule>]>([
    ['path', { path: 'transit/keys/payments/config*' }],
    ['capability', { capabilities: ['create', 'update'] }],
    ['no capability', { capabilities: [] }],
    ['parameter more', { allowedParameters: { a: [], b: ['x', 1], exportable: [] } }],
    ['parameter less', { allowedParameters: { a: [] } }],
    ['parameter for all', { allowedParameters: { a: [], b: ['x', 1], '*': [] } }],
    ['no parameter, which is any', { allowedParameters: {} }],
    ['value', { allowedParameters: { a: [], b: ['x', 2] } }],
    ['any value for one', { allowedParameters: { a: [], b: [] } }],
    ['text for a number', { allowedParameters: { a: [], b: ['x', '1'] } }],
    ['condition', { conditions: ['required_parameters'] }],
  ])('are not the same with another %s', (_what, change) => {
    expect(isSameRule(config, { ...config, ...change })).toBe(false)
    expect(isSameRule({ ...config, ...change }, config)).toBe(false)
  })

  it('are not the same where only one names parameters', () => {
    expect(isSameRule(ruleOf('a', ['read']), ruleOf('a', ['read'], {}))).toBe(false)
  })
})

describe('a rule in a sentence', () => {
  it.each<[string, Rule]>([
    ['update on a/b', ruleOf('a/b', ['update'])],
    ['create and update on a/*', ruleOf('a/*', ['create', 'update'])],
    ['nothing on a', ruleOf('a', [])],
    ['update on a for b, c alone', ruleOf('a', ['update'], { b: [], c: [] })],
    ['update on a', ruleOf('a', ['update'], {})],
    ['update on a', ruleOf('a', ['update'], { b: ['x'], '*': [] })],
    ['update on a for b alone, with x and y', { ...ruleOf('a', ['update'], { b: [] }), conditions: ['x', 'y'] }],
  ])('is %j', (text, rule) => {
    expect(ruleText(rule)).toBe(text)
  })
})
