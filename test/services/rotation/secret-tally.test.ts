import { describe, expect, test } from 'vitest'
import { BLOCKED } from '../../../src/contract.ts'
import type { SecretUnder } from '../../../src/policy/secrets-under.ts'
import { secretTally } from '../../../src/services/rotation/secret-tally.ts'

function secretOf(secret: string): SecretUnder {
  return { namespace: 'payments', secret, dataKeys: ['secrets.json'], others: new Set() }
}

const [a, b] = [secretOf('a'), secretOf('b')]

describe('a tally', () => {
  test('of which nothing was said leaves everything to do', () => {
    const tally = secretTally([a, b])
    expect(tally.counts()).toEqual({ rewrapped: 0, current: 0, blocked: 0, left: 2 })
    expect(tally.newest()).toBe(0)
    expect(tally.reports()).toEqual([
      { namespace: 'payments', name: 'a', outcome: 'left' },
      { namespace: 'payments', name: 'b', outcome: 'left' },
    ])
  })

  test('a Secret that was moved and is found in its place was moved', () => {
    const tally = secretTally([a, b])
    tally.rewrapped(a, 'Flux')
    tally.current(a, 'Flux')
    tally.current(b, undefined)
    expect(tally.reports()).toEqual([
      { namespace: 'payments', name: 'a', outcome: 'rewrapped', gitops: 'Flux' },
      { namespace: 'payments', name: 'b', outcome: 'current' },
    ])
    expect(tally.gitops()).toBe(1)
  })

  test('knows the newest version that was found', () => {
    const tally = secretTally([a, b])
    tally.found(3)
    tally.found(2)
    expect(tally.newest()).toBe(3)
  })

  test('a Secret that a GitOps tool takes on after it was moved is one that it writes', () => {
    const tally = secretTally([a, b])
    tally.rewrapped(a, undefined)
    tally.current(a, 'Argo CD')
    expect(tally.reports()[0]).toMatchObject({ outcome: 'rewrapped', gitops: 'Argo CD' })
    tally.current(a, undefined)
    expect(tally.gitops()).toBe(1)
  })

  test('a Secret that is blocked is told with what to do about it', () => {
    const tally = secretTally([a, b])
    tally.blocked({ secret: a, blocked: 'IMMUTABLE', gitops: undefined })
    expect([tally.isBlocked(a), tally.isBlocked(b)]).toEqual([true, false])
    expect(tally.reports()[0]).toMatchObject({ outcome: 'blocked', code: 'IMMUTABLE', detail: BLOCKED.IMMUTABLE })
  })

  test('a Secret that somebody keeps writing is told with the tool that was seen on it', () => {
    const tally = secretTally([a, b])
    tally.rewrapped(a, 'Argo CD')
    tally.contended(a)
    tally.contended(b)
    expect(tally.reports()).toMatchObject([{ code: 'CONTENDED', gitops: 'Argo CD' }, { code: 'CONTENDED' }])
    expect(tally.gitops()).toBe(1)
  })
})
