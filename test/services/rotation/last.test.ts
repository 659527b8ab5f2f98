import { describe, expect, test } from 'vitest'
import type { KeyReport, SecretReport } from '../../../src/contract.ts'
import { BLOCKED } from '../../../src/contract.ts'
import { formatState, parseState } from '../../../src/services/rotation/journal-state.ts'
import { countsOf, lastOf } from '../../../src/services/rotation/last.ts'

const IDEMPOTENCY = { key: 'k', request: 'r' }

function keyReport(secrets: readonly SecretReport[], over: Partial<KeyReport> = {}): KeyReport {
  return { key: 'payments', mount: 'transit', complete: true, resumed: false, from: 1, to: 2, secrets, ...over }
}

function secret(name: string, outcome: SecretReport['outcome'], code?: keyof typeof BLOCKED): SecretReport {
  return { namespace: 'payments', name, outcome, ...(code !== undefined && { code, detail: BLOCKED[code] }) }
}

function ended(...reports: readonly KeyReport[]) {
  const order = { mode: 'rotate', retire: 'never', dryRun: false, idempotency: IDEMPOTENCY } as const
  return lastOf({ id: '0a', order, finishedAtMs: 2_000, reports })
}

describe('lastOf', () => {
  test('of no key tells of none: nothing began', () => {
    expect(ended()).toEqual({ id: '0a', finishedAtMs: 2_000, keys: [], failures: [], idempotency: IDEMPOTENCY })
  })

  test('counts the Secrets of each key, and remembers those that are not where they should be', () => {
    const first = keyReport([secret('a', 'rewrapped'), secret('b', 'current'), secret('c', 'left')], {
      complete: false,
    })
    const second = keyReport([secret('d', 'blocked', 'FOREIGN')], { key: 'billing', complete: false })
    const third = keyReport([], { key: 'ledger' })
    expect(ended(first, second, third)).toMatchObject({
      keys: [
        { key: 'payments', complete: false, rewrapped: 1, current: 1, blocked: 0, left: 1 },
        { key: 'billing', complete: false, rewrapped: 0, current: 0, blocked: 1, left: 0 },
        { key: 'ledger', complete: true, rewrapped: 0, current: 0, blocked: 0, left: 0 },
      ],
      failures: [
        { key: 'payments', namespace: 'payments', name: 'c', outcome: 'left', code: undefined },
        { key: 'billing', namespace: 'payments', name: 'd', outcome: 'blocked', code: 'FOREIGN' },
      ],
    })
  })

  test('is one entry for a key that had two turns: complete if both were, its Secrets as the second left them', () => {
    const resumed = keyReport([secret('a', 'rewrapped'), secret('b', 'rewrapped')])
    const asked = keyReport([secret('a', 'rewrapped'), secret('b', 'blocked', 'CONTENDED')], { complete: false })
    expect(ended(resumed, asked)).toMatchObject({
      keys: [{ key: 'payments', complete: false, ended: true, rewrapped: 1, blocked: 1 }],
      failures: [{ name: 'b' }],
    })
    expect(ended(asked, resumed)).toMatchObject({ keys: [{ complete: false, rewrapped: 2 }], failures: [] })
    const failure = { code: 'VAULT_UNAVAILABLE', detail: 'gone' } as const
    expect(ended(keyReport([], { failure }), resumed).keys).toMatchObject([{ ended: false }])
  })

  test('remembers 50 of them', () => {
    const last = ended(keyReport(Array.from({ length: 60 }, (_, index) => secret(`s${index}`, 'left'))))
    expect(last).toMatchObject({ keys: [{ left: 60 }], failures: { length: 50 } })
    expect(last.failures.at(-1)?.name).toBe('s49')
  })

  test('of thousands of keys can be read again', () => {
    const last = ended(...Array.from({ length: 1_700 }, (_, index) => keyReport([], { key: `k${index}` })))
    expect(parseState(formatState({ intents: [], last, known: [] }, 0))?.last?.keys).toHaveLength(1_700)
  })

  test('is what the Lease gives back', () => {
    const last = ended(keyReport([secret('b', 'blocked', 'FOREIGN'), secret('c', 'left')], { complete: false }))
    expect(parseState(formatState({ intents: [], last, known: [] }, 0))?.last).toEqual(last)
  })
})

test('countsOf adds up over all keys', () => {
  const first = keyReport([secret('a', 'rewrapped'), secret('b', 'left')])
  expect(countsOf([first, keyReport([secret('c', 'rewrapped')], { key: 'billing' })])).toEqual({
    rewrapped: 2,
    current: 0,
    blocked: 0,
    left: 1,
  })
})
