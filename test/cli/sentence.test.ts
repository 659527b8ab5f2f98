/** A finding as a person reads it. */
import { describe, expect, test } from 'vitest'
import { withFix } from '../../src/cli/sentence.ts'
import { findingLine } from '../../src/cli/vault-world.ts'

describe('what is wrong, and what to do about it', () => {
  test.each([
    ['no such role', 'create it', 'no such role. Create it'],
    ['It does not open.', 'rotate again', 'It does not open. Rotate again'],
    ['is this the right Vault?', 'see VAULT_ADDR', 'is this the right Vault? See VAULT_ADDR'],
    ['it may do more', '"delete" is not needed', 'it may do more. "delete" is not needed'],
  ])('are two sentences: %s / %s', (detail, fix, text) => {
    expect(withFix(detail, fix)).toBe(text)
  })

  test.each(['no such role', 'It does not open.'])('is as it is where nothing is to be done: %s', (detail) => {
    expect(withFix(detail, undefined)).toBe(detail)
  })

  test('are told so of Vault as well', () => {
    const finding = {
      kind: 'blocked',
      flaw: 'lacks',
      about: 'auth/kubernetes',
      detail: 'is it enabled?',
      fix: 'see to it',
    } as const
    expect(findingLine(finding)).toEqual(['lacks  auth/kubernetes: is it enabled? See to it', 'bad'])
  })
})
