import { describe, expect, test } from 'vitest'
import { BLOCKED } from '../../../src/contract.ts'
import { KeyholeError } from '../../../src/errors.ts'
import type { SecretUnder } from '../../../src/policy/secrets-under.ts'
import { draftOf } from '../../../src/services/rotation/wanted.ts'
import { transitKeyOf } from '../permits.ts'

function secretOf(secret: string): SecretUnder {
  return { namespace: 'payments', secret, dataKeys: ['secrets.json'], others: new Set() }
}

const [a, b] = [secretOf('a'), secretOf('b')]

function opened() {
  return draftOf(transitKeyOf(), [a, b], () => {})
}

describe('a draft', () => {
  test('of which nothing was said leaves everything to do', () => {
    const draft = opened()
    expect(draft.counts()).toEqual({ rewrapped: 0, current: 0, blocked: 0, left: 2 })
    expect(draft.report()).toEqual({
      key: 'payments',
      mount: 'transit',
      complete: false,
      resumed: false,
      secrets: [
        { namespace: 'payments', name: 'a', outcome: 'left' },
        { namespace: 'payments', name: 'b', outcome: 'left' },
      ],
    })
  })

  test('is complete once every Secret is where it should be, and not if the key as a whole failed', () => {
    const draft = opened()
    draft.rewrapped(a, undefined)
    expect(draft.report().complete).toBe(false)
    draft.current(b, undefined)
    expect(draft.report().complete).toBe(true)
    const failure = new KeyholeError('VAULT_SEALED', { why: 'vault-sealed' })
    expect(draft.report(failure)).toMatchObject({
      complete: false,
      failure: { code: 'VAULT_SEALED', detail: failure.detail },
    })
    const fixable = new KeyholeError('KEY_UNUSABLE', { fix: 'give the role a policy' })
    expect(draft.report(fixable).failure).toEqual({ code: 'KEY_UNUSABLE', detail: 'give the role a policy' })
  })

  test('a Secret that was moved and is found in its place was moved', () => {
    const draft = opened()
    draft.rewrapped(a, 'Flux')
    draft.current(a, 'Flux')
    expect(draft.report().secrets[0]).toEqual({
      namespace: 'payments',
      name: 'a',
      outcome: 'rewrapped',
      gitops: 'Flux',
    })
    expect(draft.gitops()).toBe(1)
  })

  test('of which only a version was found tells of that, and of the newest', () => {
    const draft = opened()
    draft.found(3)
    draft.found(2)
    expect(draft.report().to).toBe(3)
  })

  test('a Secret that a GitOps tool takes on after it was moved is one that it writes', () => {
    const draft = opened()
    draft.rewrapped(a, undefined)
    draft.current(a, 'Argo CD')
    expect(draft.report().secrets[0]).toMatchObject({ outcome: 'rewrapped', gitops: 'Argo CD' })
    draft.current(a, undefined)
    expect(draft.gitops()).toBe(1)
  })

  test('a Secret that is blocked is told with what to do about it', () => {
    const draft = opened()
    draft.blocked({ secret: a, blocked: 'IMMUTABLE', gitops: undefined })
    expect([draft.isBlocked(a), draft.isBlocked(b)]).toEqual([true, false])
    expect(draft.report().secrets[0]).toMatchObject({
      outcome: 'blocked',
      code: 'IMMUTABLE',
      detail: BLOCKED.IMMUTABLE,
    })
    expect(draft.report().complete).toBe(false)
  })

  test('a Secret that somebody keeps writing is told with the tool that was seen on it', () => {
    const draft = opened()
    draft.rewrapped(a, 'Argo CD')
    draft.contended(a)
    draft.contended(b)
    expect(draft.report().secrets).toMatchObject([{ code: 'CONTENDED', gitops: 'Argo CD' }, { code: 'CONTENDED' }])
    expect(draft.gitops()).toBe(1)
  })
})
