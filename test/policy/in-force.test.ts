import { describe, expect, it } from 'vitest'
import { policyOf } from '../../src/policy/in-force.ts'
import { documentsOf, grant, parsePolicy, policyFrom, reader, text, transitKey } from './documents.ts'

describe('the hash of a policy', () => {
  it('is a SHA-256', () => {
    expect(policyOf([]).hash).toMatch(/^sha256:[0-9a-f]{64}$/)
    expect(policyOf([]).hash).toBe('sha256:c59a654d2e7675475c68417a1911e5d91e274e95d7c68d647f82240ad132af65')
  })

  it('says what is in force, not how it is written or spread over files', () => {
    const one = parsePolicy([{ path: 'a.yaml', text: text(transitKey(), grant()) }])
    const other = parsePolicy([
      { path: 'z.json', text: JSON.stringify(grant({ format: 'json' }), null, 2) },
      { path: 'b.yml', text: `# the key\n${text(transitKey({ mount: 'transit', binding: 'place' }))}` },
    ])
    expect(other.policy.hash).toBe(one.policy.hash)
  })

  it.each([
    ['a reader', grant({ readers: [] })],
    ['a key of a reader', grant({ readers: [reader({ keys: ['A'] })] })],
    ['an opt-in', grant({ readers: [reader({ podBound: false })] })],
    ['a time', grant({ readers: [reader({ until: '2026-12-31T00:00:00Z' })] })],
    ['a reason', grant({ readers: [reader({ reason: 'why' })] })],
    ['the Secret', grant({ secretRef: { name: 'other', key: 'secrets.json' } })],
    ['the data key', grant({ secretRef: { name: 'payments-db', key: 'other' } })],
    ['the name', grant({}, 'other')],
  ])('changes with %s', (_, changed) => {
    expect(policyFrom(transitKey(), changed).hash).not.toBe(policyFrom(transitKey(), grant()).hash)
  })

  it('changes with the Transit key, and when a document goes', () => {
    const hash = policyFrom(transitKey(), grant()).hash
    expect(policyFrom(transitKey({ exclusive: true }), grant()).hash).not.toBe(hash)
    expect(policyFrom(transitKey()).hash).not.toBe(hash)
  })

  it('does not depend on the order of documents', () => {
    const documents = documentsOf(transitKey(), grant(), grant({}, 'b'), transitKey({}, 'a'))
    expect(policyOf([...documents].reverse()).hash).toBe(policyOf(documents).hash)
  })
})
