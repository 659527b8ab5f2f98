import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { SecretUnder } from '../../src/policy/secrets-under.ts'
import { keysWithSecrets, secretsUnder } from '../../src/policy/secrets-under.ts'
import { grant, policyFrom, reader, transitKey } from './documents.ts'

/** Under the key `payments`, which admits `payments` and `billing`. */
function under(...documents: readonly unknown[]): readonly SecretUnder[] {
  const policy = policyFrom(
    transitKey({ namespaces: ['payments', 'billing'] }),
    transitKey({ namespaces: ['payments', 'bi'] }, 'other'),
    ...documents,
  )
  const key = policy.transitKeys.get('payments')
  if (key === undefined) throw new Error('no such key')
  return secretsUnder(policy, key)
}

function named(secret: string, dataKey: string, name: string, namespace = 'payments', key = 'payments') {
  return grant({ secretRef: { name: secret, key: dataKey }, transitKey: key }, name, namespace)
}

function files(secret: string, name: string, key = 'payments') {
  const readers = [reader({ allKeys: true })]
  return grant({ format: 'files', secretRef: { name: secret }, transitKey: key, readers }, name)
}

describe('the Secrets under a Transit key', () => {
  it('are none where no grant names it', () => {
    expect(under()).toEqual([])
    expect(under(named('db', 'a.json', 'db', 'payments', 'other'))).toEqual([])
  })

  it('are none of a namespace that the key does not admit: else its teams could hold up the rotation', () => {
    expect(under(named('db', 'a.json', 'db', 'bi'))).toEqual([])
  })

  it('are sorted, and each of them once, with all data keys that grants name', () => {
    expect(
      under(
        named('db', 'b.json', 'two'),
        named('db', 'a.json', 'one'),
        named('db', 'a.json', 'again'),
        named('db', 'a.json', 'db', 'billing'),
        named('cache', 'c.json', 'cache'),
      ),
    ).toEqual([
      { namespace: 'billing', secret: 'db', dataKeys: ['a.json'], others: new Set() },
      { namespace: 'payments', secret: 'cache', dataKeys: ['c.json'], others: new Set() },
      { namespace: 'payments', secret: 'db', dataKeys: ['a.json', 'b.json'], others: new Set() },
    ])
  })

  it('are taken with every data key where a grant is of files, but for those of another key', () => {
    expect(
      under(
        files('tls', 'tls'),
        named('tls', 'extra.json', 'x'),
        named('tls', 'theirs.json', 'y', 'payments', 'other'),
      ),
    ).toEqual([{ namespace: 'payments', secret: 'tls', dataKeys: 'all', others: new Set(['theirs.json']) }])
  })

  it('keep the data key that both keys are said to have made: Vault finds out which did', () => {
    expect(under(files('tls', 'tls'), named('tls', 'a', 'a'), named('tls', 'a', 'b', 'payments', 'other'))).toEqual([
      { namespace: 'payments', secret: 'tls', dataKeys: 'all', others: new Set() },
    ])
  })

  it('hold back no data key for a grant of files of another key, which names none', () => {
    expect(under(files('tls', 'tls'), files('tls', 'theirs', 'other'))).toEqual([
      { namespace: 'payments', secret: 'tls', dataKeys: 'all', others: new Set() },
    ])
  })

  it('are exactly those that its grants name, whatever else there is', () => {
    const written = fc.uniqueArray(
      fc.record({
        name: fc.constantFrom('a', 'b', 'c', 'd'),
        namespace: fc.constantFrom('payments', 'billing', 'bi'),
        secret: fc.constantFrom('s', 't'),
        key: fc.constantFrom('payments', 'other'),
      }),
      { selector: ({ namespace, name }) => `${namespace}/${name}` },
    )
    fc.assert(
      fc.property(written, (grants) => {
        const found = under(...grants.map((one) => named(one.secret, 'k', one.name, one.namespace, one.key)))
        const own = grants.filter(({ key, namespace }) => key === 'payments' && namespace !== 'bi')
        expect(found.map(({ namespace, secret }) => `${namespace}/${secret}`)).toEqual(
          [...new Set(own.map(({ namespace, secret }) => `${namespace}/${secret}`))].sort(),
        )
      }),
    )
  })
})

describe('the Transit keys of a policy', () => {
  const policy = policyFrom(transitKey(), transitKey({}, 'other'), named('db', 'a.json', 'db'))
  const [payments, other] = ['payments', 'other'].map((name) => policy.transitKeys.get(name))

  it('are all there, each with its own Secrets', () => {
    expect(keysWithSecrets(policy).map(({ transitKey: key, secrets }) => [key, secrets.length])).toEqual([
      [payments, 1],
      [other, 0],
    ])
  })

  it('are those alone that are asked for', () => {
    expect(keysWithSecrets(policy, []).length).toBe(0)
    expect(keysWithSecrets(policy, other && [other])).toEqual([{ transitKey: other, secrets: [] }])
  })
})
