import { describe, expect, it } from 'vitest'
import { allows } from '../../../src/standins/vault/policies.ts'

const update = (path: string) => ({ path, capabilities: ['update'] as const })
const deny = (path: string) => ({ path, capabilities: ['deny'] as const })

describe('a path is', () => {
  it.each([
    ['denied without any rule', [], 'a/b', false],
    ['allowed by its own rule', [update('a/b')], 'a/b', true],
    ['denied by a rule for what lies above', [update('a')], 'a/b', false],
    ['denied by a rule for what lies below', [update('a/b/c')], 'a/b', false],
    ['allowed by a prefix', [update('a/*')], 'a/b/c', true],
    ['allowed by a prefix that ends inside a segment', [update('a/b*')], 'a/bcd', true],
    ['denied by a prefix that it does not have', [update('a/c*')], 'a/b', false],
    ['allowed by any one segment', [update('a/+/c')], 'a/b/c', true],
    ['denied where one segment stands for two', [update('a/+')], 'a/b/c', false],
    ['denied where a segment is empty', [update('a/+')], 'a/', false],
    ['denied by the longer prefix', [update('a/*'), deny('a/b*')], 'a/bc', false],
    ['allowed by the longer prefix', [deny('a/*'), update('a/b*')], 'a/bc', true],
    ['allowed by its own rule over any prefix', [deny('a/*'), deny('a/+'), update('a/b')], 'a/b', true],
    ['allowed by any segment over a prefix as long', [deny('a/*'), update('a/+')], 'a/b', true],
    ['allowed by fewer wildcards', [deny('a/+/+'), update('a/+/c')], 'a/b/c', true],
    ['denied where two policies differ on the same rule', [update('a/b'), deny('a/b')], 'a/b', false],
    ['allowed where two policies add up', [{ path: 'a', capabilities: ['read'] as const }, update('a')], 'a', true],
    ['denied by another capability', [{ path: 'a', capabilities: ['create', 'read', 'sudo'] as const }], 'a', false],
  ])('%s', (_, rules, path, expected) => {
    expect(allows(rules, path, 'update')).toBe(expected)
  })
})

describe('a request that only reads, lists or deletes', () => {
  const rule = { path: 'a', capabilities: ['read', 'list', 'delete'] as const, allowedParameters: { context: [] } }

  it.each([
    ['read', { context: 'x' }, true],
    ['read', { other: 'x' }, false],
    ['list', { other: 'x' }, true],
    ['delete', { other: 'x' }, true],
    ['header', {}, false],
  ] as const)('%s with %j', (asked, data, expected) => {
    expect(allows([rule], 'a', asked, data)).toBe(expected)
  })
})

describe('the values of a parameter', () => {
  const allowing = (...values: unknown[]) => [
    { path: 'a', capabilities: ['update'] as const, allowedParameters: { x: values } },
  ]
  const denying = (...values: unknown[]) => [
    { path: 'a', capabilities: ['update'] as const, deniedParameters: { x: values } },
  ]

  it.each<[unknown, unknown[], boolean, boolean]>([
    ['one', ['one'], true, false],
    ['one', ['two'], false, true],
    ['one', ['o*'], true, false],
    ['one', ['*e'], true, false],
    ['one', ['*n*'], true, false],
    ['one', ['*'], true, false],
    ['one,two', ['one', 'two'], true, false],
    ['one,two', ['one'], false, false],
    [['one', 'two'], ['one', 'two'], true, false],
    [['one', 'two'], ['one'], false, false],
    [null, [null], true, false],
    [1, [1], false, true],
    [true, ['true'], false, true],
  ])('%j of %j', (value, values, allowed, notDenied) => {
    expect(allows(allowing(...values), 'a', 'update', { x: value })).toBe(allowed)
    expect(allows(denying(...values), 'a', 'update', { x: value })).toBe(notDenied)
  })
})
