import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { transitContext } from '../../src/services/place.ts'

const place = { namespace: 'payments', secret: 'payments-db' }

describe('transitContext', () => {
  test.each([
    ['a realm', 'a/b', place, 'k'],
    ['a namespace', 'prod', { ...place, namespace: 'a/b' }, 'k'],
    ['a Secret', 'prod', { ...place, secret: 'a/b' }, 'k'],
    ['a data key', 'prod', place, 'a/b'],
    ['an empty realm', '', place, 'k'],
    ['an empty data key', 'prod', place, ''],
  ])('refuses %s that would make two places share a context', (_, realm, where, dataKey) => {
    expect(() => transitContext(realm, where, dataKey)).toThrow('this place would share its context')
  })

  test('is the base64 of realm, namespace, Secret and data key', () => {
    const context = transitContext('prod', place, 'secrets.json')
    expect(Buffer.from(context, 'base64').toString()).toBe('keyhole/1/prod/payments/payments-db/secrets.json')
  })

  test('differs between any two places', () => {
    const name = fc.stringMatching(/^[a-z0-9._-]{1,4}$/)
    const parts = fc.tuple(name, name, name, name)
    const contextOf = ([realm, namespace, secret, dataKey]: [string, string, string, string]) =>
      transitContext(realm, { namespace, secret }, dataKey)
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        expect(contextOf(a) === contextOf(b)).toBe(a.every((part, index) => part === b[index]))
      }),
      { seed: 3 },
    )
  })
})
